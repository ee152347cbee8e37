"""The checks of `make gpu-check` on a small model with random weights: they pass, and a fault that is planted fails them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from maineffect.gpu_check import engine, reading, training
from maineffect.gpu_check.__main__ import main
from maineffect.gpu_check.bench import Bench
from maineffect.gpu_check.random_model import write_random_model
from maineffect.lab.policy.causal import CausalPolicy
from maineffect.lab.sampling.vllm_engine import VllmEngine
from maineffect.lab.train.checkpoint import TrainingState

pytestmark = pytest.mark.lm


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_random_model(tmp_path_factory.mktemp("random") / "model", large=False)


@pytest.fixture
def bench(model: str, tmp_path: Path) -> Bench:
    return Bench(model, tmp_path, "cpu")


def test_five_of_them_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", "2,5,6,10,11,14,15", "--out", str(tmp_path)]) == 0
    checks = json.loads((tmp_path / "gpu-check.json").read_text())["checks"]
    assert {check["number"]: check["status"] for check in checks} == {2: "skipped"} | dict.fromkeys(
        (5, 6, 10, 11, 14, 15), "pass"
    )
    numbers = {name: value for check in checks for name, value in check["numbers"].items()}
    assert numbers["shared_cosine"] > 1 - 1e-6
    assert numbers["with_mib"] < numbers["without_mib"] / 2
    assert numbers["of_trained_weights"] == pytest.approx(3, abs=0.05)
    assert "6 passed, 0 failed, 1 skipped" in capsys.readouterr().out


def test_trees_that_see_too_much_fail(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = CausalPolicy.masked
    monkeypatch.setattr(
        CausalPolicy,
        "masked",
        lambda self, tokens, position, visible: honest(self, tokens, position, torch.ones_like(visible).tril()),
    )
    found = reading.one_gradient(bench)
    assert found.status == "fail"
    assert "the gradient of shared reading has a cosine of" in found.said
    assert "packed reading" not in found.said


def test_packed_rows_that_mix_fail(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = CausalPolicy.packed

    def mixed(self: CausalPolicy, tokens: Any, position: Any, sizes: Any) -> Any:
        whole = position.numel() if position.numel() > 64 else None  # not where the model is loaded, which refuses it
        return honest(self, tokens, position, [whole] if whole else sizes)

    monkeypatch.setattr(CausalPolicy, "packed", mixed)
    found = reading.one_gradient(bench)
    assert "the gradient of packed reading has a cosine of" in found.said


def test_checkpointing_that_saves_nothing_fails(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Bench.load
    monkeypatch.setattr(
        Bench, "load", lambda self, **policy: honest(self, **policy | {"gradient_checkpointing": False})
    )
    assert "checkpointing needs" in reading.checkpointed(bench).said


def test_updates_that_differ_fail(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    honest, noise = training.update, torch.Generator().manual_seed(0)

    def noisy(policy: CausalPolicy, *rest: Any) -> Any:
        learnt = honest(policy, *rest)
        with torch.no_grad():
            for value in policy.parameters():
                value += 1e-6 * torch.randn(value.shape, generator=noise)
        return learnt

    monkeypatch.setattr(training, "update", noisy)
    assert "two runs on a processor differ by up to" in training.two_runs(bench).said


@pytest.mark.parametrize("left_out", ["optimizer", "model"])
def test_a_checkpoint_that_is_half_read_fails(bench: Bench, monkeypatch: pytest.MonkeyPatch, left_out: str) -> None:
    part = {"optimizer": "Adam.load_state_dict", "model": "load_weights"}[left_out]
    place = f"maineffect.lab.train.{'adam' if left_out == 'optimizer' else 'checkpoint'}.{part}"
    monkeypatch.setattr(place, lambda *_: None)
    assert "what was read is not what was written" in training.checkpoint(bench).said


def test_a_checkpoint_without_the_optimiser_fails(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    honest: Callable[..., Any] = torch.save
    monkeypatch.setattr(
        torch, "save", lambda state, path: honest({**state, "optimizer": {"steps": 0, "first": [], "second": []}}, path)
    )
    monkeypatch.setattr(TrainingState, "resume", lambda self, context: 1)
    assert "a checkpoint is 1.0" in training.checkpoint(bench).said


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("route", ["memory", "disk"])
def test_a_sync_that_loads_nothing_fails(bench: Bench, monkeypatch: pytest.MonkeyPatch, route: str) -> None:
    method = {"memory": "load", "disk": "load_folder"}[route]
    monkeypatch.setattr(VllmEngine, method, lambda self, weights: None)
    found = engine.log_probabilities(bench)
    assert found.status == "fail"
    assert found.numbers["start"] < 1e-4, "the engine has the pretrained weights before any sync"
    for name in ("memory", "disk", "lora"):
        fails = (name == "disk") == (route == "disk")
        assert (f"after the sync by {name} they differ by" in found.said) == fails
