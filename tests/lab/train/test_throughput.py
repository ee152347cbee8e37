"""Rates, shares and utilisation against known answers; none of it changes what a run measures."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch

from maineffect.lab import train_search_agent
from maineffect.lab.policy.models import TinyTransformer
from maineffect.lab.policy_settings import PolicySettings
from maineffect.lab.sampling.tiny_sampler import rollout
from maineffect.lab.settings import LabSettings, TrainSettings
from maineffect.lab.train import throughput
from maineffect.lab.train.grpo import update
from maineffect.lab.train.loop import train
from maineffect.lab.train.phases import Phases
from maineffect.lab.train.throughput import ModelFlops, device_peak, model_flops, throughput_lines
from maineffect.lab.train.warmstart import warm_start
from maineffect.lab.world.episode import Episodes


def test_flops_known_answers() -> None:
    """6·N per trained token, 2·N per sampled token (Kaplan et al. 2020); adapters alone need no weights' gradients."""
    whole = ModelFlops(weights=175_000_000_000, trained=175_000_000_000)
    # GPT-3 read 300 billion tokens: 3.15e23 FLOPs (Kaplan's 6·N·D; 3.14e23 in Brown et al. 2020, table D.1).
    assert whole.train(300_000_000_000) == pytest.approx(3.15e23, rel=1e-3)
    assert whole.sample(10) == 2 * 175e9 * 10
    assert ModelFlops(weights=100, trained=10).train(1) == 420


def test_utilisation_known_answer() -> None:
    phases = Phases(peak=1e12)
    phases.seconds.update({"rollout": 3.0, "train": 1.0, "sync": 1.0})
    phases.tokens.update({"rollout": 300, "train": 900})
    phases.flops.update({"rollout": 3e11, "train": 5e11})
    found = phases.report()
    assert found["mfu.rollout"] == pytest.approx(0.1)
    assert found["mfu.train"] == pytest.approx(0.5)
    assert found["mfu"] == pytest.approx(0.16)
    assert found["tokens_per_second.rollout"] == pytest.approx(100)
    assert [found[f"time_share.{name}"] for name in ("rollout", "train", "sync")] == pytest.approx([0.6, 0.2, 0.2])
    phases.devices = 2
    assert phases.report()["mfu"] == pytest.approx(0.08), "the engine's own device counts, busy or not"
    phases.devices = 1
    twice = Phases(peak=1e12)
    twice.add(phases)
    twice.add(phases)
    assert twice.report() == pytest.approx(found)


def test_no_peak_no_utilisation() -> None:
    phases = Phases()
    phases.seconds["train"] = 1.0
    phases.flops["train"] = 1e9
    assert not [name for name in phases.report() if name.startswith("mfu")]


def test_a_cpu_has_no_gpus_numbers() -> None:
    phases = Phases()
    with phases.timed("train"):
        pass
    found = phases.measures()
    assert not [name for name in found if "gpu" in name]
    assert 0.01 < found["memory_gib"] < 100
    lines = throughput_lines(found)
    assert "no GPU" in lines[-1]
    assert "not known" in lines[-2]


@pytest.mark.parametrize(
    ("name", "dtype", "peak"),
    [
        ("NVIDIA H100 80GB HBM3", "bfloat16", 989e12),
        ("NVIDIA H100 PCIe", "bfloat16", 756e12),
        ("NVIDIA A100-SXM4-80GB", "bfloat16", 312e12),
        ("NVIDIA A100-SXM4-80GB", "float32", 19.5e12),
        ("NVIDIA L40S", "bfloat16", 362e12),
        ("NVIDIA L4", "bfloat16", 121e12),
        ("NVIDIA A10", "bfloat16", 125e12),
        ("NVIDIA A10G", "bfloat16", None),
        ("Some Card 3000", "bfloat16", None),
    ],
)
def test_peaks_are_of_the_device_by_its_own_name(name: str, dtype: str, peak: float | None) -> None:
    assert throughput._peak_of(name, dtype) == peak


def test_a_stated_peak_counts_and_a_cpu_has_none() -> None:
    assert device_peak(PolicySettings()) is None
    assert device_peak(PolicySettings(peak_tflops=0.1)) == 1e11


def test_tokens_that_were_trained_on_are_counted_without_padding() -> None:
    model = TinyTransformer(PolicySettings(width=32, layers=2, heads=2), 144, 3)
    episodes = Episodes(LabSettings(), 9)
    played = rollout(model, [e for i in range(4) for e in episodes.group(i, 4)], torch.Generator().manual_seed(1))
    played.rewards_B = torch.rand(16, generator=torch.Generator().manual_seed(2))
    played.rewards_B[:4] = 0.5  # a question that teaches nothing is not passed through the model
    played.truncated_B[:] = False
    plan = TrainSettings.model_validate({"group_size": 4, "epochs": 2, "minibatches": 2})
    own = copy.deepcopy(model)
    seen = update(own, model, torch.optim.SGD(own.parameters(), lr=0.0), played, plan)
    rows = (played.tokens_BT.tolist(), (played.lengths_B - 1).tolist())
    taught = [(row[:n], i // 4) for i, (row, n) in enumerate(zip(*rows, strict=True)) if i > 3]
    # What rollouts of a question begin with is read once; the last token predicts nothing.
    distinct = {(question, tuple(row[:end])) for row, question in taught for end in range(1, len(row) + 1)}
    assert seen.trained_tokens == 2 * len(distinct)
    padded = update(own, model, torch.optim.SGD(own.parameters(), lr=0.0), played, plan, "padded")
    assert padded.trained_tokens == 2 * int((played.lengths_B[4:] - 1).sum())


def test_a_stated_peak_changes_no_number_of_a_run(small, make_context, make_request, capfd) -> None:
    stated: dict[str, Any] = {**small, "policy": {**small["policy"], "peak_tflops": 0.05}}
    plain, measured = (
        train_search_agent(make_request(settings), make_context(str(i))) for i, settings in enumerate((small, stated))
    )
    assert repr(plain.responses) == repr(measured.responses)
    assert repr(list(plain.items)) == repr(list(measured.items))
    said = capfd.readouterr().err
    assert said.count("tokens/s: ") == 2
    assert said.count("model-FLOPs utilisation: not known") == 1
    assert "% rollout" in said


def test_every_step_logs_its_utilisation(small, make_context) -> None:
    settings = LabSettings.model_validate({**small, "policy": {**small["policy"], "peak_tflops": 0.05}})
    context, phases = make_context(), Phases()
    model = warm_start(settings, 5, context.cache_dir)
    train(model, settings, context, phases=phases)
    weights = sum(value.numel() for value in model.parameters())
    assert model_flops(model).weights == weights
    assert phases.flops["rollout"] == pytest.approx(2 * weights * phases.tokens["rollout"])
    trained = sum(metrics["trained_tokens"] for _, metrics in context.logged)
    assert phases.tokens["train"] == trained
    assert phases.flops["train"] == pytest.approx(6 * weights * trained)
    for _, metrics in context.logged:
        assert 0 < metrics["mfu.rollout"] < 1
        assert 0 <= metrics["mfu.train"] < 1
        assert math.isfinite(metrics["mfu"])
