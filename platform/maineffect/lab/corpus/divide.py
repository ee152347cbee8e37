"""Which questions of a corpus are trained on, and which are kept for evaluation: what asks the same stays together."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from math import log
from typing import Literal

from maineffect.lab.corpus.load import Corpus, SourceQuestion
from maineffect.lab.grammar.tokens import tokens

__all__ = ["Together", "divide", "groups"]

Together = Literal["question", "document"]
_ALIKE = 0.75


def divide(corpus: Corpus, held_out: float, seed: int, together: Together = "question") -> tuple[Corpus, Corpus]:
    """A corpus for training and one for evaluation: same documents, no question in both.

    Groups of questions (:func:`groups`) are ordered by the hash of (seed, first id), and the first of them are kept for
    evaluation until there are ``held_out`` of the questions: at least one group, and not all.

    Args:
        corpus: With at least two questions.
        held_out: Share of the questions.
        seed: A study's evaluation seed: all of its runs are divided alike.
        together: ``document``: questions that share a gold document are one group as well.

    Raises:
        ValueError: There is only one question, or all ask the same.
    """
    made = groups(corpus.questions, together)
    if len(made) < 2:
        what = "one question" if len(corpus.questions) < 2 else "questions that all hang together"
        raise ValueError(f"{what} cannot be both trained on and evaluated; add questions")
    order = sorted(made, key=lambda group: min(_place(seed, question.id) for question in group))
    wanted = max(1, round(held_out * len(corpus.questions)))
    kept: set[str] = set()
    for group in order[:-1]:
        if len(kept) >= wanted:
            break
        kept |= {question.id for question in group}
    training = [question for question in corpus.questions if question.id not in kept]
    return corpus.asking(training), corpus.asking([q for q in corpus.questions if q.id in kept])


def groups(questions: Sequence[SourceQuestion], together: Together = "question") -> list[list[SourceQuestion]]:
    """Questions that must not be parted, in the order of their first.

    Those with the same tokens, and near duplicates: a weighted Jaccard similarity of at least .75, rare words weighing
    more (log of the number of questions over those that have the word), so that a common frame around another name is
    another question. Pairs are found by prefix filtering (Chaudhuri, Ganti and Kaushik 2006, ICDE, sec. 3): similar
    sets share a word among the rarest, those beyond which too little weight is left.
    """
    words = [frozenset(tokens(question.question)) for question in questions]
    holding = Counter(word for said in words for word in said)
    weight = {word: log(1 + len(questions) / count) for word, count in holding.items()}
    leader = list(range(len(questions)))

    def first(i: int) -> int:
        while leader[i] != i:
            leader[i] = leader[leader[i]]
            i = leader[i]
        return i

    def join(i: int, j: int) -> None:
        one, two = sorted((first(i), first(j)))
        leader[two] = one

    by_word: dict[str, list[int]] = {}
    by_document: dict[str, int] = {}
    whole: dict[tuple[str, ...], int] = {}
    for i, (question, said) in enumerate(zip(questions, words, strict=True)):
        join(i, whole.setdefault(tuple(tokens(question.question)), i))
        total = sum(weight[word] for word in said)
        spent, near = 0.0, set()
        for word in sorted(said, key=lambda word: (holding[word], word)):
            if spent > (1 - _ALIKE) * total + 1e-9:
                break
            near.update(by_word.setdefault(word, []))
            by_word[word].append(i)
            spent += weight[word]
        for j in near:
            shared = sum(weight[word] for word in said & words[j])
            if shared >= _ALIKE * sum(weight[word] for word in said | words[j]):
                join(i, j)
        for name in question.gold if together == "document" else ():
            join(i, by_document.setdefault(name, i))
    made: dict[int, list[SourceQuestion]] = {}
    for i, question in enumerate(questions):
        made.setdefault(first(i), []).append(question)
    return list(made.values())


def _place(seed: int, name: str) -> str:
    return hashlib.sha256(f"{seed} {name}".encode()).hexdigest()
