"""vLLM samples from the weights in training: log-probabilities agree before and after every way of handing them over.

That outputs change is no proof: an engine that renews its embeddings but not the output layer tied to them changes too.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from maineffect.lab.policy.causal import CausalPolicy, load_causal
from maineffect.lab.sampling.vllm_sampler import VllmSampler
from maineffect.lab.settings import LabSettings
from maineffect.lab.world.episode import Episodes

pytestmark = pytest.mark.lm


def policy_of(settings: dict[str, Any], cache: Path) -> CausalPolicy:
    plan = LabSettings.model_validate(settings)
    return load_causal(plan.policy, 448, 3, cache)


def shaken(policy: CausalPolicy, seed: int) -> CausalPolicy:
    """Every trained weight moved, the embeddings too."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in policy.parameters():
            if value.requires_grad:
                scale = 0.03 * float(value.std()) if value.dim() > 1 and float(value.std()) > 0 else 0.02
                value += torch.randn(value.shape, generator=generator) * scale
    return policy


@pytest.fixture(scope="module")
def sampler(settings, cache) -> Iterator[VllmSampler]:
    """One engine, loaded with the pretrained weights, where numba is there already: a corpus's search imports it."""
    assert importlib.import_module("llvmlite.binding.ffi").lib
    engine = VllmSampler(policy_of(settings(policy={"max_action_tokens": 16}), cache))
    yield engine
    engine.close()


@pytest.fixture
def gap(sampler, settings) -> Callable[[CausalPolicy], float]:
    """Largest |Δ log-probability| between the engine and one plain forward pass, over what was written."""

    def measure(policy: CausalPolicy) -> float:
        episodes = Episodes(LabSettings.model_validate(settings()), 9)
        out = sampler.play([episodes.episode(i) for i in range(4)], torch.Generator().manual_seed(0))
        with torch.no_grad():
            logp = torch.log_softmax(policy.logits(policy(out.tokens_BT[:, :-1])), -1)
        written = out.written_BT[:, 1:]
        assert written.sum() > 60
        return float((logp.gather(2, out.tokens_BT[:, 1:, None])[..., 0] - out.logp_BT[:, 1:])[written].abs().max())

    return measure


@pytest.mark.parametrize("route", ["memory", "disk"])
@pytest.mark.parametrize("rank", [0, 4], ids=["all weights", "LoRA"])
def test_the_engine_is_the_trainer_after_a_sync(sampler, settings, cache, gap, route: str, rank: int) -> None:
    policy = policy_of(settings(policy={"weight_sync": route, "lora_rank": rank}), cache)
    sampler.sync(policy, sampler.version + 1)
    assert gap(policy) < 1e-4
    version = sampler.version
    shaken(policy, 1)
    assert gap(policy) > 1e-2, "the engine still has the old weights, and the measure sees it"
    sampler.sync(policy, version + 1)
    assert gap(policy) < 1e-4
    assert sampler.version == version + 1


def test_embeddings_alone_reach_the_output_layer_tied_to_them(sampler, settings, cache, gap) -> None:
    policy = policy_of(settings(), cache)
    with torch.no_grad():
        table = policy._causal.get_input_embeddings().weight
        table += 0.1 * table.std() * torch.randn(table.shape, generator=torch.Generator().manual_seed(2))
    sampler.sync(policy, sampler.version + 1)
    assert gap(policy) < 1e-4


def test_a_version_that_the_engine_has_is_not_handed_over_again(sampler, settings, cache, gap) -> None:
    policy = policy_of(settings(), cache)
    sampler.sync(policy, sampler.version + 1)
    sampler.sync(shaken(policy, 3), sampler.version)
    assert gap(policy) > 1e-2


def test_the_same_seeds_in_the_same_batch_give_the_same_dialogues(sampler, settings, cache) -> None:
    sampler.sync(policy_of(settings(), cache), sampler.version + 1)
    episodes = Episodes(LabSettings.model_validate(settings()), 9)
    one, two = (
        sampler.play([episodes.episode(i) for i in range(40)], torch.Generator().manual_seed(7)) for _ in range(2)
    )
    assert torch.equal(one.tokens_BT, two.tokens_BT)
    assert int(one.lengths_B.sum()) > 4096, "more than one step of the engine takes at once"
    for row in range(4):
        pieces = one.text(row)
        assert [by for _, by in pieces] == [bool(i % 2) for i in range(len(pieces))]
