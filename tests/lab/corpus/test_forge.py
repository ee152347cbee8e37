"""A conflict copy changes one thing, and a classifier that is told to find the forgery cannot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold

from maineffect.lab.corpus.forge import SPREAD, Forger, kind_of
from maineffect.lab.corpus.inject import Injector
from maineffect.lab.corpus.library import Library
from maineffect.lab.corpus.load import Corpus, SourceDocument, SourceQuestion
from maineffect.lab.grammar.tokens import tokens
from maineffect.lab.settings import LabSettings, WorldSettings
from maineffect.lab.world.english import English
from maineffect.lab.world.episode import Episodes
from maineffect.lab.world.facts import Role

Pair = tuple[str, str, float, float]
"""Original, forgery, and how often each one's value is met."""


def asked(name: str, answer: str) -> SourceQuestion:
    return SourceQuestion(id=name, question=f"What about {name}?", answers=(answer,), gold=(name,))


def forged(text: str, answer: str, *others: str) -> str:
    documents = (SourceDocument(id="a", text=text), *(SourceDocument(id=f"b{i}", text=v) for i, v in enumerate(others)))
    questions = (asked("a", answer), *(asked(f"b{i}", value) for i, value in enumerate(others)))
    library = Library(Corpus(documents, questions))
    made = Forger(library, questions).conflict(questions[0], sorted(library.evidence(questions[0])), 0.5, "rumour")
    return made if isinstance(made, str) else made.text


@pytest.mark.parametrize(
    ("text", "answer", "other", "expected"),
    [
        ("Of 0.4 in 7,004, 4 are classes.", "4", "9", "Of 0.4 in 7,004, 9 are classes."),
        ("There are 7,000 in 17,000.", "7000", "8125", "There are 8125 in 17,000."),
        ("It is −5 and not 5.", "-5", "-8", "It is -8 and not 5."),
        ("Written in C, after C++ and C#.", "C", "B", "Written in B, after C++ and C#."),
        ("He saw an owl.", "owl", "fox", "He saw a fox."),
        ("It was a gift of Émile’s to her.", "Émile", "Konrad", "It was a gift of Konrad’s to her."),
        ("Opened on May 3, 1843 by her.", "3 May 1843", "4 June 1850", "Opened on 4 June 1850 by her."),
        ("Founded in 1843, in 18430 steps.", "1843", "1912", "Founded in 1912, in 18430 steps."),
    ],
)
def test_one_statement_is_changed_and_nothing_inside_other_tokens(
    text: str, answer: str, other: str, expected: str
) -> None:
    assert forged(text, answer, other) == expected


def test_a_value_of_the_same_kind_is_taken() -> None:
    assert forged("It has 150 rows.", "150", "Ada", "3.14", "1999", "12 %", "871", "blue") == "It has 871 rows."
    assert forged("Made by Ada.", "Ada", "871", "blue", "Konrad", "Ada Lovelace of Ockham") == "Made by Konrad."
    assert kind_of("1999") != kind_of("871") != kind_of("8.71")
    assert forged("It is so: yes.", "yes", "no") == "no other answer of its kind"


def test_an_answer_in_several_places_is_not_forged() -> None:
    assert forged("It has 4 classes. See figure 4. Others follow.", "4", "9") == SPREAD


def auc(pairs: Sequence[Pair]) -> tuple[float, float, float]:
    """AUC of telling forgeries, cross-validated by question, and its 95 % interval by resampling questions."""
    texts = [text for original, forgery, _, _ in pairs for text in (original, forgery)]
    counts = np.log1p([count for *_, own, other in pairs for count in (own, other)])[:, None]
    label, group = np.tile([0, 1], len(pairs)), np.repeat(np.arange(len(pairs)), 2)
    score = np.zeros(len(label))
    for train, test in GroupKFold(5).split(texts, label, group):
        grams = TfidfVectorizer(analyzer="char", ngram_range=(1, 4), sublinear_tf=True)
        learned = hstack([grams.fit_transform([texts[i] for i in train]), csr_matrix(counts[train])])
        asked_of = hstack([grams.transform([texts[i] for i in test]), csr_matrix(counts[test])])
        score[test] = LogisticRegression(max_iter=500).fit(learned, label[train]).decision_function(asked_of)
    draws, rng = [], np.random.default_rng(0)
    for _ in range(400):
        drawn = rng.integers(len(pairs), size=len(pairs))
        at = np.concatenate([2 * drawn, 2 * drawn + 1])
        draws.append(roc_auc_score(label[at], score[at]))
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(roc_auc_score(label, score)), float(low), float(high)


def of_corpus(corpus: Corpus, seed: int) -> list[Pair]:
    library, pairs = Library(corpus), []
    injector = Injector(library, corpus.questions, WorldSettings(language="english", conflict_rate=1.0))
    for i in range(len(corpus.questions)):
        question = injector.question(seed, i)
        for copy in question.added:
            original = question.passage(copy.copied or 0)
            own, other = (float(library.frequency(value)) for value in (question.answers[0], copy.claim))
            pairs.append((original.text, copy.text, own, other))
    return pairs


def of_world(**world: object) -> list[Pair]:
    levels = {"world": {"language": "english", "conflict_rate": 1.0, **world}, "retriever": {"snippet": "claim"}}
    settings = LabSettings.model_validate(levels)
    episodes, met = Episodes(settings, 5), []
    for i in range(400):
        question = episodes.question(i)
        rival = next(d for d in question.documents if d.role is Role.RIVAL)
        gold = next(d for d in question.documents if d.gold and d.hop == len(question.relations) - 1)
        met.append((question, gold, rival))
    counts = Counter(d.value for _, *both in met for d in both)

    def text(question: object, document: object) -> str:
        return English().document("d1", document, settings.retriever, question)  # type: ignore[arg-type]

    return [(text(q, a), text(q, b), float(counts[a.value]), float(counts[b.value])) for q, a, b in met]


def hold(pairs: Sequence[Pair], what: str) -> None:
    value, low, high = auc(pairs)
    print(f"{what}: {len(pairs)} pairs, AUC {value:.3f} [{low:.3f}, {high:.3f}]")
    assert low <= 0.5 <= high
    assert high < 0.6


@pytest.mark.parametrize("world", [{}, {"answers": 8, "answer_skew": 1.5}])
def test_forgeries_of_the_world_cannot_be_told(world: dict[str, object]) -> None:
    hold(of_world(**world), f"world {world}")


@pytest.mark.slow
def test_forgeries_of_a_corpus_cannot_be_told(registry: Any) -> None:
    hold(of_corpus(registry.elements(), 4), "dict-elements")


def test_an_edit_is_all_that_a_copy_changes(corpus: Corpus, library: Library) -> None:
    injector = Injector(library, corpus.questions, WorldSettings(language="english", conflict_rate=1.0))
    written = 0
    for i in range(len(corpus.questions)):
        for copy in (question := injector.question(3, i)).added:
            original = question.passage(copy.copied or 0)
            before, after = tokens(original.text), tokens(copy.text)
            blocks = [
                of for of in SequenceMatcher(None, before, after, autojunk=False).get_opcodes() if of[0] != "equal"
            ]
            assert (original.title, original.date) == (copy.title, copy.date)
            assert len(blocks) <= 2, [(before[i:j], after[k:n]) for _, i, j, k, n in blocks]
            assert sum(j - i for _, i, j, _, _ in blocks) <= 2 * max(len(tokens(a)) for a in question.answers)
            written += 1
    assert written > 25
