"""The record of the night: what was swallowed can be found, and a record never costs the work."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
from pathlib import Path

import pytest

from maineffect.cli import app
from maineffect.cli.console import output
from maineffect.record import behind_bars, read_record, record_path, recorded_to, swallowed

LOG = logging.getLogger("maineffect.test")


def test_what_is_swallowed_stands_in_the_record_with_its_traceback(tmp_path: Path) -> None:
    with recorded_to(record_path(tmp_path, "s-1")):
        with swallowed(LOG, "the announcement"):
            raise ValueError("no such actor")
        LOG.info("decided: start r1")
    LOG.info("this comes after")
    record = read_record(tmp_path, "s-1")
    assert record is not None
    assert "WARNING maineffect.test: the announcement failed, and is done without" in record
    assert "ValueError: no such actor" in record
    assert "decided: start r1" in record
    assert "this comes after" not in record


@pytest.mark.parametrize("piece", ["9", "9%|", "9%|x|[", "1it [", "1it [x]", "0%|||"])
def test_looking_for_progress_bars_takes_time_in_proportion(piece: str) -> None:
    def seconds(length: int) -> float:
        text = piece * (length // len(piece))
        began = time.perf_counter()
        behind_bars(text)
        return time.perf_counter() - began

    assert seconds(10**6) < 2.0
    assert min(seconds(4 * 10**5) for _ in range(3)) < 12 * min(seconds(10**5) for _ in range(3)) + 0.01


def test_what_a_run_says_behind_a_bar_has_its_own_line() -> None:
    drawn = "\r 10%|#   | 1/10 [00:00<00:01, 9.9it/s]\r 20%|##  | 2/10 [00:00<00:01, 9.9it/s]"
    assert behind_bars(f"{drawn}maineffect: left out") == f"{drawn}\nmaineffect: left out"
    for plain in (drawn, f"{drawn}\n", "90%|sure| of [it] all", "a 5it [x] b", ""):
        assert behind_bars(plain) == plain


def test_an_interrupt_is_not_swallowed() -> None:
    with pytest.raises(KeyboardInterrupt), swallowed(LOG, "anything"):
        raise KeyboardInterrupt


def test_a_record_goes_on_where_it_was_and_is_rotated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maineffect.record._MOST_BYTES", 1000)
    for number in range(100):
        with recorded_to(record_path(tmp_path, "s-1")):
            LOG.info("decision %d", number)
    assert len(list((tmp_path / "logs").iterdir())) == 5
    record = read_record(tmp_path, "s-1")
    assert record is not None
    numbers = [int(line.rsplit(" ", 1)[1]) for line in record.splitlines()]
    assert numbers == list(range(numbers[0], 100)), "the oldest are gone, the rest is in order"


def test_a_home_that_takes_no_record_costs_nothing(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file where the folder should be")
    with recorded_to(record_path(tmp_path, "s-1")):
        LOG.info("heard by nobody")
    assert read_record(tmp_path, "s-2") is None


def test_json_holds_on_a_defect_of_the_program(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(app, "app", broken)
    monkeypatch.setattr(sys, "argv", ["maineffect", "status", "--json"])
    with pytest.raises(SystemExit) as ended:
        app.main()
    output.json_mode = False
    assert ended.value.code == 1
    captured = capsys.readouterr()
    error = json.loads(captured.out)["error"]
    assert (error["kind"], error["message"]) == ("ZeroDivisionError", "a defect")
    assert "Traceback" in captured.err


def test_the_record_is_shown_with_v_and_not_without() -> None:
    code = (
        "import logging, sys\nfrom maineffect.cli.app import app\n"
        "import maineffect.study as s\n"
        "s.status = lambda *_: logging.getLogger('maineffect.x').info('decided') or sys.exit(0)\n"
        "app()"
    )
    words = [sys.executable, "-c", code]
    loud = subprocess.run([*words, "-v", "status", "x"], capture_output=True, text=True)
    still = subprocess.run([*words, "status", "x"], capture_output=True, text=True)
    assert "maineffect.x: decided" in loud.stderr
    assert "decided" not in still.stderr
