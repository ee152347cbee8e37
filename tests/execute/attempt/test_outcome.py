"""What a trainable may return, and what its failures are called."""

from __future__ import annotations

import numpy as np
import pytest

from maineffect.contracts import FailureClass, RunCancelled, RunDiverged, RunResult
from maineffect.errors import LedgerError, PluginError
from maineffect.execute.attempt.outcome import BadResultError, classify, valid_result


def test_a_mapping_is_a_result_and_what_is_not_declared_is_a_measure() -> None:
    result = valid_result({"skill": np.float32(0.5), "loss": 2}, ["skill"])
    assert result == RunResult({"skill": 0.5}, {"loss": 2.0})


def test_a_full_result_keeps_items_and_texts() -> None:
    given = RunResult({"skill": 1.0}, {"loss": 0.1}, ({"id": 1, "right": True},), {"log.txt": "hello"})
    assert valid_result(given, ["skill"]) == given


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        ({"skil": 1.0}, ["'skill' (returned 'skil'?)", "['skil']"]),
        ({}, ["no responses", "'skill'"]),
        (None, ["NoneType", "'skill': …"]),
        (0.7, ["float", "mapping"]),
        ({"skill": "good"}, ["not a number", "good"]),
        ({"skill": None}, ["not a number"]),
    ],
)
def test_anything_else_is_named(returned: object, words: list[str]) -> None:
    with pytest.raises(BadResultError) as caught:
        valid_result(returned, ["skill"])
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert classify(caught.value) is FailureClass.BAD_RESULT


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_response_that_is_not_finite_is_a_divergence(value: float) -> None:
    with pytest.raises(RunDiverged, match="skill"):
        valid_result({"skill": value}, ["skill"])
    assert valid_result({"skill": 1.0, "loss": value}, ["skill"]).measures.keys() == {"loss"}


class OutOfMemoryError(RuntimeError):
    """Named as torch's."""


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (ValueError("x"), FailureClass.USER_ERROR),
        (SystemExit(3), FailureClass.USER_ERROR),
        (PluginError("no module"), FailureClass.USER_ERROR),
        (RunDiverged("nan"), FailureClass.DIVERGED),
        (RunCancelled("stop"), FailureClass.CANCELLED),
        (MemoryError(), FailureClass.OOM_HOST),
        (OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), FailureClass.OOM_GPU),
        (RuntimeError("CUDA error: out of memory"), FailureClass.OOM_GPU),
        (LedgerError("away"), FailureClass.LEDGER),
    ],
)
def test_classes(error: BaseException, failure: FailureClass) -> None:
    assert classify(error) is failure


def test_only_what_training_itself_came_to_is_an_outcome_for_the_analysis() -> None:
    from maineffect.analyse.table.reading import _NOT_OUTCOMES

    outcomes = {FailureClass.DIVERGED, FailureClass.OOM_HOST, FailureClass.OOM_GPU, FailureClass.TIMEOUT}
    assert {failure for failure in FailureClass if failure.value not in _NOT_OUTCOMES} == outcomes
