"""How a sweep's status reads: cost, budget, failure classes, what was reused; and a quiet watch."""

from __future__ import annotations

from typing import Any

import pytest

from maineffect.cli import sweeps
from maineffect.cli.watch import line
from maineffect.execute.drive.progress import SweepProgress


def standing(**changes: Any) -> dict[str, Any]:
    return {
        "sweep": "s-1",
        "planned": 12,
        "counts": {"finished": 6, "failed": 3, "running": 1, "planned": 2},
        "interrupted": [],
        "silent": {},
        "next": "maineffect resubmit s-1",
        "cancelled": False,
        "job": None,
        "reused": {"s-0": 4},
        "failures": [
            {"run_id": f"r{number}", "class": name, "message": f"{name} because", "attempts": 1}
            for number, name in enumerate(["lost", "user-error", "user-error"])
        ],
        "failure_classes": [
            {"class": "user-error", "runs": 2, "run_id": "r1", "message": "user-error because"},
            {"class": "lost", "runs": 1, "run_id": "r0", "message": "lost because"},
        ],
        "slowest": [{"run_id": "r5", "seconds": 100.0}, {"run_id": "r4", "seconds": 59.6}],
        "cost": {"run_seconds": 3600.0, "gpu_hours": 2.0, "cpu_hours": 4.0, "price": 6.5},
        "budget": {
            "limits": {"gpu_hours": 3.0},
            "left": {"gpu_hours": 1.0},
            "wall_seconds": None,
            "bears": 1,
            "undone": 5,
        },
        "seconds_left": 90.0,
        **changes,
    }


def test_a_standing_says_what_matters() -> None:
    text = sweeps.status_text(standing())
    for said in (
        "s-1: 6 finished, 3 failed, 1 running, 2 planned of 12",
        "4 of them reused from sweep s-0",
        "run time so far 1:00:00, core-hours 4.00, GPU-hours 2.00, price 6.50",
        "budget: 1.00 of 3 gpu-hours left; it bears 1 more run(s), 5 would be left undone",
        "about 0:01:30 left",
        "slowest: r5 0:01:40, r4 0:01:00",
        "why: maineffect logs r0 s-1",
    ):
        assert said in text
    assert text.index("user-error") < text.index("lost"), "the most frequent class first"


def test_many_failures_are_cut_and_counted() -> None:
    many = [{"run_id": f"r{n}", "class": "lost", "message": "gone", "attempts": 1} for n in range(40)]
    text = sweeps.status_text(standing(failures=many))
    assert "… and 10 more: maineffect status s-1 --json" in text
    assert "r30" not in text


def test_watching_off_a_terminal_is_a_line_a_minute(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = [0.0]
    monkeypatch.setattr(sweeps.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(sweeps.time, "sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds))
    done = {"finished": 9, "failed": 3, "running": 0, "planned": 0}

    def look() -> dict[str, Any]:
        return standing(counts=done) if clock[0] >= 130 else standing()

    last = sweeps._watch(standing(), look)
    assert last["counts"] == done
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 3, "at the start, after one minute, after two"
    assert all(text.startswith("s-1: 6 finished") for text in said)


def test_what_was_interrupted_is_not_called_running_and_not_waited_for() -> None:
    text = sweeps.status_text(standing(interrupted=["r7"]))
    assert "s-1: 6 finished, 3 failed, 1 interrupted, 2 planned of 12" in text
    assert "interrupted: r7 (the process on this machine that ran it is gone)\nnext: maineffect resubmit s-1" in text
    assert sweeps._goes_on(standing())
    assert not sweeps._goes_on(standing(interrupted=["r7"]))
    assert sweeps._goes_on(standing(interrupted=["r7"], settling=True)), "a living driver may be about to see to it"


@pytest.mark.parametrize(
    ("job", "counts", "said", "goes_on"),
    [
        (
            {},
            {"finished": 0, "failed": 0, "running": 0, "planned": 12},
            "sent to a cluster as job me-s-1-r1 at http://head",
            False,
        ),
        (
            {"status": "PENDING", "active": True, "message": ""},
            {"finished": 0, "failed": 0, "running": 0, "planned": 12},
            "at http://head: pending",
            True,
        ),
        (
            {"status": "FAILED", "active": False, "message": "exit code 3"},
            {"finished": 0, "failed": 0, "running": 0, "planned": 12},
            "which has ended (FAILED), before any run began: exit code 3\nits own output: maineffect logs --job s-1",
            False,
        ),
        (
            {"status": "SUCCEEDED", "active": False, "message": ""},
            {"finished": 9, "failed": 3, "running": 0, "planned": 0},
            "which has ended (SUCCEEDED)\nits own output",
            False,
        ),
        (
            {"status": None, "active": False, "message": "no answer"},
            {"finished": 9, "failed": 3, "running": 0, "planned": 0},
            "which cannot be asked: no answer",
            False,
        ),
    ],
)
def test_a_driver_on_a_cluster_is_named_with_what_became_of_it(job, counts, said, goes_on) -> None:
    document = standing(job={"job": "me-s-1-r1", "address": "http://head", **job}, counts=counts)
    assert said in sweeps.status_text(document)
    assert sweeps._goes_on(document) == goes_on
    done = {"finished": 12, "failed": 0, "running": 0, "planned": 0}
    assert "me-s-1-r1" not in sweeps.status_text({**document, "counts": done})


def test_the_line_of_a_running_sweep_names_its_cost() -> None:
    moment = SweepProgress("s-1", 12, 6, 0, {}, elapsed=60.0, gpu_hours=1.25, price=3.0)
    assert line(moment).endswith("0:01:00 elapsed; 1.25 GPU-hours, price 3.00")
    assert "GPU" not in line(SweepProgress("s-1", 12, 6, 0))
