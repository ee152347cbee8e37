"""vLLM in a process of its own, on a bundle beside the trainer's: the trainer's log-probabilities after every sync."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from maineffect.contracts import RunLost
from maineffect.errors import PluginError
from maineffect.execute.attempt.companion import RayCompanions
from maineffect.lab.policy.causal import CausalPolicy, load_causal
from maineffect.lab.sampling.sampler import open_sampler
from maineffect.lab.sampling.vllm_sampler import VllmSampler
from maineffect.lab.settings import LabSettings
from maineffect.lab.train.loop import train
from maineffect.lab.world.episode import Episodes

pytestmark = [pytest.mark.lm, pytest.mark.ray, pytest.mark.timeout(900)]

ROOM = 320


class Context:
    """A run whose placement group has one bundle beside its own; keeps what is logged."""

    def __init__(self, group: Any, cache: Path) -> None:
        self.companions, self.cache_dir = RayCompanions(group, ({"CPU": 1.0},)), cache
        self.logged: list[dict[str, float]] = []

    def companion(self, maker: Callable[..., Any], /, *arguments: Any) -> Any:
        return self.companions.start(maker, arguments)

    def seed(self, purpose: str) -> int:
        return len(purpose)

    def log(self, step: int, metrics: dict[str, float]) -> None:
        self.logged.append(metrics)

    def progress(self, done: int, total: int) -> None:
        """Nobody asks."""

    def latest_checkpoint(self) -> None:
        return None

    def check_cancelled(self) -> None:
        """Never."""


@pytest.fixture(scope="module")
def context(cache) -> Iterator[Context]:
    import ray
    from ray.util import placement_group, remove_placement_group

    ray.init(num_cpus=2, include_dashboard=False, configure_logging=False)
    group = placement_group([{"CPU": 1.0}, {"CPU": 1.0}], strategy="PACK")
    ray.get(group.ready())
    yield Context(group, cache)
    remove_placement_group(group)
    ray.shutdown()


@pytest.fixture(scope="module")
def plan(settings) -> LabSettings:
    return LabSettings.model_validate(
        settings(
            policy={"sampler": "vllm", "placement": "actor", "max_action_tokens": 12},
            episode={"budget": 1, "max_tokens": ROOM},
            train={"steps": 3, "prompts": 1, "group_size": 4, "staleness": 1, "overlap": True, "learning_rate": 1e-4},
        )
    )


@pytest.fixture(scope="module")
def policy(plan, cache) -> CausalPolicy:
    return load_causal(plan.policy, ROOM, 3, cache)


@pytest.fixture(scope="module")
def sampler(policy, context) -> Iterator[VllmSampler]:
    engine = open_sampler(policy, context)
    assert isinstance(engine, VllmSampler)
    yield engine
    engine.close()


def gap(sampler: VllmSampler, policy: CausalPolicy, plan: LabSettings) -> float:
    """Largest |Δ log-probability| between the engine and one plain forward pass, over what was written."""
    episodes = Episodes(plan, 9)
    out = sampler.play([episodes.episode(i) for i in range(4)], torch.Generator().manual_seed(0))
    with torch.no_grad():
        logp = torch.log_softmax(policy.logits(policy(out.tokens_BT[:, :-1])), -1)
    written = out.written_BT[:, 1:]
    assert written.sum() > 30
    return float((logp.gather(2, out.tokens_BT[:, 1:, None])[..., 0] - out.logp_BT[:, 1:])[written].abs().max())


def test_it_lives_on_its_own_bundle(sampler, context) -> None:
    import ray

    assert sampler.engine.process() != os.getpid()
    left = {name: amount for name, amount in ray.available_resources().items() if name.startswith("CPU_group_1_")}
    assert sum(left.values()) == 0, "the second bundle's CPU is taken"
    with pytest.raises(PluginError, match="every bundle of the run has its process already"):
        context.companion(dict)


@pytest.mark.parametrize("rank", [0, 4], ids=["all weights", "LoRA"])
def test_the_engine_is_the_trainer_after_a_sync(sampler, plan, settings, cache, rank: int) -> None:
    own = load_causal(plan.policy.model_copy(update={"lora_rank": rank}), ROOM, 3, cache)
    sampler.sync(own, sampler.version + 1)
    assert gap(sampler, own, plan) < 1e-4
    version, noise = sampler.version, torch.Generator().manual_seed(1)
    with torch.no_grad():
        for value in own.parameters():
            if value.requires_grad and value.dim() > 1:
                value += torch.randn(value.shape, generator=noise) * max(0.03 * float(value.std()), 0.005)
    assert gap(sampler, own, plan) > 1e-3, "the engine still has the old weights, and the measure sees it"
    sampler.sync(own, version + 1)
    assert gap(sampler, own, plan) < 1e-4
    assert sampler.version == version + 1


def test_it_samples_while_the_trainer_updates(sampler, policy, plan, context) -> None:
    """Weights go over as updates 0, 0 and 1, each while the next update is made elsewhere."""
    sampler.sync(policy, -2)
    train(policy, plan, context, sampler)
    assert [metrics["weight_version"] for metrics in context.logged] == [0, 0, 1]
    assert all(math.isfinite(value) for metrics in context.logged for value in metrics.values())
    assert [metrics["tokens_per_second.rollout"] > 0 for metrics in context.logged] == [True] * 3
    assert "time_share.wait" in context.logged[1]


def test_without_a_run_that_starts_processes_it_is_refused(policy) -> None:
    with pytest.raises(PluginError, match=r"policy\.placement actor needs a run that was submitted"):
        open_sampler(policy)


def test_a_lost_engine_is_a_lost_run(sampler, policy) -> None:
    """Retried from the checkpoint, as a lost node is. The last test: the engine is gone afterwards."""
    os.kill(sampler.engine.process(), 9)
    with pytest.raises(RunLost, match="a process beside the run is gone"):
        sampler.sync(policy, 99)
