"""What runs start from is planned once for all that share it, and decides when they may start."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from maineffect.contracts import AttemptEnd, FailureClass, RunRequest, RunState, RunStatus
from maineffect.errors import PluginError
from maineffect.execute.drive.budget import Spending
from maineffect.execute.drive.schedule import Memory, Plan, plan_next
from maineffect.execute.phases.preparations import MadeBefore, Preparations, preparations_of
from maineffect.preparation import Preparation, is_preparatory, what_of


def request(run_id: str, level: int = 0, seed: int = 1) -> RunRequest:
    return RunRequest("s", "s-1", run_id, "c", 1, {"a": level}, {"width": level}, seed, 9, ("skill",), "m:t")


RUNS = [request("c0-r1", 0), request("c1-r1", 1), request("c0-r2", 0, 2), request("c1-r2", 1, 2)]


class Declares:
    """Level 0 needs nothing, every other level one warm start for each seed."""

    def preparations(self, request: RunRequest) -> list[Preparation]:
        if request.levels["a"] == 0:
            return []
        return [Preparation("Warm start", f"k{request.seed}", request.settings, request.seed, (f"w/{request.seed}",))]

    def prepare(self, request: RunRequest, context: object) -> None:
        raise NotImplementedError


PLANNED = preparations_of(Declares(), [*RUNS, request("c2-r1", 2)])
FIRST, SECOND = (made.run_id for made in PLANNED.requests)


@dataclass(frozen=True)
class Holds:
    preparations: Preparations


def memory(**options) -> Memory:
    return Memory(**{"first_attempt": {}, "retry_failed": False, "retries": 1, **options})


def decided(
    runs: dict[str, RunStatus], known: Memory | None = None, made: tuple[str, ...] = (), now: float = 0.0
) -> Plan:
    return plan_next(RUNS, runs, known or memory(), now, PLANNED, made)


def started(plan: Plan) -> list[str]:
    return [request.run_id for request, _ in plan.start]


def failed(run_id: str, *classes: FailureClass) -> RunStatus:
    ends = tuple(AttemptEnd(number, failure, "why") for number, failure in enumerate(classes, 1))
    return RunStatus(run_id, RunState.FAILED, len(ends), ends)


def test_of_equal_keys_one_is_planned_with_what_decides_it() -> None:
    first, second = PLANNED.requests
    assert first.run_id != second.run_id
    assert is_preparatory(first.run_id)
    assert what_of(first.run_id) == "warm start"
    assert not any(is_preparatory(run.run_id) for run in RUNS)
    assert (first.seed, first.serves, first.files, first.responses) == (1, 2, ("w/1",), ())
    assert {run: [need.run_id for need in needs] for run, needs in PLANNED.needs.items()} == {
        "c1-r1": [FIRST],
        "c1-r2": [SECOND],
        "c2-r1": [FIRST],
    }
    other = preparations_of(Declares(), [replace(RUNS[3], sweep_id="another", run_id="x", settings={"width": 5})])
    assert [made.content() for made in other.requests] == [second.content()], "another cell's settings decide nothing"
    assert first.content() != second.content()


def test_runs_that_need_none_start_at_once_and_the_others_once_theirs_is_made() -> None:
    plan = decided({})
    assert started(plan) == ["c0-r1", FIRST, "c0-r2", SECOND], "each just before the first run that needs it"
    assert dict(plan.held) == {"c1-r1": (FIRST,), "c1-r2": (SECOND,)}
    plan = decided({FIRST: RunStatus(FIRST, RunState.FINISHED, 1), SECOND: RunStatus(SECOND, RunState.RUNNING, 1)})
    assert started(plan) == ["c0-r1", "c1-r1", "c0-r2"]
    assert plan.foreign == (SECOND,)
    assert dict(plan.held) == {"c1-r2": (SECOND,)}
    assert plan.unprepared == {}


def test_what_lies_in_the_cache_is_not_made_again(tmp_path: Path) -> None:
    before = MadeBefore(Holds(PLANNED), tmp_path, None)
    assert before.ids({}) == frozenset()
    (tmp_path / "cache" / "w").mkdir(parents=True)
    (tmp_path / "cache" / "w" / "1").touch()
    assert before.ids({}) == {FIRST}
    assert started(decided({}, made=(FIRST,))) == ["c0-r1", "c1-r1", "c0-r2", SECOND]
    assert list(before.sentences({}, {}).values()) == [
        f"the Warm start of 2 run(s) is in {tmp_path / 'cache'}: it is not made again"
    ]
    assert MadeBefore(Holds(PLANNED), tmp_path, "auto").ids({}) == frozenset(), (
        "nodes of a cluster have caches of their own"
    )


def test_nobody_prepares_for_runs_that_are_done_or_left() -> None:
    done = {run.run_id: RunStatus(run.run_id, RunState.FINISHED, 1) for run in RUNS}
    assert decided(done).nothing_to_do
    left = {**done, "c1-r2": failed("c1-r2", FailureClass.USER_ERROR)}
    assert decided(left) == Plan(left=("c1-r2",))
    again = decided(left, memory(retry_failed=True, first_attempt={"c1-r2": 2}))
    assert started(again) == [SECOND]


def test_a_preparation_that_failed_for_good_leaves_its_runs_waiting() -> None:
    runs = {FIRST: failed(FIRST, FailureClass.USER_ERROR)}
    plan = decided(runs)
    assert started(plan) == ["c0-r1", "c0-r2", SECOND]
    assert (plan.left, plan.unprepared) == ((FIRST,), {"c1-r1": FIRST})
    said = MadeBefore(Holds(PLANNED), Path("nowhere"), None).sentences(runs, plan.unprepared)
    (sentence,) = said.values()
    assert sentence.startswith(f"1 run(s) wait for {FIRST}, which has failed and is not tried again by itself")
    retried = decided({FIRST: failed(FIRST, FailureClass.LOST)}, now=0.0)
    assert (retried.later, retried.unprepared) == ((FIRST,), {}), "a transient failure is tried again by itself"
    resubmitted = decided(runs, memory(retry_failed=True, first_attempt={FIRST: 2}))
    assert [(r.run_id, attempt) for r, attempt in resubmitted.start if is_preparatory(r.run_id)] == [
        (FIRST, 2),
        (SECOND, 1),
    ]


def test_a_preparation_costs_what_it_costs_and_says_nothing_of_how_long_runs_take() -> None:
    statuses = [
        RunStatus(FIRST, RunState.FINISHED, 1, seconds=500.0),
        RunStatus("c0-r1", RunState.FINISHED, 1, seconds=20.0),
    ]
    assert Spending.of(statuses) == Spending(520.0, (20.0,))


class Raises(Declares):
    def preparations(self, request: RunRequest) -> list[Preparation]:
        raise KeyError("width")


class ReturnsText(Declares):
    def preparations(self, request: RunRequest) -> list[Preparation]:
        return ["warm start"]  # type: ignore[list-item]


class HasNoMaker:
    preparations = Declares.preparations


@pytest.mark.parametrize(
    ("trainable", "said"),
    [
        (Raises(), "the trainable's preparations raised KeyError: 'width' for c0-r1"),
        (ReturnsText(), "the trainable's preparations returned a str for c0-r1"),
        (HasNoMaker(), "the trainable declares preparations and has no `prepare`"),
    ],
)
def test_a_trainable_that_declares_wrongly_is_told_so_before_anything_runs(trainable: object, said: str) -> None:
    with pytest.raises(PluginError, match=said.replace("(", r"\(")):
        preparations_of(trainable, RUNS)


def test_files_are_below_the_cache_and_a_trainable_without_any_needs_nothing() -> None:
    for path in ("/etc/passwd", "../other", "."):
        with pytest.raises(ValueError, match="not a path below the cache folder"):
            Preparation("x", "k", {}, 1, (path,))
    assert preparations_of(object(), RUNS) == Preparations()
