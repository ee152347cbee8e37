"""One spelling for what is written in many: Unicode, quotes, dashes, spaces, and tags that must not be obeyed."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

import regex

__all__ = ["escape_tags", "fold", "folded_with_places", "readable", "without_controls"]

_SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿ"
_POWER = regex.compile(rf"(?<=[\p{{L}}\p{{N}})\]])(?<![{_SUPERSCRIPTS}])[{_SUPERSCRIPTS}]+")
_MIXED = regex.compile(r"(?<=\d)(?=[¼-¾⅐-⅞↉])")
_GROUPED = regex.compile(r"(?<=\d)[\u00a0\u2007\u2008\u2009\u202f'’](?=\d{3}(?!\d))")
_PIECE = regex.compile(
    rf"(?<=[\p{{L}}\p{{N}})\]])[{_SUPERSCRIPTS}]+|\d[¼-¾⅐-⅞↉]|\d[\u00a0\u2007-\u2009\u202f'’]\d{{3}}(?!\d)|\X"
)
_SAME = str.maketrans(
    {
        **dict.fromkeys("‘’‚‛ʼʹ′´`", "'"),
        **dict.fromkeys("“”„‟«»″", '"'),
        **dict.fromkeys("‐‑‒–—―−﹣－⁻", "-"),
        "‹": "<",
        "›": ">",
        "⟦": "[",
        "⟧": "]",
        "⁄": "/",
        "∕": "/",
    }
)
_GONE = regex.compile(r"[\p{Cf}\p{Cs}\p{Co}]")
_BLANK = regex.compile(r"[\p{Z}\p{Cc}]")
_SURROGATE = regex.compile(r"[\ud800-\udfff]")
_CONTROL = regex.compile(
    r"\[(/?(?:INST|SYS|SYSTEM|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|TOOL|ARGS|CALL_ID"
    r"|THINK|IMG|PREFIX|MIDDLE|SUFFIX|CLS|SEP|MASK|gMASK|sMASK|sop|eop|PAD|UNK|BOS|EOS|USER|ASSISTANT|control_\d+))\]"
)


def readable(text: object) -> str:
    """A string without lone surrogates, which no file, encoder or database takes; nothing is the empty string."""
    said = "" if text is None else str(text)
    return said if said.isascii() else _SURROGATE.sub("\ufffd", said)


def escape_tags(text: str) -> str:
    """Text of the world without anything that looks like a tag or a control token of a chat template.

    Control tokens between angle brackets (``<|im_start|>``) lose these; those between square ones (``[/INST]``) get
    others. :func:`fold` reads both as what they stand for.
    """
    plain = text.replace("<", "‹").replace(">", "›")
    return _CONTROL.sub(r"⟦\1⟧", plain) if "[" in plain else plain


def without_controls(text: str, controls: Iterable[str]) -> str:
    """Text in which a tokeniser finds none of its control tokens: a blank stands behind the first character of each.

    Args:
        controls: The tokens, as the tokeniser spells them.
    """
    for token in controls:
        if len(token) > 1 and token in text:
            text = text.replace(token, f"{token[0]} {token[1:]}")
    return text


def fold(text: str) -> str:
    """Compatibility composition (NFKC, Unicode Annex 15) with one kind of quote, dash, blank and bracket.

    Before it, what NFKC would make another number: a superscript behind a letter or digit becomes a power (``10²`` is
    ``10^2``, not 102), a vulgar fraction behind a digit stays apart (``5½`` is ``5 1/2``), and a fixed or thin blank or
    an apostrophe between groups of three digits is a comma. Invisible characters are gone.
    """
    if text.isascii():
        return _BLANK.sub(" ", _GROUPED.sub(",", text)) if "'" in text or not text.isprintable() else text
    plain = _GROUPED.sub(",", _MIXED.sub(" ", text))
    plain = _POWER.sub(lambda found: "^" + unicodedata.normalize("NFKC", found[0]), plain)
    # Before and after: NFKC takes some of these apart, and makes others.
    plain = unicodedata.normalize("NFKC", plain.translate(_SAME)).translate(_SAME)
    return _BLANK.sub(" ", _GONE.sub("", plain))


def folded_with_places(text: str) -> tuple[str, list[int]]:
    """:func:`fold`, and for each of its characters the place in ``text`` that it comes from.

    One place more is the end. Folded piece by piece, so that places are known.
    """
    if text.isascii():
        return fold(text), list(range(len(text) + 1))
    parts: list[str] = []
    places: list[int] = []
    for piece in _PIECE.finditer(text):
        lead = text[piece.start() - 1] if piece[0][0] in _SUPERSCRIPTS and piece.start() else ""
        made = fold(lead + piece[0])[len(lead) :]
        parts.append(made)
        # Of a piece that keeps its length every character has its own place.
        places += [piece.start() + (k if len(made) == len(piece[0]) else 0) for k in range(len(made))]
    return "".join(parts), [*places, len(text)]
