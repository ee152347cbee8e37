"""Command templates: split into arguments first, filled afterwards, so that no value can change the splitting."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from maineffect.contracts import Level

__all__ = ["Slot", "Template", "TemplateError", "parse", "spelled"]

_SIGNS = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_FIRST_SENTINEL = 0xF0000  # a private plane of Unicode: no word of a command is written in it
_LAST_SENTINEL = 0xFFFFD
_OPERATORS = {"|", "||", "&", "&&", ";", ">", ">>", "<", "<<", "2>", "2>>", "2>&1", "&>", "|&"}
_SHELLS = {"sh", "bash", "zsh", "dash", "ksh", "fish", "su", "python", "python3", "perl", "ruby", "node", "Rscript"}
_CODE_FLAG = re.compile(r"-[A-Za-z]*[ce]|--command|--eval|-S")
_SCRIPTS = {".py", ".sh", ".R", ".pl", ".rb", ".js"}
_REPARSING = {"ssh", "eval", "parallel", "watch", "script"}
_INERT = re.compile(r"[A-Za-z0-9_@%+=:,./-]*")
_NUMBER = re.compile(r"-(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|-inf")


class TemplateError(ValueError):
    """A template that cannot be used, or a value that must not stand where it would.

    Attributes:
        hint: The way out.
        name: The placeholder it is about, if any.
    """

    def __init__(self, message: str, hint: str = "", name: str = "") -> None:
        super().__init__(message)
        self.hint, self.name = hint, name


@dataclass(frozen=True)
class Slot:
    """A placeholder's place in an argument."""

    name: str


@dataclass(frozen=True)
class Template:
    """Arguments of which each is a sequence of literal texts and placeholders.

    Attributes:
        words: The arguments.
        code_from: From this argument on, an interpreter parses values again; the number of arguments if none does.
    """

    words: tuple[tuple[str | Slot, ...], ...]
    code_from: int

    @property
    def names(self) -> tuple[str, ...]:
        """Placeholders, in order, without repeats."""
        return tuple(dict.fromkeys(piece.name for word in self.words for piece in word if isinstance(piece, Slot)))

    def fill(self, values: Mapping[str, Level]) -> list[str]:
        """The arguments with every placeholder's value in its place: as many as the template has, whatever the values.

        Raises:
            TemplateError: A value would be read as an option, holds a NUL, or would be parsed again by a shell.
        """
        return [self._filled(number, word, values) for number, word in enumerate(self.words)]

    def _filled(self, number: int, word: tuple[str | Slot, ...], values: Mapping[str, Level]) -> str:
        parts = []
        for place, piece in enumerate(word):
            if isinstance(piece, str):
                parts.append(piece)
                continue
            text = spelled(values[piece.name])
            if "\0" in text:
                raise TemplateError(f"{text!r} holds a NUL, which no argument can", "choose another level", piece.name)
            if place == 0 and number > 0 and text.startswith("-") and not _NUMBER.fullmatch(text):
                raise TemplateError(
                    f"{text!r} would be read as an option of the command, not as the value of {{{piece.name}}}",
                    f"write --name={{{piece.name}}} as one word, or choose another level",
                    piece.name,
                )
            if number >= self.code_from and not _INERT.fullmatch(text):
                raise TemplateError(
                    f"{text!r} would be parsed as code by an interpreter in the command",
                    f"pass it as an argument: bash -c 'train --data \"$1\"' train {{{piece.name}}}, or by env",
                    piece.name,
                )
            parts.append(text)
        return "".join(parts)


def spelled(value: Level) -> str:
    """A level as an argument: true and false as in YAML, floats to the last digit."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else repr(value)


def parse(text: str, *, split: bool = True) -> Template:
    """Read a template.

    Args:
        text: Words as in a shell, quotes included; ``{name}`` is a placeholder, ``{{`` and ``}}`` are braces.
        split: Whether it is a command; otherwise it is one text, such as a variable's value.

    Raises:
        TemplateError: A brace or quote is open, or shell syntax is used.
    """
    slots: list[Slot] = []
    if any(_FIRST_SENTINEL <= ord(sign) <= _LAST_SENTINEL for sign in text) or "\0" in text:
        raise TemplateError("the command holds a character from Unicode's private planes, or a NUL", "remove it")

    def marked(match: re.Match[str]) -> str:
        sign = match[0]
        if sign in ("{{", "}}"):
            return sign[0]
        if sign in ("{", "}"):
            raise TemplateError(f"a single {sign!r} in {text!r}", "double it to mean the brace itself: {{ or }}")
        slots.append(Slot(match[1].strip()))
        return chr(_FIRST_SENTINEL + len(slots) - 1)

    flat = _SIGNS.sub(marked, text)
    try:
        words = shlex.split(flat) if split else [flat]
    except ValueError as error:
        raise TemplateError(f"{str(error).lower()} in {text!r}", "close the quote") from None
    if split:
        _refuse_shell(words)
    pieces = tuple(_pieces(word, slots) for word in words)
    return Template(pieces, _code_from(pieces) if split else len(words))


def _pieces(word: str, slots: list[Slot]) -> tuple[str | Slot, ...]:
    pieces: list[str | Slot] = []
    for part in re.split(f"([{chr(_FIRST_SENTINEL)}-{chr(_LAST_SENTINEL)}])", word):
        if len(part) == 1 and ord(part) >= _FIRST_SENTINEL:
            pieces.append(slots[ord(part) - _FIRST_SENTINEL])
        elif part:
            pieces.append(part)
    return tuple(pieces)


def _refuse_shell(words: list[str]) -> None:
    if not words:
        raise TemplateError("the command is empty", "for example: python train.py --lr {lr} --seed {seed}")
    if "=" in words[0] and words[0].partition("=")[0].isidentifier():
        raise TemplateError(f"{words[0]!r} is no program", "set variables under env, not before the command")
    if operators := [word for word in words if word in _OPERATORS]:
        raise TemplateError(
            f"{operators[0]!r} is shell syntax, and there is no shell",
            "put it into a script of its own, or write bash -c '…'",
        )


def _code_from(words: tuple[tuple[str | Slot, ...], ...]) -> int:
    """Where an interpreter begins to parse what it is given: behind ``bash -c``, ``ssh``, and their like."""
    interpreter = False
    for number, pieces in enumerate(words):
        word = "".join(piece.name if isinstance(piece, Slot) else piece for piece in pieces)
        program = PurePosixPath(word).name
        if program in _REPARSING or (interpreter and _CODE_FLAG.fullmatch(word)):
            return number + 1
        if program in _SHELLS or program == "env":
            interpreter = True
        elif word == "-m" or PurePosixPath(word).suffix in _SCRIPTS:
            interpreter = False  # flags behind a script are the script's
    return len(words)
