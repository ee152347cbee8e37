"""One attempt without Ray, on the real ledger."""

from __future__ import annotations

from dataclasses import replace

import pytest

from maineffect.contracts import FailureClass, RunState
from maineffect.design.build import build_design
from maineffect.errors import LedgerError
from maineffect.execute.attempt import one_run
from maineffect.execute.attempt.one_run import AttemptOutcome, WorkOrder, run_attempt
from maineffect.execute.cluster.needs import Needs
from maineffect.journey.run.status import status_document
from maineffect.ledger.attempt.recording import MlflowAttempt
from maineffect.ledger.sweep.ledger import sweep_results
from maineffect.spec.study import StudySpec


def attempt(bench, request, number: int = 1, owner: str = "me", **options) -> AttemptOutcome:
    return run_attempt(WorkOrder(request, number, owner, bench.ledger, bench.home, bench.folder), **options)


def test_a_run_is_claimed_trained_and_committed(bench) -> None:
    (request,) = bench.requests(1, way="steps 3 0.0")
    heard = []
    outcome = attempt(bench, request, on_progress=lambda done, total: heard.append((done, total)))
    assert (outcome.failure, outcome.claimed, outcome.recorded) == (None, True, True)
    status = bench.ledger.state().runs["r0"]
    assert (status.state, status.committed_attempt) == (RunState.FINISHED, 1)
    assert bench.ledger.owner("r0", 1) == "me"
    assert set(bench.skills()) == {"r0"}
    assert heard == [(1, 3), (2, 3), (3, 3)]


def test_a_lost_claim_trains_nothing(bench) -> None:
    (request,) = bench.requests(1)
    bench.ledger.claim("r0", 1, "somebody else")
    assert not attempt(bench, request).claimed
    assert bench.lines() == []


def test_a_cancelled_sweep_starts_nothing(bench) -> None:
    (request,) = bench.requests(1)
    bench.ledger.cancel("a test")
    assert not attempt(bench, request).claimed
    assert bench.lines() == []


@pytest.mark.parametrize(
    ("way", "failure", "message"),
    [
        ("raises", FailureClass.USER_ERROR, "ValueError: the learning rate is a vegetable"),
        ("diverges", FailureClass.DIVERGED, "RunDiverged: entropy fell to 0 at step 3"),
        ("out of memory", FailureClass.OOM_HOST, "MemoryError: cannot allocate 1 TB"),
    ],
)
def test_a_failure_is_recorded_with_its_class_and_first_line(bench, way, failure, message) -> None:
    (request,) = bench.requests(1, way=way)
    outcome = attempt(bench, request)
    (end,) = bench.ledger.state().runs["r0"].ends
    assert (outcome.failure, outcome.message) == (end.failure, end.message) == (failure, message)
    trace = (bench.home / "runs" / request.sweep_id / "r0" / "a1" / "failure" / "traceback.txt").read_text()
    assert "misfits.py" in trace


def test_a_missing_response_is_named(bench) -> None:
    (request,) = bench.requests(1)
    outcome = attempt(bench, replace(request, responses=("skil",)))
    assert outcome.failure is FailureClass.BAD_RESULT
    assert "'skil' (returned 'skill'?)" in outcome.message


def test_a_trainable_that_is_not_there_is_named(bench) -> None:
    (request,) = bench.requests(1)
    outcome = attempt(bench, replace(request, trainable="misfits:trein"))
    assert outcome.failure is FailureClass.USER_ERROR
    assert "trein" in outcome.message


def test_a_second_commit_loses(bench) -> None:
    """A zombie that was taken for dead comes back: its result is not the run's, and nothing is recorded twice."""
    (request,) = bench.requests(1)

    def meanwhile(_context) -> None:
        if not bench.ledger.state().runs["r0"].ends:
            bench.ledger.end_attempt("r0", 1, FailureClass.LOST, "taken for dead")
            attempt(bench, request, 2)

    outcome = attempt(bench, request, on_context=meanwhile)
    assert outcome.message == "another attempt had committed first"
    status = bench.ledger.state().runs["r0"]
    assert (status.state, status.committed_attempt) == (RunState.FINISHED, 2)
    assert len(bench.skills()) == 1


def test_an_attempt_goes_on_from_the_checkpoint_of_the_one_before(bench) -> None:
    (request,) = bench.requests(1, way="steps 5 0.0")

    stopped = attempt(bench, request, on_context=stopped_after_two)
    assert stopped.failure is FailureClass.CANCELLED
    assert attempt(bench, request, 2).failure is None
    assert bench.steps() == {("r0", step): 1 for step in range(5)}


def test_gpu_hours_of_everything_that_was_reserved_are_in_the_ledger(bench) -> None:
    """GPUs × wall time of the attempt; the engine's bundle counts like the trainer's own."""
    (request,) = bench.requests(1, way="steps 3 0.02")
    needs = Needs(cpus=1, gpus=1, bundles=({"GPU": 2.0},), gpu_hour_price=3.0)
    run_attempt(WorkOrder(request, 1, "me", bench.ledger, bench.home, bench.folder, needs))
    seconds = bench.ledger.state().runs["r0"].seconds
    measures = sweep_results(bench.ledger)["r0"]["measures"]
    assert seconds >= 0.06
    assert measures["cost/gpu_hours"] == pytest.approx(3 * seconds / 3600, abs=3 * 0.001 / 3600)
    assert measures["cost/price"] == pytest.approx(3.0 * measures["cost/gpu_hours"])


def test_the_status_counts_gpu_hours_of_results_and_of_failures(bench) -> None:
    study = StudySpec.model_validate(
        {
            "schema_version": 1,
            "name": "misfits",
            "question": "What did it cost?",
            "factors": {"a": {"name": "a", "levels": [0, 1]}},
            "design": {"kind": "full", "replicates": 1},
            "responses": {"skill": {"name": "skill", "smallest_effect": 0.5}},
            "resources": {"cpus": 1, "gpus": 2},
        }
    )
    design = build_design(study)
    first, second = (run.run_id for run in design.runs[:2])
    good, bad = bench.requests(2)
    attempt(bench, replace(good, run_id=first, settings={**good.settings, "way": "steps 3 0.02"}))
    attempt(bench, replace(bad, run_id=second, settings={**bad.settings, "way": "raises"}))
    states = bench.ledger.state().runs
    seconds = states[first].seconds + states[second].ends[0].seconds
    document = status_document(study, design, "a" * 64, bench.ledger)
    assert document["cost"]["gpu_hours"] == pytest.approx(2 * seconds / 3600)
    by_run = {run["run_id"]: run["cost"]["gpu_hours"] for run in document["runs"]}
    assert by_run[first] == pytest.approx(2 * states[first].seconds / 3600)
    assert sum(by_run.values()) == pytest.approx(document["cost"]["gpu_hours"])


def checkpoints(bench, request) -> list[str]:
    folder = bench.home / "runs" / request.sweep_id / request.run_id
    return sorted(str(path.relative_to(folder)) for path in folder.glob("a*/checkpoints"))


def stopped_after_two(context) -> None:
    save = context.save_checkpoint

    def saving(step, write) -> None:
        save(step, write)
        if step == 2:
            context.cancelled.set()

    context.save_checkpoint = saving


def test_checkpoints_of_all_attempts_go_when_the_run_is_recorded_as_finished(bench) -> None:
    (request,) = bench.requests(1, way="steps 5 0.0")
    assert attempt(bench, request, on_context=stopped_after_two).failure is FailureClass.CANCELLED
    assert checkpoints(bench, request) == ["a1/checkpoints"], "a run that did not finish goes on from them"
    assert attempt(bench, request, 2).failure is None
    assert checkpoints(bench, request) == []
    assert bench.skills()["r0"] is not None
    assert (bench.home / "runs" / request.sweep_id / "r0" / "a2" / "result").is_dir(), "nothing else is removed"


def test_checkpoints_stay_while_no_result_is_recorded(bench, monkeypatch) -> None:
    """The store is away, or another attempt had come first: neither is a finished run of this attempt."""
    (request,) = bench.requests(1, way="steps 3 0.0")

    def away(*_arguments, **_options):
        raise LedgerError("the store is away")

    with monkeypatch.context() as patch:
        patch.setattr(MlflowAttempt, "commit", away)
        assert not attempt(bench, request).recorded
    assert checkpoints(bench, request) == ["a1/checkpoints"]


def test_a_trainable_may_keep_its_checkpoints(bench, monkeypatch) -> None:
    (request,) = bench.requests(1, way="steps 3 0.0")
    load = one_run.load_trainable

    def keeping(*arguments):
        trainable = load(*arguments)
        trainable.keep_checkpoints = True
        return trainable

    monkeypatch.setattr(one_run, "load_trainable", keeping)
    assert attempt(bench, request).failure is None
    assert checkpoints(bench, request) == ["a1/checkpoints"]
