"""YAML text → plain values plus the line of every key and value.

Scalars follow the YAML 1.2 core schema, without its octal and hexadecimal numbers: only ``true`` and ``false`` are
booleans, so ``on``, ``off``, ``yes`` and ``no`` are words, as factor names and as levels; ``2026-01-01``, ``1:30``,
``1_000`` and ``010`` are words too. Anchors, aliases, merge keys and tags other than those of plain values are
refused: a study says what it says in one place, and reading it can neither run code nor grow without bound.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from maineffect.errors import Problem, SpecError
from maineffect.spec.problems import Finding, KeyPath, dotted, shown

__all__ = ["Located", "Sources", "parse_yaml", "read_yaml"]

_DEEPEST = 40
_LARGEST = 2**63
_SURROGATE = re.compile("[\ud800-\udfff]")
_CORE = "tag:yaml.org,2002:"
_PLAIN = {f"{_CORE}{name}" for name in ("str", "int", "float", "bool", "null")}
_ALLOWED: dict[type[yaml.Node], set[str]] = {
    yaml.ScalarNode: _PLAIN,
    yaml.MappingNode: {f"{_CORE}map"},
    yaml.SequenceNode: {f"{_CORE}seq"},
}
"""Kind of node → tags it may have."""


class _Refused(yaml.MarkedYAMLError):
    """A construct that a study file may not use."""


class _Loader(yaml.SafeLoader):
    """Composes nodes with YAML 1.2 scalars; refuses anchors, aliases and deep nesting."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Compose one node, refusing what could make a document larger than its text."""
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise _Refused(
                problem="anchors and aliases are not allowed; write the value out, or take a factor by `use:`",
                problem_mark=event.start_mark,
            )
        if self.depth >= _DEEPEST:
            raise _Refused(problem=f"nested deeper than {_DEEPEST} levels", problem_mark=event.start_mark)
        self.depth += 1
        node: yaml.Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node


_REPLACED = {f"{_CORE}{name}" for name in ("bool", "timestamp", "float", "int")}
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _REPLACED]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _tag, _pattern, _first in (
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("int", r"^[-+]?(?:0|[1-9][0-9]*)$", "-+0123456789"),
    (
        "float",
        r"^[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?$"
        r"|^[-+]?\.(?:inf|Inf|INF)$|^\.(?:nan|NaN|NAN)$",
        "-+0123456789.",
    ),
):
    _Loader.add_implicit_resolver(f"{_CORE}{_tag}", re.compile(_pattern, re.ASCII), list(_first))


@dataclass
class Located:
    """A document with the 1-based line of every path in it, and what was wrong with single values."""

    value: Any
    file: str
    lines: dict[KeyPath, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def line(self, path: KeyPath) -> int | None:
        """Line of a path, or of its nearest ancestor."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path)

    def refuse(self, message: str, path: KeyPath, line: int, hint: str = "") -> None:
        """Note a problem and read on, so that all of them are found at once."""
        self.problems.append(Problem(message, dotted(path), self.file, line, hint))


@dataclass
class Sources:
    """Where each value of a study was written: the study file, or a factor library.

    Attributes:
        study: The study file.
        borrowed: Path in the study → (library, path in the library), for what came by ``use:``.
    """

    study: Located
    borrowed: dict[KeyPath, tuple[Located, KeyPath]] = field(default_factory=dict)

    def place(self, finding: Finding) -> Problem:
        """Give a finding its file and line."""
        source, inside = self.study, finding.path
        for length in range(len(finding.path), 0, -1):
            if finding.path[:length] in self.study.lines:
                break
            if finding.path[:length] in self.borrowed:
                source, start = self.borrowed[finding.path[:length]]
                inside = (*start, *finding.path[length:])
                break
        return Problem(finding.message, dotted(finding.path), source.file, source.line(inside), finding.hint)


def read_yaml(path: Path) -> Located:
    """Read one YAML file.

    Returns:
        The values; what is wrong with single keys and values is in its ``problems``.

    Raises:
        SpecError: The file is missing, unreadable, not UTF-8, or not YAML at all; names file and line.
    """
    return parse_yaml(_read_text(path), path)


def parse_yaml(text: str, path: Path) -> Located:
    """Read text as a study file is read.

    Args:
        text: YAML.
        path: What it is called where it is refused.

    Raises:
        SpecError: It is not YAML at all; names file and line.
    """
    located = Located(None, str(path))
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _invalid(path, str(error.problem), None if mark is None else mark.line + 1) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise _invalid(path, f"the character {chr(int(error.character))!r} is not allowed", line) from None
    except (yaml.YAMLError, RecursionError, ValueError, LookupError) as error:
        raise _invalid(path, str(error) or type(error).__name__, 1) from None
    if node is not None:
        located.value = _build(node, (), located)
    return located


def _invalid(path: Path, message: str, line: int | None) -> SpecError:
    first = message.splitlines()[0]
    tab = "'\\t'" in first
    hint = (
        "indent with spaces, not with tabs"
        if tab
        else "quote values that hold any of : # { } [ ] , & * ! | > ' \" % @ `, and indent with spaces"
    )
    ours = first.startswith(("anchors", "nested"))
    return SpecError(
        [Problem(first if ours else f"not valid YAML: {first}", "", str(path), line, "" if ours else hint)]
    )


def _read_text(path: Path) -> str:
    name = str(path)
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        problem = Problem("no such file", file=name, hint="give the path of an existing YAML file")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        problem = Problem(f"not UTF-8 text: {error.reason}", "", name, line, "save the file as UTF-8")
    except IsADirectoryError:
        problem = Problem("is a folder, not a file", file=name, hint="name the YAML file in it")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        problem = Problem(
            f"cannot be read: {reason}", file=shown(name)[1:-1], hint="check the path and its permissions"
        )
    raise SpecError([problem])


def _build(node: yaml.Node, path: KeyPath, located: Located) -> Any:
    line = node.start_mark.line + 1
    located.lines.setdefault(path, line)
    if node.tag not in _ALLOWED[type(node)]:
        located.refuse(f"the tag {node.tag} is not allowed", path, line, "write a plain value without a tag")
        return None
    if isinstance(node, yaml.MappingNode):
        return _build_mapping(node, path, located)
    if isinstance(node, yaml.SequenceNode):
        return [_build(item, (*path, i), located) for i, item in enumerate(node.value)]
    return _scalar(node, path, located)


def _scalar(node: yaml.Node, path: KeyPath, located: Located) -> Any:
    line = node.start_mark.line + 1
    try:
        value = yaml.constructor.SafeConstructor().construct_object(node)
    except (ValueError, LookupError, yaml.YAMLError):
        located.refuse(
            f"{shown(node.value)} is not what its tag says, or too long", path, line, "write it without a tag"
        )
        return None
    if isinstance(value, float) and not math.isfinite(value):
        located.refuse(f"{node.value} is not a finite number", path, line, "write a number, or null for none")
        return None
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > _LARGEST:
        located.refuse(f"{shown(value)} is too large for a whole number", path, line, "stay within ±2^63")
        return None
    if isinstance(value, str) and _SURROGATE.search(value):
        located.refuse(f"{shown(value)} holds half a character", path, line, "write the character itself")
        return None
    return value


def _build_mapping(node: yaml.MappingNode, path: KeyPath, located: Located) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        key = key_node.value
        if key_node.tag == f"{_CORE}merge":
            located.refuse("merge keys (<<) are not allowed", path, line, "write it out, or take a factor by `use:`")
        elif not isinstance(key_node, yaml.ScalarNode) or key_node.tag not in _PLAIN or _SURROGATE.search(key):
            located.refuse("a key must be a plain word", path, line, "quote it if it starts with a special character")
        elif key in result:
            first = located.lines[(*path, key)]
            located.refuse(f"{key!r} is written twice, first in line {first}", (*path, key), line, "keep one of them")
        else:
            located.lines[(*path, key)] = line
            result[key] = _build(value_node, (*path, key), located)
    return result
