"""scikit-learn's dataset descriptions: fourteen real documents that are installed with it."""

import shutil
from pathlib import Path

import pytest
import sklearn.datasets

from maineffect.lab.corpus.library import Library
from maineffect.lab.corpus.load import Corpus, load_corpus


def fill(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted((Path(sklearn.datasets.__file__).parent / "descr").glob("*.rst")):
        shutil.copy(path, folder)
    shutil.copy(Path(__file__).parent / "data" / "questions.jsonl", folder)
    return folder


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return load_corpus(fill(tmp_path_factory.mktemp("corpus")))


@pytest.fixture(scope="session")
def library(corpus: Corpus) -> Library:
    return Library(corpus)


@pytest.fixture
def study_folder(tmp_path: Path) -> Path:
    """A study's folder with the corpus in ``descr``."""
    fill(tmp_path / "descr")
    return tmp_path
