"""Item scores → responses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from maineffect.lab.evaluate.battery import Item
from maineffect.lab.world.episode import SearchEpisode

__all__ = ["RESPONSES", "item_row", "responses"]

RESPONSES: tuple[str, ...] = (
    "one_hop_accuracy",
    "two_hop_accuracy",
    "clean_accuracy",
    "conflict_accuracy",
    "abstention_unanswerable",
    "retriever_failure_accuracy",
    "closed_book_abstention",
    "answer_when_answerable",
    "brier",
    "citation_precision",
    "mean_searches",
    "reward_trained",
    "reward_gain",
)


def item_row(item: Item, episode: SearchEpisode, tokens: int) -> dict[str, Any]:
    """One tidy row: what was asked, what was done, and its score."""
    record, answer = episode.record, episode.record.answer
    right = answer is not None and item.question.answerable and answer.value == item.question.answer
    abstained = answer is not None and answer.abstained
    # With no search allowed the question cannot be answered, whatever the documents would say.
    score = float(abstained if item.probe.score == "abstain" else right)
    return {
        "item_id": item.item_id,
        "probe": item.probe.name,
        "pair_id": item.item_id,
        "world": "a",
        "capability": item.probe.capability,
        "regime": "battery",
        "score": score,
        "correct": bool(right),
        "abstained": bool(abstained),
        "answer": answer.value if answer is not None else "",
        "gold": item.question.answer,
        "confidence": answer.confidence if answer is not None else float("nan"),
        "cited": " ".join(answer.cited) if answer is not None else "",
        "gold_docs": " ".join(episode.gold_ids),
        "searches": len(record.searches),
        "tokens": tokens,
        "stop": record.stop.value if record.stop is not None else "",
    }


def responses(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """The battery's responses.

    Brier score: mean of (stated confidence − correct)² over answered items (Brier 1950, Mon. Weather Rev. 78:1–3);
    not a number when nothing was answered.
    """
    by_probe: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_probe.setdefault(row["probe"], []).append(row)

    def mean(probe: str, field: str = "score") -> float:
        return float(np.mean([row[field] for row in by_probe[probe]]))

    answered = [row for row in rows if row["answer"] and not row["abstained"]]
    answerable = [row for name in ("one_hop", "two_hop", "conflict") for row in by_probe[name]]
    cited = [_precision(row) for row in answered if row["correct"]]
    return {
        "one_hop_accuracy": mean("one_hop"),
        "two_hop_accuracy": mean("two_hop"),
        "clean_accuracy": (mean("one_hop") + mean("two_hop")) / 2,
        "conflict_accuracy": mean("conflict"),
        "abstention_unanswerable": mean("unanswerable"),
        "retriever_failure_accuracy": mean("retriever_failure"),
        "closed_book_abstention": mean("closed_book"),
        "answer_when_answerable": float(np.mean([bool(row["answer"]) and not row["abstained"] for row in answerable])),
        "brier": float(np.mean([(row["confidence"] - row["correct"]) ** 2 for row in answered]))
        if answered
        else float("nan"),
        "citation_precision": float(np.mean(cited)) if cited else 0.0,
        "mean_searches": float(np.mean([row["searches"] for row in rows])),
    }


def _precision(row: dict[str, Any]) -> float:
    cited, gold = set(row["cited"].split()), set(row["gold_docs"].split())
    return len(cited & gold) / len(cited) if cited else 0.0
