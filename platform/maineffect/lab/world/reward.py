"""Reward components of one episode, from its structured record alone."""

from __future__ import annotations

from collections.abc import Collection

from maineffect.lab.settings import RewardSettings
from maineffect.lab.world.graph import Question
from maineffect.lab.world.protocol import ActionRecord

__all__ = ["reward_components"]


def reward_components(
    record: ActionRecord, question: Question, gold_ids: Collection[str], settings: RewardSettings
) -> dict[str, float]:
    """Signed components; the reward is their sum.

    Args:
        gold_ids: Ids of shown documents that state the gold answer.
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
    parts["calibration"] = -settings.brier_weight * (answer.confidence - float(right)) ** 2
    if right and answer.cited:
        # Precision of the citations: citing everything earns no more than a share.
        parts["citation"] = settings.citation_weight * len(set(answer.cited) & set(gold_ids)) / len(answer.cited)
    return parts
