"""What a study file may be made of, and what every other kind of file is told."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from maineffect.errors import SpecError
from maineffect.spec.yaml_lines import read_yaml


def value(write, text: str) -> object:
    located = read_yaml(write(f"key: {text}\n"))
    assert located.problems == []
    return located.value["key"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # YAML 1.2 core schema (https://yaml.org/spec/1.2.2/#1032-tag-resolution), without octal and hexadecimal.
        ("true", True), ("False", False), ("on", "on"), ("off", "off"), ("yes", "yes"), ("No", "No"), ("y", "y"),
        ("1", 1), ("-1", -1), ("+1", 1), ("1.0", 1.0), ("1.", 1.0), (".5", 0.5), ("1e3", 1000.0), ("1e-3", 0.001),
        ("010", "010"), ("0x1F", "0x1F"), ("1_000", "1_000"), ("1:30", "1:30"), ("2026-01-01", "2026-01-01"),
        ("null", None), ("~", None), ("", None), ("'1'", "1"), ('"on"', "on"), ("1e", "1e"), ("-", None),
    ],
)  # fmt: skip
def test_scalars(write, text: str, expected: object) -> None:
    if text == "-":
        with pytest.raises(SpecError):
            value(write, text)
        return
    found = value(write, text)
    assert found == expected
    assert type(found) is type(expected)


def test_keys_are_words_whatever_they_look_like(write) -> None:
    assert read_yaml(write("on: 1\nno: 2\n1: 3\nnull: 4\ntrue: 5\n")).value == {
        "on": 1, "no": 2, "1": 3, "null": 4, "true": 5,
    }  # fmt: skip


def test_lines_of_keys_values_and_ancestors(write) -> None:
    located = read_yaml(write("a: 1\nb:\n  - x\n  - c: 2\n    d: >-\n      long\n      text\n"))
    assert located.line(("a",)) == 1
    assert located.line(("b",)) == 2
    assert located.line(("b", 0)) == 3
    assert located.line(("b", 1, "d")) == 5
    assert located.line(("b", 1, "missing", "deeper")) == 4


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("a: 1\na: 2\n", "'a' is written twice, first in line 1", 2),
        ("a: 1\nb: !!python/object/apply:os.system ['true']\n", "not allowed", 2),
        ("a: !!python/name:os.system\n", "not allowed", 1),
        ("a: !!set {x, y}\n", "not allowed", 1),
        ("a: !!binary aGk=\n", "not allowed", 1),
        ("a: !custom 1\n", "not allowed", 1),
        ("!!python/name:os.system : 1\n", "a key must be a plain word", 1),
        ("? [a, b]\n: 1\n", "a key must be a plain word", 1),
        ("a: !!int abc\n", "not what its tag says", 1),
        ("a: !!bool maybe\n", "not what its tag says", 1),
        ("a: !!int ''\n", "not what its tag says", 1),
        ("a:\n  <<: {b: 1}\n", "merge keys", 2),
        ("a: .inf\n", "not a finite number", 1),
        ("a: 1\nb: -.INF\n", "not a finite number", 2),
        ("a: .nan\n", "not a finite number", 1),
        ("a: 1e999\n", "not a finite number", 1),
        ("a: 99999999999999999999\n", "too large", 1),
        (f"a: {'9' * 5000}\n", "too long", 1),
        ('a: "\\ud800"\n', "half a character", 1),
    ],
)
def test_single_values_that_are_refused(write, text: str, message: str, line: int) -> None:
    (problem,) = read_yaml(write(text)).problems
    assert message in problem.message
    assert problem.line == line


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("a: [1, 2\nb: 3\n", "not valid YAML", 2),
        ("a: 1\n b: 2\n", "not valid YAML", 2),
        ("a: 1\n\tb: 2\n", "not valid YAML", 2),
        ("a: 'open\n", "not valid YAML", 2),
        ("a: 1\n---\nb: 2\n", "not valid YAML", 2),
        ("a: &x 1\nb: *x\n", "anchors and aliases are not allowed", 1),
        ("a: *x\n", "anchors and aliases are not allowed", 1),
        ("a: &x [*x]\n", "anchors and aliases are not allowed", 1),
        ("a: 1\nb: \x01\n", "not allowed", 2),
        ("a: @x\n", "not valid YAML", 1),
        ("%TAG ! x\n%TAG ! y\n---\na: 1\n", "not valid YAML", 2),
        (b"a: 1\nb: \xff\xfe\n", "not UTF-8", 2),
        ("a:\n  " + "[" * 900, "nested deeper than 40 levels", 2),
        ("a: " + "{b: " * 100 + "}" * 100, "nested deeper than 40 levels", 1),
    ],
)  # fmt: skip
def test_files_that_are_refused(write, text: str | bytes, message: str, line: int) -> None:
    with pytest.raises(SpecError) as caught:
        read_yaml(write(text))
    (problem,) = caught.value.problems
    assert message in problem.message
    assert problem.line == line
    assert "\n" not in problem.message


def test_a_billion_laughs_are_refused_at_once(write) -> None:
    layers = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    layers += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    started = time.process_time()
    with pytest.raises(SpecError, match="anchors and aliases"):
        read_yaml(write("\n".join(layers)))
    assert time.process_time() - started < 1


def test_a_byte_order_mark_and_windows_line_ends_are_fine(write) -> None:
    located = read_yaml(write(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n"))
    assert located.value == {"a": 1, "b": 2}
    assert located.line(("b",)) == 2


def test_nothing_in_a_file_is_run(write, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    located = read_yaml(write(f"a: !!python/object/apply:pathlib.Path.touch ['{mark}']\n"))
    assert located.problems
    assert not mark.exists()
