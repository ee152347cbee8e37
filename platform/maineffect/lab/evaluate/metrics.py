"""Rows of a played battery → responses."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from maineffect.lab.evaluate.battery import KNOCK_OUT
from maineffect.lab.evaluate.calibration import calibration_responses
from maineffect.lab.evaluate.endings import abstention, statements
from maineffect.lab.evaluate.probes import CAPABILITIES, PAIRED, SINGLE
from maineffect.lab.world.protocol import StopReason
from maineffect.lab.world.reward import citation_shares

__all__ = [
    "BATTERY_RESPONSES",
    "CITATION_RESPONSES",
    "CONFIDENCE_RESPONSES",
    "REGIME_RESPONSES",
    "RESPONSES",
    "answered",
    "capability_probes",
    "citation_scores",
    "confidence_scores",
    "given_by",
    "responses",
]

_SINGLE = frozenset(probe.name for probe in SINGLE)
_ANSWERABLE = ("one_hop", "two_hop", "conflict")
_ACCURACIES = {
    "one_hop_accuracy": "one_hop",
    "two_hop_accuracy": "two_hop",
    "conflict_accuracy": "conflict",
    "abstention_unanswerable": "unanswerable",
    "retriever_failure_accuracy": "retriever_failure",
    "closed_book_abstention": "closed_book",
}
"""Response → the probe that it is the mean of."""


def capability_probes() -> dict[str, tuple[str, ...]]:
    """Response of each capability → the probes that it is the mean of."""
    named = {**CAPABILITIES, KNOCK_OUT.capability: (KNOCK_OUT.name,)}
    return {name.replace(" ", "_"): probes for name, probes in named.items()}


CONFIDENCE_RESPONSES = (
    "abstention_precision",
    "abstention_recall",
    "unparsed_share",
    "confidence_unstated",
    "citations_unstated",
    "brier",
    "squared_calibration_error",
    "aurc",
    "augrc",
)
"""What :func:`confidence_scores` gives."""
CITATION_RESPONSES = ("citation_precision", "citation_recall", "citation_precision_all", "citation_recall_all")
"""What :func:`citation_scores` gives."""
BATTERY_RESPONSES: tuple[str, ...] = (
    "one_hop_accuracy",
    "two_hop_accuracy",
    "clean_accuracy",
    "conflict_accuracy",
    "abstention_unanswerable",
    "retriever_failure_accuracy",
    "closed_book_abstention",
    "answer_when_answerable",
    *CONFIDENCE_RESPONSES,
    *CITATION_RESPONSES,
    "mean_searches",
    "search_regret",
    *capability_probes(),
    *(f"pair_{probe.name}" for probe in (*PAIRED, KNOCK_OUT) if probe.name != "triad"),
)
REGIME_RESPONSES: tuple[str, ...] = (
    "reward_trained",
    "reward_gain",
    "regime_score",
    "regime_gain",
    "transfer_score",
    "transfer_gain",
    "regime_overfit",
)
RESPONSES: tuple[str, ...] = (*BATTERY_RESPONSES, *REGIME_RESPONSES)


def responses(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The battery's responses: accuracies, calibration, citation, economy, capabilities, and every pair's score.

    Those of probes that were not played are left out: see :func:`given_by`.

    Calibration (Brier 1950, Mon. Weather Rev. 78:1–3) counts declining as confidence 0 that the question can be
    answered, so that every number exists for every policy; see :mod:`maineffect.lab.evaluate.endings`.
    """
    by_probe: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_probe.setdefault(row["probe"], []).append(row)
    given = given_by(by_probe.keys())
    found = {name: _mean(by_probe[probe]) for name, probe in _ACCURACIES.items() if name in given}
    if "clean_accuracy" in given:
        found["clean_accuracy"] = (found["one_hop_accuracy"] + found["two_hop_accuracy"]) / 2
    if "answer_when_answerable" in given:
        found |= _on_answerable([row for name in _ANSWERABLE for row in by_probe[name]])
    if "mean_searches" in given:
        single = [row for row in rows if row["probe"] in _SINGLE]
        found |= confidence_scores(single)
        found["mean_searches"] = float(np.mean([row["searches"] for row in single]))
    pairs = {name: _pairs(probe_rows) for name, probe_rows in by_probe.items() if name not in _SINGLE}
    found |= {f"pair_{name}": score for name, score in pairs.items()}
    for name, of in capability_probes().items():
        if name in given:
            found[name] = float(np.mean([pairs[probe] for probe in of]))
    return {name: found[name] for name in given}


def _on_answerable(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    return {
        "answer_when_answerable": float(np.mean([answered(row) for row in rows])),
        **citation_scores(rows),
        # A solved question of h hops needs h searches.
        "search_regret": _mean_or([row["searches"] - row["hops"] for row in rows if row["correct"]], 0.0),
    }


def given_by(probes: Collection[str]) -> tuple[str, ...]:
    """The battery's responses that these probes give; without any, all of them are played.

    A response that is a mean over several probes needs them all: over some of them it would be another quantity under
    the same name.
    """
    if not probes:
        return BATTERY_RESPONSES
    needs = {name: {probe} for name, probe in _ACCURACIES.items()}
    needs["clean_accuracy"] = {"one_hop", "two_hop"}
    needs |= {key: set(_ANSWERABLE) for key in ("answer_when_answerable", *CITATION_RESPONSES, "search_regret")}
    needs |= {key: set(_SINGLE) for key in (*CONFIDENCE_RESPONSES, "mean_searches")}
    needs |= {name: set(of) for name, of in capability_probes().items()}
    needs |= {f"pair_{probe.name}": {probe.name} for probe in (*PAIRED, KNOCK_OUT)}
    return tuple(name for name in BATTERY_RESPONSES if needs[name] <= set(probes))


def _mean(rows: Sequence[Mapping[str, Any]]) -> float:
    return float(np.mean([row["score"] for row in rows]))


def _share(flags: Iterable[bool]) -> float:
    return _mean_or([float(flag) for flag in flags], 0.0)


def _mean_or(values: Sequence[float], otherwise: float) -> float:
    return float(np.mean(values)) if values else otherwise


def answered(row: Mapping[str, Any]) -> bool:
    """Whether an item got an answer that is no declining."""
    return not _unparsed(row) and not row["abstained"]


def _unparsed(row: Mapping[str, Any]) -> bool:
    """Whether the episode ended without an answer or an explicit declining: garbage, cut off, or never ended."""
    return bool(row["stop"] != StopReason.ANSWERED)


def _pairs(rows: Iterable[Mapping[str, Any]]) -> float:
    """Mean of the pairs' scores, each pair once."""
    return float(np.mean(list({row["pair_id"]: row["pair_score"] for row in rows}.values())))


def confidence_scores(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Abstention, calibration and selective risk, by the convention of :mod:`maineffect.lab.evaluate.endings`.

    Only explicit declining is abstention; items from which nothing could be read are wrong, and ``unparsed_share`` is
    their share. ``confidence_unstated`` and ``citations_unstated`` are the shares of the answers that state none that
    can be read (0 without answers).
    """
    gave = [answered(row) for row in rows]
    could = [row["gold"] != "none" for row in rows]
    unparsed = [_unparsed(row) for row in rows]
    confidence, correct = ([row[name] for row in rows] for name in ("confidence", "correct"))
    run_statements = statements(confidence, correct, gave, could, unparsed)
    declined = abstention(gave, could, unparsed)
    return {
        "abstention_precision": declined.precision or 0.0,
        "abstention_recall": declined.recall or 0.0,
        "unparsed_share": declined.unparsed,
        "confidence_unstated": _share(np.isnan(row["confidence"]) for row in rows if answered(row)),
        "citations_unstated": _share(not row["cited"] for row in rows if answered(row)),
        **calibration_responses(run_statements),
    }


def citation_scores(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Precision and recall of citations (Gao et al. 2023, ALCE, arXiv 2305.14627); 0 where nothing is cited.

    On right answers, to describe a policy; and over all rows, an answer that is not right counting 0, for inference:
    a condition on being right would compare other items in every arm.

    Args:
        rows: Of answerable questions.
    """
    shares = [citation_shares(row["cited"].split(), _statements(row)) for row in rows]
    right = [bool(row["correct"]) for row in rows]
    kept = [pair for pair, good in zip(shares, right, strict=True) if good]
    every = [pair if good else (0.0, 0.0) for pair, good in zip(shares, right, strict=True)]
    names = ("citation_precision", "citation_recall")
    return {
        **{name: _mean_or([pair[i] for pair in kept], 0.0) for i, name in enumerate(names)},
        **{f"{name}_all": _mean_or([pair[i] for pair in every], 0.0) for i, name in enumerate(names)},
    }


def _statements(row: Mapping[str, Any]) -> list[list[str]]:
    # Runs recorded before statements were told apart have documents only: each its own.
    made = row["gold_statements"] if "gold_statements" in row else row["gold_docs"].replace(" ", ";")
    return [names.split() for names in made.split(";") if names.strip()]
