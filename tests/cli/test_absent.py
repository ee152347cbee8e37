"""``check`` says in one sentence what a language model lacks here, and the way out: packages by their extra, or a GPU."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

STUDY = """\
schema_version: 1
name: absent
trainable: search_agent
factors:
  rate: {levels: [0.0, 0.5], binds: world.conflict_rate}
FACTOR
settings:
  world: {language: english}
  policy: {POLICY}
  train: {learning_rate: 1.0e-5}
  warmstart: {learning_rate: 1.0e-4}
design: {kind: full, replicates: 2}
responses: {clean_accuracy: {smallest_effect: 0.05}}
"""


@pytest.fixture
def check(here: Any, tmp_path: Path) -> Callable[..., str]:
    def _check(policy: str, factor: str = "") -> str:
        (tmp_path / "study.yaml").write_text(STUDY.replace("POLICY", policy).replace("FACTOR\n", factor))
        done = here("check", "study.yaml", cwd=tmp_path, expect=3)
        assert "Traceback" not in done.stderr
        return str(done.stdout + done.stderr)

    return _check


@pytest.mark.skipif(find_spec("transformers") is not None, reason="transformers is installed here")
def test_transformers(check: Callable[..., str]) -> None:
    said = check("model: some/model")
    assert said.count("transformers, accelerate not installed, which policy.model needs") == 1
    assert "pip install 'maineffect[lm]'" in said
    assert "vllm" not in said


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vllm is installed here")
def test_vllm_in_the_settings_or_as_a_level(check: Callable[..., str]) -> None:
    said = check("model: some/model, sampler: vllm")
    assert "vllm not installed, which policy.model needs" in said
    assert "vllm]'" in said
    factor = "  engine: {levels: [torch, vllm], binds: policy.sampler}\n"
    said = check("model: some/model", factor)
    assert "vllm not installed, which policy.model needs" in said


def test_a_gpu(check: Callable[..., str]) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("a GPU is here")
    said = check("model: some/model, device: cuda")
    assert said.count("no GPU that torch can use is here: set policy.device to cpu, or check where there is one") == 1
