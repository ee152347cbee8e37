"""Which questions of a corpus are trained on, and which are kept for evaluation."""

from __future__ import annotations

import hashlib

from maineffect.lab.corpus.load import Corpus

__all__ = ["divide"]


def divide(corpus: Corpus, held_out: float, seed: int) -> tuple[Corpus, Corpus]:
    """A corpus for training and one for evaluation: same documents, no question in both.

    Questions are ordered by the hash of (seed, id), and the first ``held_out`` of them are kept for evaluation: at
    least one, and not all.

    Args:
        corpus: With at least two questions.
        held_out: Share of the questions.
        seed: A study's evaluation seed: all of its runs are divided alike.

    Raises:
        ValueError: There is only one question.
    """
    count = len(corpus.questions)
    if count < 2:
        raise ValueError("one question cannot be both trained on and evaluated; add questions")
    order = sorted(corpus.questions, key=lambda question: _place(seed, question.id))
    kept = {question.id for question in order[: min(max(1, round(held_out * count)), count - 1)]}
    training = [question for question in corpus.questions if question.id not in kept]
    return corpus.asking(training), corpus.asking([q for q in corpus.questions if q.id in kept])


def _place(seed: int, name: str) -> str:
    return hashlib.sha256(f"{seed} {name}".encode()).hexdigest()
