"""Waves: when one is complete, and that each look is asked once and in order."""

from __future__ import annotations

from maineffect.contracts import AttemptEnd, FailureClass, RunRequest, RunState, RunStatus
from maineffect.execute.drive.waves import Waves, complete_waves


def requests(waves: int = 3, cells: int = 2) -> list[RunRequest]:
    return [
        RunRequest(
            study="s",
            sweep_id="s-1",
            run_id=f"c{cell}-r{wave}",
            cell_id=f"c{cell}",
            replicate=wave,
            levels={"a": cell},
            settings={},
            seed=wave,
            evaluation_seed=0,
            responses=("y",),
            trainable="m:f",
        )
        for wave in range(1, waves + 1)
        for cell in range(cells)
    ]


def finished(*run_ids: str) -> dict[str, RunStatus]:
    return {run_id: RunStatus(run_id, RunState.FINISHED, 1, committed_attempt=1) for run_id in run_ids}


FAILED = RunStatus("c1-r1", RunState.FAILED, 1, (AttemptEnd(1, FailureClass.USER_ERROR, "no"),))


def test_a_wave_is_complete_when_every_run_has_ended_for_good() -> None:
    planned = requests()
    assert complete_waves(planned, {}, ()) == 0
    assert complete_waves(planned, finished("c0-r1", "c1-r1", "c0-r2"), ()) == 1
    assert complete_waves(planned, {**finished("c0-r1"), "c1-r1": FAILED}, ()) == 1
    assert complete_waves(planned, {**finished("c0-r1"), "c1-r1": FAILED}, {"c1-r1"}) == 0, "it is tried again"
    running = RunStatus("c1-r1", RunState.RUNNING, 1)
    assert complete_waves(planned, {**finished("c0-r1"), "c1-r1": running}, ()) == 0
    late = finished("c0-r2", "c1-r2", "c0-r3", "c1-r3")
    assert complete_waves(planned, {**late, **finished("c0-r1")}, ()) == 0, "waves count from the first on"
    assert complete_waves(planned, {**late, **finished("c0-r1", "c1-r1")}, ()) == 3
    assert complete_waves([], {}, ()) == 0


def test_looks_are_asked_once_in_order_and_never_after_the_last_wave() -> None:
    planned, asked = requests(), []

    def look(wave: int) -> str | None:
        asked.append(wave)
        return None

    waves = Waves(planned, look)
    everything = finished(*(request.run_id for request in planned))
    first = {run_id: status for run_id, status in everything.items() if run_id.endswith("r1")}
    assert waves.settled(first, ()) is None
    assert waves.settled(first, ()) is None
    assert asked == [1]
    assert waves.settled(everything, ()) is None
    assert asked == [1, 2]


def test_a_look_that_says_stop_is_the_last() -> None:
    planned = requests(4)
    everything = finished(*(request.run_id for request in planned))
    waves = Waves(planned, lambda wave: "enough" if wave == 2 else None)
    assert waves.settled(everything, ()) == "enough"
    assert waves.asked == 2
