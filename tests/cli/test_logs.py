"""What ``logs`` shows, without a sweep: new text only, and the run that a word names."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from maineffect.cli.app import app
from maineffect.cli.logs import fresh
from maineffect.errors import UsageError
from maineffect.journey.read.logs import named_run

LONG = "".join(f"line {number}\n" for number in range(2000))


@pytest.mark.parametrize(
    ("before", "now", "new"),
    [
        ("", "a\n", "a\n"),
        ("a\n", "a\n", ""),
        ("a\n", "a\nb\n", "b\n"),
        (LONG, LONG[5000:] + "more\n", "more\n"),  # only the end is kept of very long output
        (LONG, "[the first 9 bytes are left out]\n" + LONG[-5000:], ""),
        ("something else\n", "a\n", "a\n"),
    ],
)
def test_only_what_is_new_is_shown(before: str, now: str, new: str) -> None:
    assert fresh(before, now) == new


def test_the_beginning_of_one_run_id_is_enough() -> None:
    known = ["c12ab-r1", "c12ab-r2", "c99-r1"]
    assert named_run("c99", known) == "c99-r1"
    assert named_run("c12ab-r2", known) == "c12ab-r2"
    with pytest.raises(UsageError, match="2 runs begin with"):
        named_run("c12", known)
    with pytest.raises(UsageError, match="no run 'c12ab-r3'") as error:
        named_run("c12ab-r3", known)
    assert "did you mean" in error.value.hint


@pytest.mark.parametrize(
    ("words", "hint"),
    [((), "maineffect logs RUN [SWEEP], or maineffect logs --job SWEEP"), (("r1", "--job", "s"), "logs --job s")],
)
def test_logs_shows_one_run_or_one_driver(words: tuple[str, ...], hint: str) -> None:
    done = CliRunner().invoke(app, ["logs", *words])
    assert isinstance(done.exception, UsageError)
    assert hint in done.exception.hint
