"""Small settings, a context that keeps everything in a folder, and a corpus of real documents."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from maineffect.contracts import RunCancelled, RunRequest
from maineffect.seeds import derive_seed

SMALL: dict[str, Any] = {
    "policy": {"width": 32, "layers": 2, "heads": 2},
    "warmstart": {"steps": 3, "batch": 8},
    "train": {"steps": 4, "prompts": 3, "group_size": 4, "checkpoint_every": 2},
    "evaluation": {"items": 4, "pairs": 2, "regime_episodes": 8, "transcripts": 1},
}


class FolderContext:
    """A RunContext over a folder; can be told to stop at a step."""

    def __init__(self, folder: Path, seed: int = 5, stop_at: int | None = None) -> None:
        self.run_dir, self.cache_dir = folder / "run", folder / "cache"
        self.run_dir.mkdir(parents=True, exist_ok=True)
        self.cache_dir.mkdir(parents=True, exist_ok=True)
        self._seed, self._stop_at, self._checks = seed, stop_at, 0
        self.logged: list[tuple[int, dict[str, float]]] = []

    def seed(self, purpose: str) -> int:
        return derive_seed(self._seed, purpose)

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        self.logged.append((step, dict(metrics)))

    def progress(self, done: int, total: int) -> None:
        assert 0 < done <= total

    def save_checkpoint(self, step: int, write: Callable[[Path], None]) -> None:
        folder = self.run_dir / f"{step:06}"
        folder.mkdir()
        write(folder)

    def latest_checkpoint(self) -> tuple[int, Path] | None:
        found = sorted(self.run_dir.iterdir())
        return (int(found[-1].name), found[-1]) if found else None

    def check_cancelled(self) -> None:
        self._checks += 1
        if self._stop_at is not None and self._checks > self._stop_at:
            raise RunCancelled("stopped by the test")


@pytest.fixture
def small() -> dict[str, Any]:
    return SMALL


@pytest.fixture
def make_context(tmp_path: Path) -> Callable[..., FolderContext]:
    def make(name: str = "one", **options: Any) -> FolderContext:
        return FolderContext(tmp_path / name, **options)

    return make


@pytest.fixture
def make_request() -> Callable[..., RunRequest]:
    def make(settings: Mapping[str, Any], seed: int = 5) -> RunRequest:
        return RunRequest(
            "study",
            "sweep",
            "c1-r1",
            "c1",
            1,
            {},
            settings,
            seed,
            99,
            ("clean_accuracy",),
            "maineffect.lab:train_search_agent",
        )

    return make


@pytest.fixture(scope="session")
def registry() -> Any:
    """Real corpora from Debian's registry; a test that asks for one that is not installed skips."""
    path = Path(__file__).parent / "corpus" / "registry_corpora.py"
    spec = importlib.util.spec_from_file_location("registry_corpora", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def fill(folder: Path) -> Path:
    """scikit-learn's dataset descriptions: fourteen real documents that are installed with it, and questions on them."""
    import sklearn.datasets

    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted((Path(sklearn.datasets.__file__).parent / "descr").glob("*.rst")):
        shutil.copy(path, folder)
    shutil.copy(Path(__file__).parent / "corpus" / "data" / "questions.jsonl", folder)
    return folder


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from maineffect.lab.corpus.load import load_corpus

    return load_corpus(fill(tmp_path_factory.mktemp("corpus")))


@pytest.fixture(scope="session")
def library(corpus: Any) -> Any:
    from maineffect.lab.corpus.library import Library

    return Library(corpus)


@pytest.fixture
def study_folder(tmp_path: Path) -> Path:
    """A study's folder with the corpus in ``descr``."""
    fill(tmp_path / "descr")
    return tmp_path
