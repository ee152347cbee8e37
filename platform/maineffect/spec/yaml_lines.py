"""YAML text → plain values plus the line of every key and value.

YAML 1.2 core scalars: only ``true``/``false`` are booleans, so a level written ``on`` or ``no`` stays a word.
Tags, anchors and merges are refused: a study says what it says in one place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from maineffect.errors import Problem, SpecError

__all__ = ["Located", "read_yaml"]

Path_ = tuple[str | int, ...]


class _Loader(yaml.SafeLoader):
    """Safe loader with YAML 1.2 booleans and numbers."""


_Loader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern)
        for tag, pattern in resolvers
        if tag
        not in {
            "tag:yaml.org,2002:bool",
            "tag:yaml.org,2002:timestamp",
            "tag:yaml.org,2002:float",
            "tag:yaml.org,2002:int",
        }
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)(?:[eE][-+]?[0-9]+)?$|^[-+]?\.(?:inf|Inf|INF)$|^\.(?:nan|NaN|NAN)$"
    ),
    list("-+0123456789."),
)


@dataclass
class Located:
    """A document with the 1-based line of every path in it."""

    value: Any
    file: str
    lines: dict[Path_, int] = field(default_factory=dict)

    def line(self, path: Path_) -> int | None:
        """Line of a path, or of its nearest ancestor."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path)


def read_yaml(path: Path) -> Located:
    """Read one YAML file.

    Raises:
        SpecError: The file is missing, unreadable, not UTF-8, or not plain YAML; names file and line.
    """
    name = str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SpecError([Problem("no such file", file=name, hint="give the path of a study file")]) from None
    except UnicodeDecodeError as error:
        raise SpecError([Problem(f"not UTF-8 text: {error.reason}", file=name, hint="save it as UTF-8")]) from None
    except OSError as error:
        raise SpecError([Problem(f"cannot be read: {error.strerror}", file=name)]) from None
    located = Located(None, name)
    problems: list[Problem] = []
    try:
        node = yaml.compose(text, Loader=_Loader)
        if node is not None:
            located.value = _build(node, (), located, problems)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = None if mark is None else mark.line + 1
        raise SpecError([Problem(f"not valid YAML: {error.problem}", "", name, line)]) from None
    except (yaml.YAMLError, RecursionError) as error:
        raise SpecError([Problem(f"not valid YAML: {str(error).splitlines()[0]}", "", name, 1)]) from None
    if problems:
        raise SpecError(problems)
    return located


def _build(node: yaml.Node, path: Path_, located: Located, problems: list[Problem]) -> Any:
    line = node.start_mark.line + 1
    located.lines.setdefault(path, line)
    if isinstance(node, yaml.MappingNode):
        return _build_mapping(node, path, located, problems)
    if isinstance(node, yaml.SequenceNode):
        return [_build(item, (*path, i), located, problems) for i, item in enumerate(node.value)]
    if node.tag not in _PLAIN:
        problems.append(
            Problem(f"tag {node.tag} is not allowed", _dotted(path), located.file, line, "write a plain value")
        )
        return None
    return _scalar(node, path, located, problems)


_PLAIN = {f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null")}


def _scalar(node: yaml.Node, path: Path_, located: Located, problems: list[Problem]) -> Any:
    try:
        value = _Loader("").construct_object(node)
    except (ValueError, yaml.YAMLError) as error:
        problems.append(Problem(f"{node.value!r}: {error}", _dotted(path), located.file, node.start_mark.line + 1))
        return None
    return value


def _build_mapping(node: yaml.MappingNode, path: Path_, located: Located, problems: list[Problem]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            problems.append(Problem("a key must be a word", _dotted(path), located.file, line))
            continue
        key = key_node.value
        if key_node.tag == "tag:yaml.org,2002:merge":
            problems.append(
                Problem(
                    "merge keys (<<) are not allowed", _dotted(path), located.file, line, "write it out, or use `use:`"
                )
            )
            continue
        if key in result:
            problems.append(Problem(f"{key!r} is written twice", _dotted((*path, key)), located.file, line, "keep one"))
            continue
        located.lines[(*path, key)] = line
        result[key] = _build(value_node, (*path, key), located, problems)
    return result


def _dotted(path: Path_) -> str:
    return ".".join(str(part) for part in path)
