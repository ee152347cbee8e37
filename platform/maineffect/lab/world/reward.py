"""Reward components of one episode, from its structured record alone."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from maineffect.lab.settings import RewardSettings
from maineffect.lab.world.protocol import ActionRecord

__all__ = ["Asked", "citation_score", "citation_shares", "reward_components"]


class Asked(Protocol):
    """What a score needs of a question, whatever world it comes from."""

    @property
    def answer(self) -> str:
        """Gold answer, or ``none``."""

    @property
    def answerable(self) -> bool:
        """Whether there is one."""


def reward_components(
    record: ActionRecord, question: Asked, gold: Collection[Collection[str]], settings: RewardSettings
) -> dict[str, float]:
    """Signed components; the reward is their sum.

    Args:
        gold: Of every shown statement that the gold answer rests on, the ids of the documents that make it.
    """
    parts = {
        "search": -settings.search_cost * len(record.searches),
        "format": 0.0,
        "answer": 0.0,
        "calibration": 0.0,
        "citation": 0.0,
    }
    answer = record.answer
    if answer is None:
        return {**parts, "format": -settings.format_cost, "answer": -settings.wrong_cost}
    if answer.abstained:
        return {**parts, "answer": settings.abstain_value if question.answerable else settings.abstain_right}
    right = question.answerable and answer.value == question.answer
    parts["answer"] = settings.correct if right else -settings.wrong_cost
    # An answer without a stated confidence is an assertion without a hedge, as in evaluation.
    sure = 1.0 if answer.confidence is None else answer.confidence
    parts["calibration"] = -settings.brier_weight * (sure - float(right)) ** 2
    if right:
        parts["citation"] = settings.citation_weight * citation_score(answer.cited, gold, settings.citation)
    return parts


def citation_score(cited: Collection[str], gold: Collection[Collection[str]], kind: str) -> float:
    """Precision of the cited documents, or F1 of precision and recall.

    Citing everything earns no more than a share (Gao et al. 2023, ALCE, arXiv 2305.14627, sec. 4.3).
    """
    precision, recall = citation_shares(cited, gold)
    if kind == "precision" or not precision:
        return precision
    return 2 * precision * recall / (precision + recall)


def citation_shares(cited: Collection[str], gold: Collection[Collection[str]]) -> tuple[float, float]:
    """Precision and recall of citations; 0 where there is nothing to be precise about, or nothing to recall.

    Precision is |E∩G| / |E| of the cited documents E and the gold ones G. Recall is per statement, as in ALCE: the
    share of statements of which some document is cited; a second document for the same statement adds nothing.

    Args:
        cited: Ids.
        gold: Of every statement the ids of the documents that make it.
    """
    named, right = set(cited), {name for names in gold for name in names}
    precision = len(named & right) / len(named) if named else 0.0
    recall = sum(bool(named & set(names)) for names in gold) / len(gold) if gold else 0.0
    return precision, recall
