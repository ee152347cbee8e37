"""How items ended: answered, declined, or unreadable, as forecasts and as decisions.

**Declining is a statement, silence is a failure.** An item ends in one of three ways: answered, explicitly declined,
or without anything that could be read (unparsed: garbage, cut off, never ended).

Declining states confidence 0 that the question can be answered; its outcome is whether it could be. Three things
follow, and all are wanted: every score exists for a run that never answers (such a run has collapsed, it has not
diverged); a policy cannot buy a perfect score by declining (always doing so has a Brier score equal to the share of
answerable questions, worse than a coin's .25 as soon as a quarter can be answered); and declining what cannot be
answered costs nothing. What no proper score can prevent: an answer given with confidence 0 and wrong costs nothing
either. Read calibration beside accuracy, or use AURC and AUGRC, where the same answer counts as an error.

An unparsed item is wrong whatever was asked: an assertion (confidence 1) that failed. It is no abstention, and an
unanswerable question that it was about is one that was not declined. Always writing garbage therefore has a Brier
score, an AURC and an abstention recall of 1, 1 and 0.

An answer without a stated confidence is an assertion without a hedge: confidence 1.

Legend: N items.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maineffect.errors import AnalysisError

__all__ = ["Abstention", "Statements", "abstention", "statements"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Statements:
    """What a run said about its own answers, one entry an item.

    Attributes:
        forecast_N: Stated probability, 0 to 1; 0 where it declined, 1 where nothing could be read.
        outcome_N: 1 where the forecast event came true: the answer was right, or the question that it declined could be
            answered; 0 where nothing could be read.
        answered_N: Whether an answer was given.
        correct_N: Whether the item went right: a right answer, or an unanswerable question declined.
        unparsed_N: Whether nothing could be read.
    """

    forecast_N: Floats
    outcome_N: Floats
    answered_N: Bools
    correct_N: Bools
    unparsed_N: Bools


def statements(
    confidence: ArrayLike,
    correct: ArrayLike,
    answered: ArrayLike,
    answerable: ArrayLike | None = None,
    unparsed: ArrayLike | None = None,
) -> Statements:
    """Turn items into forecasts under the module's convention.

    Args:
        confidence: (N,) stated probability of being right, 0 to 1; ignored without an answer; not a number = not
            stated.
        correct: (N,) truth values; ignored without an answer.
        answered: (N,) truth values.
        answerable: (N,) truth values; None: every question could be answered (the hardest view of declining).
        unparsed: (N,) truth values, ignored where there is an answer; None: whatever is not answered was declined.

    Raises:
        AnalysisError: No items, unequal lengths, or a stated confidence outside 0 to 1.
    """
    gave_N = np.asarray(answered, dtype=bool)
    right_N = np.asarray(correct, dtype=bool) & gave_N
    said_N = np.asarray(confidence, dtype=float)
    could_N = np.ones_like(gave_N) if answerable is None else np.asarray(answerable, dtype=bool)
    lost_N = (np.zeros_like(gave_N) if unparsed is None else np.asarray(unparsed, dtype=bool)) & ~gave_N
    shapes = {array.shape for array in (gave_N, right_N, said_N, could_N, lost_N)}
    if len(shapes) > 1 or gave_N.ndim != 1 or gave_N.size == 0:
        raise AnalysisError(
            f"confidence, correct, answered, answerable and unparsed are of shapes {sorted(shapes)}",
            "pass one-dimensional arrays of equal length with at least one item",
        )
    forecast_N = np.where(gave_N, np.where(np.isnan(said_N), 1.0, said_N), lost_N.astype(float))
    wrong = (forecast_N < 0) | (forecast_N > 1)
    if wrong.any():
        raise AnalysisError(
            f"confidence {forecast_N[wrong][0]:g} of item {int(np.argmax(wrong))} is not a probability",
            "state confidences between 0 and 1 (divide percentages by 100)",
        )
    declined_N = ~gave_N & ~lost_N
    return Statements(
        forecast_N,
        np.where(gave_N, right_N, could_N & declined_N).astype(float),
        gave_N,
        right_N | (declined_N & ~could_N),
        lost_N,
    )


@dataclass(frozen=True)
class Abstention:
    """Declining as a decision, the unanswerable questions being the positive class.

    Only explicit declining counts: an item that could not be read is none, so it is in no precision, and on an
    unanswerable question it is one that was missed.

    Attributes:
        precision: Share of abstentions that were right; None if the run never abstained.
        recall: Share of unanswerable questions on which it abstained; None if there were none.
        f1: 2·hits/(abstentions + unanswerable); None only if both are 0. The one to use as a response: any run on a
            battery with unanswerable questions has it.
        abstained: Share of items that were declined.
        unparsed: Share of items from which nothing could be read.
    """

    precision: float | None
    recall: float | None
    f1: float | None
    abstained: float
    unparsed: float


def abstention(answered: ArrayLike, answerable: ArrayLike, unparsed: ArrayLike | None = None) -> Abstention:
    """Precision, recall and F1 of abstaining (van Rijsbergen, 1979, Information Retrieval, 2nd ed., ch. 7).

    Args:
        answered: (N,) truth values.
        answerable: (N,) truth values.
        unparsed: (N,) truth values, ignored where there is an answer; None: whatever is not answered was declined.
    """
    silent_N, hopeless_N = ~np.asarray(answered, dtype=bool), ~np.asarray(answerable, dtype=bool)
    lost_N = np.zeros_like(silent_N) if unparsed is None else np.asarray(unparsed, dtype=bool)
    if not silent_N.shape == hopeless_N.shape == lost_N.shape or silent_N.size == 0:
        raise AnalysisError(f"{silent_N.size} answers, {hopeless_N.size} questions", "pass one entry an item")
    lost_N = lost_N & silent_N
    declined_N = silent_N & ~lost_N
    hits, made, due = int(np.sum(declined_N & hopeless_N)), int(declined_N.sum()), int(hopeless_N.sum())
    return Abstention(
        hits / made if made else None,
        hits / due if due else None,
        2 * hits / (made + due) if made + due else None,
        made / silent_N.size,
        int(lost_N.sum()) / silent_N.size,
    )
