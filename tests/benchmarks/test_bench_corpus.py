"""What drawing a question costs over WordNet's 147,306 words (Debian's wordnet-base). Figures go to stdout.

CPU time of this process, because the machine is shared; one thread.
"""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path
from typing import Any

import pytest

from maineffect.lab.corpus.divide import divide
from maineffect.lab.corpus.episode import CorpusEpisodes
from maineffect.lab.corpus.library import Library
from maineffect.lab.settings import LabSettings

pytestmark = pytest.mark.benchmark

MILLISECONDS = 50
LEVELS: dict[str, dict[str, Any]] = {
    "plain": {},
    "conflicts": {"conflict_rate": 1.0},
    "missing": {"unanswerable_share": 1.0},
    "attacks": {"adversary": "instruction", "adversary_rate": 1.0},
    "all": {"conflict_rate": 0.5, "unanswerable_share": 0.3, "adversary": "wrong"},
}


@pytest.fixture(scope="module")
def words() -> tuple[Any, Library]:
    path = Path(__file__).parents[1] / "lab" / "corpus" / "registry_corpora.py"
    spec = importlib.util.spec_from_file_location("registry_corpora", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    corpus = module.wordnet()
    started = time.process_time()
    library = Library(corpus)
    print(f"\n{len(corpus.documents):,} documents, index made in {time.process_time() - started:.1f} s")
    return corpus, library


@pytest.mark.parametrize("name", LEVELS)
def test_milliseconds_per_question(words: tuple[Any, Library], name: str) -> None:
    corpus, library = words
    assert len(corpus.documents) == 147_306
    valid = LabSettings.model_validate({"world": {"language": "english", **LEVELS[name]}})
    drawn = CorpusEpisodes(library, corpus.questions, valid, 5)
    started = time.process_time()
    for i in range(100):
        drawn.question(i)
    drawing = (time.process_time() - started) * 10
    started = time.process_time()
    for i in range(100):
        episode = drawn.episode(i)
        episode.reset()
        episode.step(f"<search>{episode.question.question}</search>")
    playing = (time.process_time() - started) * 10
    print(
        f"\n{name}: {drawing:.1f} ms a question ({drawing / MILLISECONDS:.2f} of what is allowed), {playing:.1f} ms with a search"
    )
    assert drawing < MILLISECONDS


def test_seconds_to_divide(words: tuple[Any, Library]) -> None:
    """Near duplicates among 120,000 questions are found once per study."""
    corpus = words[0]
    started = time.process_time()
    training, evaluation = divide(corpus, 0.3, 1)
    seconds = time.process_time() - started
    print(
        f"\n{len(corpus.questions):,} questions divided in {seconds:.1f} s: {len(training.questions):,} and {len(evaluation.questions):,}"
    )
    assert seconds < 120
