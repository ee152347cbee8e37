"""What a language model lacks here is said in one sentence with the way out: packages by their extra, or a GPU.

The form of a study is checked anywhere; whether a run could run is asked where it is to run.
"""

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
    def _check(policy: str, factor: str = "", blamed: str = "8: settings.policy: ") -> str:
        (tmp_path / "study.yaml").write_text(STUDY.replace("POLICY", policy).replace("FACTOR\n", factor))
        done = here("check", "study.yaml", cwd=tmp_path, expect=0)
        assert "Traceback" not in done.stderr
        refused = here("submit", "study.yaml", cwd=tmp_path, expect=3)
        assert f"study.yaml:{blamed}" in refused.stderr
        assert "--address of a cluster" in refused.stderr
        assert not (tmp_path / ".maineffect").exists(), "nothing was begun"
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
    said = check("model: some/model", factor, "6: factors.engine.levels: ")
    assert "vllm not installed, which policy.model needs" in said


@pytest.mark.parametrize("reserved", ["gpus: 1", ""])
def test_a_study_for_gpus_is_checked_and_registered_without_one(
    check: Callable[..., str], here: Any, tmp_path: Path, reserved: str
) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("a GPU is here")
    study = STUDY.replace("POLICY", "model: some/model, device: cuda").replace("FACTOR\n", "")
    (tmp_path / "study.yaml").write_text(f"{study}resources: {{{reserved}}}\n")
    if not reserved:
        refused = here("check", "study.yaml", cwd=tmp_path, expect=3)
        assert "study.yaml:8: settings.policy.device: policy.device cuda without resources.gpus" in refused.stderr
        return
    said = here("check", "study.yaml", cwd=tmp_path, expect=0)
    assert (said.stdout + said.stderr).count("no GPU that torch can use is here: set policy.device to cpu") == 1
    here("register", "study.yaml", cwd=tmp_path, expect=0)
    refused = here("submit", "study.yaml", cwd=tmp_path, expect=3)
    assert "no GPU that torch can use is here" in refused.stderr
    far = here("submit", "study.yaml", "--address", "127.0.0.1:9", cwd=tmp_path, expect=1)
    assert "nothing answers at the address" in far.stderr, "a cluster may have what this machine lacks"
