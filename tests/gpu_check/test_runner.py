"""Checks run in processes of their own: one that raises, dies or hangs fails alone, and the others are made."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest

from maineffect.gpu_check import __main__ as command
from maineffect.gpu_check.catalogue import CHECKS, Check
from maineffect.gpu_check.outcome import Judged, Outcome, as_json, table
from maineffect.gpu_check.runner import Row, make_checks

CHILD = """\
import json, os, signal, sys, time
model, folder, device, record, *numbers = sys.argv[1:]
def note(line):
    with open(record, "a") as file:
        file.write(json.dumps(line) + "\\n")
for number in map(int, numbers):
    note({"began": number})
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 3:
        time.sleep(600)
    note({"number": number, "seconds": 0.1, "status": "pass", "numbers": {"model": float(model)}, "said": ""})
"""


@pytest.fixture
def entry(tmp_path: Path) -> list[str]:
    path = tmp_path / "child.py"
    path.write_text(CHILD)
    return [sys.executable, str(path)]


def test_one_that_dies_and_one_that_hangs_fail_alone(tmp_path: Path, entry: list[str]) -> None:
    checks = [Check(number, f"check {number}", f"{'ab'[number % 2]}:check") for number in (1, 2, 3, 4, 5)]
    said: list[Row] = []
    began = time.monotonic()
    rows = make_checks(checks, "7", tmp_path, "cpu", 2.0, said.append, entry=entry)
    assert time.monotonic() - began < 30
    assert [row[0] for row in rows] == [1, 2, 3, 4, 5], "in the order in which they were asked for"
    assert sorted(said) == sorted(rows)
    assert [row[2].status for row in rows] == ["pass", "fail", "fail", "pass", "pass"]
    assert "ended with code -9" in rows[1][2].said
    assert "did not end in 2 s" in rows[2][2].said
    assert rows[3][2].numbers == {"model": 7.0}


def test_what_is_not_here_is_skipped_by_its_name(tmp_path: Path, entry: list[str]) -> None:
    checks = [Check(1, "one", "a:one", ("no_such_package",)), Check(4, "two", "a:two", on_gpu=True)]
    rows = make_checks(checks, "7", tmp_path, "cpu", 5.0, lambda row: None, entry=entry)
    assert [row[2].status for row in rows] == ["skipped", "skipped"]
    assert rows[0][2].said == "no_such_package not installed"
    assert rows[1][2].said == "no GPU that torch can use"
    assert make_checks(checks[1:], "7", tmp_path, "cuda", 5.0, lambda row: None, entry=entry)[0][2].status == "pass"


def test_the_fifteen_are_there() -> None:
    assert [check.number for check in CHECKS] == list(range(1, 16))
    root = Path(command.__file__).parent
    for check in CHECKS:
        module, _, function = check.place.partition(":")
        assert f"def {function}(bench: Bench) -> Outcome:" in (root / f"{module}.py").read_text()


def test_judged() -> None:
    judged = Judged()
    assert judged.outcome().status == "skipped"
    judged.note("nothing to see")
    assert judged.outcome() == Outcome("skipped", {}, "nothing to see")
    judged.numbers["a"] = 1.0
    judged.hold(True, "is not said")
    assert judged.outcome().status == "pass"
    judged.numbers["b"] = float("nan")
    assert (judged.outcome().status, judged.outcome().said) == ("fail", "b is no number; nothing to see")
    judged.hold(False, "wrong")
    assert judged.outcome().said == "wrong; b is no number; nothing to see"


def test_the_table_and_the_json_say_the_same() -> None:
    rows = [
        (5, "gradients", Outcome("fail", {"cosine": 0.5, "ms": 12345.0}, "a cosine of 0.5"), 3.0),
        (7, "speed", Outcome("skipped", {"mfu": float("inf")}, "vllm not installed"), 0.0),
    ]
    text = table(rows)
    assert " 5  gradients  FAIL     3.0 s\n      cosine 0.5, ms 12,345\n      a cosine of 0.5\n" in text
    assert text.endswith("0 passed, 1 failed, 1 skipped\n")
    read = json.loads(as_json({"gpus": ""}, rows))
    assert [check["status"] for check in read["checks"]] == ["fail", "skipped"]
    assert read["checks"][1]["numbers"] == {"mfu": None}


@pytest.mark.parametrize(("status", "code"), [("pass", 0), ("skipped", 0), ("fail", 1)])
def test_the_exit_code(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    status: str,
    code: int,
) -> None:
    monkeypatch.setattr(
        command, "make_checks", lambda checks, *_: [(c.number, c.title, Outcome(status), 0.0) for c in checks]
    )
    assert command.main(["--only", "3,5", "--out", str(tmp_path / "out"), "--model", "folder"]) == code
    assert [check["number"] for check in json.loads((tmp_path / "out" / "gpu-check.json").read_text())["checks"]] == [
        3,
        5,
    ]
    assert "the engine samples" in capsys.readouterr().out
