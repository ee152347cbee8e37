"""Shortcuts read what the question asks for: numbers, years and dates of the text, not only answers of the corpus."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from maineffect.lab.corpus.asked import asked_kind, candidates
from maineffect.lab.corpus.episode import CorpusEpisodes
from maineffect.lab.corpus.library import Library
from maineffect.lab.corpus.load import Corpus, SourceDocument, SourceQuestion
from maineffect.lab.corpus.scripted import scripted
from maineffect.lab.questions.corpus import CorpusSource
from maineffect.lab.settings import LabSettings
from maineffect.seeds import generator


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("When was Balan founded?", "year"),
        ("In which year did it open?", "year"),
        ("On what date was it signed?", "date"),
        ("How many rows are there?", "number"),
        ("What is the atomic number of iron?", "number"),
        ("What percentage of them is blue?", "number"),
        ("Is it blue?", "yes or no"),
        ("Who founded Balan?", "name"),
    ],
)
def test_the_asked_kind(question: str, kind: str) -> None:
    assert asked_kind(question) == kind


@pytest.mark.parametrize(
    ("text", "kind", "values"),
    [
        ("Founded in 1843, with 150 men and 7,000 cows.", "year", ["1843"]),
        ("Founded on 3 May 1843.", "year", ["1843"]),
        ("Founded on 3 May 1843, burnt in 1850.", "date", ["3 May 1843"]),
        ("Founded in 1843.", "date", ["1843"]),
        ("Of 150 rows 7,000 are -5.5 or B12.", "number", ["150", "7,000", "-5.5"]),
        ("Konrad met Ada.", "name", ["Konrad", "Ada"]),
        ("It floats.", "yes or no", ["yes"]),
    ],
)
def test_candidates_of_a_text(text: str, kind: str, values: list[str]) -> None:
    assert [value for _, value in candidates(text, kind, ("Ada", "Konrad", "1843"))] == values


def test_one_year_a_passage_is_read() -> None:
    """Each town's article has one year, and the first passage is the town's own: the shortcut is always right."""
    towns = [f"{a}{b}" for a in ("ba", "do", "ke", "li") for b in ("lan", "mir", "nek", "por", "sul")]
    documents = tuple(
        SourceDocument(id=name, title=name.capitalize(), text=f"{name.capitalize()} was founded in {1801 + 7 * i}.")
        for i, name in enumerate(towns)
    )
    questions = tuple(
        SourceQuestion(id=name, question=f"When was {name} founded?", answers=(str(1801 + 7 * i),), gold=(name,))
        for i, name in enumerate(towns)
    )
    # Half of the answers are unknown to whoever reads: candidates must come from the text.
    make = scripted(questions[:3])["first passage"]
    valid = LabSettings.model_validate({"world": {"language": "english"}, "retriever": {"top_k": 1}})
    drawn, right = CorpusEpisodes(Library(Corpus(documents, questions)), questions, valid, 1), []
    for i in range(len(towns)):
        episode, policy = drawn.episode(i), make(generator(0, i))
        episode.reset()
        while not any(episode.step(policy(episode))[2:4]):
            pass
        right.append(episode.record.answer is not None and episode.record.answer.value == episode.question.answer)
    assert np.mean(right) == 1.0


def test_the_elements_as_a_study_sees_them(registry: Any, tmp_path: Any) -> None:
    """Debian's dict-elements: the oracle is right everywhere, items and those that are none add up, baselines exist."""
    settings = LabSettings.model_validate(
        {"world": {"language": "english", "corpus": "elements"}, "evaluation": {"items": 40, "pairs": 40}}
    )
    source = CorpusSource(registry.elements(), "elements", 0.3, 5, tmp_path)
    exams = source._scripted(settings, 5)
    oracle = exams["oracle"].responses
    counts = source.facts(settings, 5)
    print({name: round(exam.responses["corpus_accuracy"], 2) for name, exam in exams.items()}, counts)
    assert oracle["corpus_accuracy"] == oracle["corpus_attack_accuracy"] == oracle["corpus_missing_abstention"] == 1.0
    assert oracle["corpus_conflict_accuracy"] == 1.0
    for probe in ("corpus_plain", "corpus_conflict", "corpus_missing", "corpus_attack"):
        missing = sum(n for what, n in counts["no_items"].items() if what.startswith(probe))
        assert counts["items"][probe] + missing == 40
    assert exams["first passage"].responses["corpus_accuracy"] > 0.02, "it reads numbers"
