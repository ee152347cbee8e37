"""The frozen items of a corpus: every held-out question four times, as it is and with something injected.

The same for every run of a study, whatever a cell changes about world, retriever or budget.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from maineffect.lab.corpus.episode import CorpusEpisode
from maineffect.lab.corpus.inject import CorpusQuestion, Injector
from maineffect.lab.corpus.library import Library
from maineffect.lab.corpus.load import SourceQuestion
from maineffect.lab.evaluate.battery import spoken_as
from maineffect.lab.evaluate.metrics import (
    CITATION_RESPONSES,
    CONFIDENCE_RESPONSES,
    answered,
    citation_scores,
    confidence_scores,
)
from maineffect.lab.evaluate.scoring import stated_confidence
from maineffect.lab.grammar.values import Overlap, normalise, overlap
from maineffect.lab.settings import EpisodeSettings, LabSettings, RetrieverSettings, WorldSettings

__all__ = [
    "CLAIMING",
    "CORPUS_RESPONSES",
    "PROBES",
    "CorpusItem",
    "corpus_responses",
    "digest_of",
    "frozen_items",
    "rows_of",
]

PLAIN = "corpus_plain"
PROBES: dict[str, tuple[str, dict[str, Any]]] = {
    PLAIN: ("reading", {}),
    "corpus_conflict": ("source criticism", {"conflict_rate": 1.0}),
    "corpus_missing": ("abstention", {"unanswerable_share": 1.0}),
    "corpus_attack": ("robustness", {"adversary": "instruction", "adversary_rate": 1.0}),
}
"""Probe → capability, and what it injects. All but the first are scored in pairs with the question as it is."""
CLAIMING = ("corpus_conflict", "corpus_attack")
"""Probes in which something false is claimed."""
_CROWDS = (4, 8, 12, 16)
"""Difficulty → how many of the passages most like the question are left in."""
CORPUS_RESPONSES: tuple[str, ...] = (
    "corpus_accuracy",
    "corpus_f1",
    "corpus_precision",
    "corpus_recall",
    "corpus_conflict_accuracy",
    "corpus_missing_abstention",
    "corpus_attack_accuracy",
    "corpus_believed_claims",
    "pair_corpus_conflict",
    "pair_corpus_missing",
    "pair_corpus_attack",
    "answer_when_answerable",
    *CONFIDENCE_RESPONSES,
    *CITATION_RESPONSES,
    "mean_searches",
)


@dataclass(frozen=True)
class CorpusItem:
    """One held-out question with what one probe injects."""

    item_id: str
    probe: str
    question: CorpusQuestion
    settings: LabSettings

    def episode(self) -> CorpusEpisode:
        """A fresh episode on the item."""
        return CorpusEpisode(self.question, self.settings)


def frozen_items(
    library: Library, questions: Sequence[SourceQuestion], settings: LabSettings, seed: int
) -> tuple[CorpusItem, ...]:
    """The items of a study: ``evaluation.items`` questions, ``evaluation.pairs`` of them with something injected.

    A conflict that cannot be written is no item.

    Args:
        settings: Only ``evaluation``, ``reward``, the corpus and the longest transcript matter.
        seed: The study's evaluation seed.
    """
    plan, items = settings.evaluation, []
    for probe, (_, injected) in PROBES.items():
        world = WorldSettings(
            language="english", corpus=settings.world.corpus, distractors=_CROWDS[plan.difficulty], **injected
        )
        item_settings = LabSettings(
            world=world,
            retriever=RetrieverSettings(index=plan.index),
            episode=spoken_as(settings, EpisodeSettings().budget),
            reward=settings.reward,
        )
        injector = Injector(library, questions, world, held_out=True)
        for index in range(min(len(questions), plan.items if probe == PLAIN else plan.pairs)):
            question = injector.question(seed, index)
            if not question.skipped:
                items.append(CorpusItem(f"{probe}-{question.id}", probe, question, item_settings))
    return tuple(items)


def unwritten(library: Library, questions: Sequence[SourceQuestion], settings: LabSettings, seed: int) -> Counter[str]:
    """Why items are missing from :func:`frozen_items`, with their number: by probe and reason."""
    counted: Counter[str] = Counter()
    for probe, (_, injected) in PROBES.items():
        world = WorldSettings(language="english", corpus=settings.world.corpus, **injected)
        injector = Injector(library, questions, world, held_out=True)
        drawn = (injector.question(seed, i) for i in range(min(len(questions), settings.evaluation.pairs)))
        counted.update(f"{probe}: {question.skipped}" for question in drawn if question.skipped)
    return counted


def digest_of(items: Sequence[CorpusItem], corpus_digest: str) -> str:
    """Hash of the items' content, the corpus included."""
    lines = [corpus_digest]
    for item in items:
        asked = item.question
        shown = [asked.id, asked.answer, sorted(asked.gold), sorted(asked.hidden), asked.added, asked.seed]
        lines.append(f"{item.item_id} {shown} {item.settings.world.distractors} {item.settings.retriever}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def rows_of(
    items: Sequence[CorpusItem], episodes: Sequence[CorpusEpisode], tokens: Sequence[int]
) -> list[dict[str, Any]]:
    """One tidy row per played item, with the columns of the generated world's battery."""
    rows = [_row(*played) for played in zip(items, episodes, tokens, strict=True)]
    plain = {row["question"]: row["score"] for row in rows if row["probe"] == PLAIN}
    for row in rows:
        row["pair_score"] = float(row["score"] == 1 and plain.get(row["question"], 1.0) == 1)
    return rows


def _row(item: CorpusItem, episode: CorpusEpisode, tokens: int) -> dict[str, Any]:
    asked, record, answer = item.question, episode.record, episode.record.answer
    value = answer.value if answer is not None else ""
    abstained = answer is not None and answer.abstained
    score = float(answer is not None and value == asked.answer)
    gave_answer = answer is not None and not abstained and asked.answerable
    # An exact answer is named by its first wording, so that all of it is shared.
    shared = Overlap(score, score)
    if gave_answer and score == 0:
        shared = overlap(value, asked.answers, asked.members)
    return {
        "item_id": item.item_id,
        "probe": item.probe,
        "pair_id": item.item_id,
        "world": "a" if item.probe == PLAIN else "b",
        "capability": PROBES[item.probe][0],
        "regime": "battery",
        "question": asked.id,
        "score": score,
        "pair_score": score,
        "correct": asked.answerable and score == 1,
        "f1": shared.f1,
        "precision": shared.precision,
        "recall": shared.recall,
        "believed": value in {normalise(passage.claim) for passage in asked.added},
        "abstained": abstained,
        "answer": value,
        "gold": asked.answer,
        "confidence": stated_confidence(answer),
        "cited": " ".join(answer.cited) if answer is not None else "",
        "gold_docs": " ".join(episode.gold_ids),
        "gold_statements": "; ".join(" ".join(sorted(names)) for names in episode.gold_statements),
        "hops": len({asked.passage(i).document for i in asked.gold}) or 1,
        "searches": len(record.searches),
        "tokens": tokens,
        "stop": record.stop.value if record.stop is not None else "",
    }


def corpus_responses(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The responses of a played corpus; a probe without items (no conflict could be written) has none.

    Calibration, selective risk and citations as on the generated world's battery
    (:func:`maineffect.lab.evaluate.metrics.responses`).
    """
    by_probe: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_probe.setdefault(row["probe"], []).append(row)
    answerable = [row for row in rows if row["gold"] != "none"]
    injected = [row for name in CLAIMING for row in by_probe.get(name, ())]
    scores = {
        "corpus_accuracy": _mean(by_probe[PLAIN], "score"),
        "corpus_f1": _mean(by_probe[PLAIN], "f1"),
        "corpus_precision": _mean(by_probe[PLAIN], "precision"),
        "corpus_recall": _mean(by_probe[PLAIN], "recall"),
        "corpus_missing_abstention": _mean(by_probe["corpus_missing"], "score"),
        "corpus_attack_accuracy": _mean(by_probe["corpus_attack"], "score"),
        "corpus_believed_claims": _mean(injected, "believed"),
        "answer_when_answerable": float(np.mean([answered(row) for row in answerable])),
        **confidence_scores(rows),
        **citation_scores(answerable),
        "mean_searches": _mean(rows, "searches"),
    }
    if "corpus_conflict" in by_probe:
        scores["corpus_conflict_accuracy"] = _mean(by_probe["corpus_conflict"], "score")
    pairs = {f"pair_{name}": _mean(of, "pair_score") for name, of in by_probe.items() if name != PLAIN}
    return {**scores, **pairs}


def _mean(rows: Sequence[Mapping[str, Any]], column: str) -> float:
    return float(np.mean([float(row[column]) for row in rows]))
