"""Reward components of one episode, from its structured record alone."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from maineffect.lab.settings import RewardSettings
from maineffect.lab.world.protocol import ActionRecord

__all__ = ["Asked", "citation_score", "reward_components"]


class Asked(Protocol):
    """What a score needs of a question, whatever world it comes from."""

    @property
    def answer(self) -> str:
        """Gold answer, or ``none``."""

    @property
    def answerable(self) -> bool:
        """Whether there is one."""


def reward_components(
    record: ActionRecord, question: Asked, gold_ids: Collection[str], settings: RewardSettings
) -> dict[str, float]:
    """Signed components; the reward is their sum.

    Args:
        gold_ids: Ids of shown documents that the gold answer rests on.
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
        parts["citation"] = settings.citation_weight * citation_score(answer.cited, gold_ids, settings.citation)
    return parts


def citation_score(cited: Collection[str], gold_ids: Collection[str], kind: str) -> float:
    """Precision |E∩G| / |E| of the cited documents E against the gold ones G, or F1 with recall |E∩G| / |G|.

    Citing everything earns no more than a share (Gao et al. 2023, ALCE, arXiv 2305.14627, sec. 4.3).
    """
    overlap = len(set(cited) & set(gold_ids))
    if not overlap:
        return 0.0
    if kind == "precision":
        return overlap / len(set(cited))
    return 2 * overlap / (len(set(cited)) + len(set(gold_ids)))
