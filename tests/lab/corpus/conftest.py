"""scikit-learn's dataset descriptions: fourteen real documents that are installed with it."""

import shutil
from pathlib import Path

import pytest
import sklearn.datasets

from maineffect.lab.corpus.load import Corpus, load_corpus


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("corpus")
    for path in sorted((Path(sklearn.datasets.__file__).parent / "descr").glob("*.rst")):
        shutil.copy(path, folder)
    shutil.copy(Path(__file__).parent / "data" / "questions.jsonl", folder)
    return load_corpus(folder)
