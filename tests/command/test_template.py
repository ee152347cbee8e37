"""Arguments are split before they are filled: no level adds one, and none becomes code or an option."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maineffect.command.template import TemplateError, parse, spelled

HOSTILE = [
    "; rm -rf ~",
    "$(touch owned)",
    "`touch owned`",
    "a b c",
    "a\nb",
    '"; echo x; "',
    "' --lr 9 '",
    "{seed}",
    "{{seed}}",
    "|cat /etc/passwd",
    "&& true",
    "> owned",
    "*",
    "~",
    "\\",
    "",
    "ü 漢 \U000f0000",
]


def test_words_quotes_braces_and_placeholders() -> None:
    template = parse("python train.py --lr={lr} '{a name}' \"x {lr}\" '{{\"k\": {lr}}}'")
    assert template.names == ("lr", "a name")
    assert template.fill({"lr": 1e-05, "a name": True}) == [
        "python",
        "train.py",
        "--lr=1e-05",
        "true",
        "x 1e-05",
        '{"k": 1e-05}',
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), (False, "false"), (3, "3"), (0.1, "0.1"), (1e-300, "1e-300"), ("x", "x"), (-0.0, "-0.0")],
)
def test_levels_are_spelled_as_in_the_study_file(value, text: str) -> None:
    assert spelled(value) == text


@given(st.floats(allow_nan=False))
def test_no_digit_of_a_float_is_lost(value: float) -> None:
    assert math.isclose(float(spelled(value)), value, rel_tol=0, abs_tol=0) or value == float(spelled(value))


@pytest.mark.parametrize("level", HOSTILE)
def test_a_hostile_level_arrives_as_one_argument_and_nothing_else_happens(level: str, tmp_path) -> None:
    code = "import json, sys; print(json.dumps(sys.argv[1:]))"
    (tmp_path / "show.py").write_text(code)
    arguments = parse("{python} show.py --data {data} --tag=x{data}y --lr 1").fill(
        {"data": level, "python": sys.executable}
    )
    done = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == ["--data", level, f"--tag=x{level}y", "--lr", "1"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["show.py"]


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_the_number_of_arguments_never_depends_on_a_level(level: str) -> None:
    filled = parse("train --a={x} 'b {x} c' {{x}}").fill({"x": level})
    assert filled == ["train", f"--a={level}", f"b {level} c", "{x}"]


@pytest.mark.parametrize("level", ["--lr=9", "-rf", "--", "-", "-1 -2", "-1x"])
def test_a_level_never_becomes_an_option(level: str) -> None:
    with pytest.raises(TemplateError, match="would be read as an option") as caught:
        parse("train {data}").fill({"data": level})
    assert "--name={data}" in caught.value.hint
    assert parse("train --data={data}").fill({"data": level}) == ["train", f"--data={level}"]


@pytest.mark.parametrize("level", [-1, -0.5, -1e-5, float("-inf"), "-3.5e-4"])
def test_a_negative_number_is_no_option(level) -> None:
    assert parse("train --lr {lr}").fill({"lr": level})[2] == spelled(level)


@pytest.mark.parametrize(
    "command",
    [
        "bash -c 'train {x}'",
        "bash -lc 'train {x}'",
        "/bin/sh -c 'train {x}'",
        "env A=1 bash -c 'train {x}'",
        "nice -n 5 bash -c 'train {x}'",
        "bash -c 'train $1' name {x}",
        "python -c 'print({x})'",
        "{python} -c 'print({x})'",
        "ssh host train {x}",
        "env -S 'train {x}'",
    ],
)
def test_what_an_interpreter_parses_again_takes_no_code_from_a_level(command: str) -> None:
    template = parse(command)
    with pytest.raises(TemplateError, match="parsed as code"):
        template.fill({"x": "1; touch owned", "python": "python"})
    assert any("0.001" in word for word in template.fill({"x": 0.001, "python": "python"}))


@pytest.mark.parametrize(
    "command", ["bash run.sh -c {x}", "python train.py -e {x}", "python -m pkg -c {x}", "train {x}"]
)
def test_a_scripts_own_flags_are_its_own(command: str) -> None:
    assert parse(command).fill({"x": "a b;c"})[-1] == "a b;c"


@pytest.mark.parametrize(
    ("command", "message", "hint"),
    [
        ("train 'x", "no closing quotation", "close the quote"),
        ("train {lr", "a single '{'", "double it"),
        ("train lr}", "a single '}'", "double it"),
        ("  ", "the command is empty", "python train.py"),
        ("LR=1 train", "'LR=1' is no program", "under env"),
        ("train | tee log", "'|' is shell syntax", "bash -c"),
        ("train > log", "'>' is shell syntax", "script"),
        ("train \U000f0001", "private planes", "remove"),
    ],
)
def test_what_is_no_command_is_refused_with_the_way_out(command: str, message: str, hint: str) -> None:
    with pytest.raises(TemplateError) as caught:
        parse(command)
    assert message in str(caught.value)
    assert hint in caught.value.hint


def test_a_nul_is_refused() -> None:
    with pytest.raises(TemplateError, match="NUL"):
        parse("train {x}").fill({"x": "a\0b"})
