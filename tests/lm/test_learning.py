"""A real language model learns: cloned in English for a few steps, then rewarded; killed, it goes on where it was."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy.stats import binomtest

from maineffect.contracts import RunCancelled
from maineffect.lab.policy.causal import load_causal
from maineffect.lab.sampling.player import ModelPlayer
from maineffect.lab.sampling.sampler import Sampler, open_sampler
from maineffect.lab.settings import LabSettings
from maineffect.lab.train.demonstrations import room
from maineffect.lab.train.loop import train
from maineffect.lab.train.warmstart import warm_start
from maineffect.lab.world.episode import Episodes

pytestmark = [pytest.mark.lm, pytest.mark.timeout(1500)]


@pytest.fixture
def make_context(tmp_path: Path, cache: Path) -> Callable[..., Any]:
    """The lab tests' context, with this session's cache."""
    path = Path(__file__).resolve().parents[1] / "lab" / "conftest.py"
    spec = importlib.util.spec_from_file_location("lab_conftest", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def make(name: str, **options: Any) -> Any:
        context = module.FolderContext(tmp_path / name, **options)
        context.cache_dir = cache
        return context

    return make


def held_out(sampler: Sampler, settings: LabSettings) -> float:
    """Mean reward, sampled as in training, on questions that training never sees."""
    episodes = Episodes(settings, 777)
    batch = [episodes.episode(i) for i in range(48)]
    return float(sampler.play(batch, torch.Generator().manual_seed(0)).rewards_B.mean())


def right_answers(sampler: Sampler, settings: LabSettings, count: int) -> int:
    """How many of as many held-out questions it answers rightly, the likeliest token each time."""
    episodes, player = Episodes(settings, 778), ModelPlayer(sampler)
    player([episodes.episode(i) for i in range(count)])
    return sum(components["answer"] == settings.reward.correct for components in player.components)


def test_reward_rises_over_warm_start_and_grpo(settings, make_context, cache) -> None:
    """`experiments/08_language_model` shortened: one hop, one distractor, so a guess is right half the time."""
    plan = LabSettings.model_validate(
        settings(
            policy={"dtype": "bfloat16", "sampler": "vllm", "max_action_tokens": 24},
            warmstart={"demonstrator": "careful", "steps": 36, "token_budget": 2048, "learning_rate": 3e-4},
            train={"steps": 8, "prompts": 4, "learning_rate": 3e-5},
        )
    )
    context = make_context("learn", seed=2)
    sampler = open_sampler(load_causal(plan.policy, room(plan), 2, cache))
    try:
        untrained = held_out(sampler, plan)
        policy = warm_start(plan, 2, cache)
        sampler.sync(policy, -1)
        cloned, right = held_out(sampler, plan), right_answers(sampler, plan, 128)
        train(policy, plan, context, sampler)
        sampler.sync(policy, plan.train.steps)
        trained = held_out(sampler, plan)
    finally:
        sampler.close()
    print(f"held-out reward: {untrained:.3f} untrained, {cloned:.3f} cloned, {trained:.3f} after GRPO")
    low = binomtest(right, 128).proportion_ci(method="wilson").low
    print(f"right answers after cloning: {right} of 128, at least {low:.2f} (95 %); guessing .50")
    assert cloned > untrained + 0.1
    assert low > 0.5
    assert trained > cloned
    assert [metrics["weight_version"] for _, metrics in context.logged] == list(range(8))
    assert sum(metrics["trained_tokens"] > 0 for _, metrics in context.logged) > 4, "most steps teach"
    for _, metrics in context.logged:
        assert all(math.isfinite(value) for value in metrics.values())
        shares = [value for name, value in metrics.items() if name.startswith("time_share.")]
        assert sum(shares) == pytest.approx(1.0)
        assert metrics["tokens_per_second.rollout"] > 0
        assert (metrics["tokens_per_second.train"] > 0) == (metrics["trained_tokens"] > 0)
        assert metrics["mismatch_mean"] < 0.1, "bfloat16 differs by rounding, not by weights"


@pytest.mark.parametrize("rank", [0, 4], ids=["all weights", "LoRA"])
def test_a_killed_run_resumes_to_the_same_weights(settings, make_context, cache, rank) -> None:
    """Torch on a CPU, float32: equal to the last digit, and so within any tolerance."""
    plan = LabSettings.model_validate(
        settings(
            policy={"lora_rank": rank, "max_action_tokens": 12},
            episode={"budget": 1, "max_tokens": 320},
            reward={"search_cost": 0.1},
            train={"steps": 2, "prompts": 1, "group_size": 4, "checkpoint_every": 1, "learning_rate": 1e-4},
        )
    )
    weights = []
    for stop_at in (None, 1):
        context = make_context(f"stop {stop_at}", stop_at=stop_at)
        policy = load_causal(plan.policy, 320, 3, cache)
        # Untrained rollouts all earn the same, which teaches nothing: the sampler's noise is rewarded instead.
        noisy = Noisy(open_sampler(policy))
        if stop_at is not None:
            with pytest.raises(RunCancelled):
                train(policy, plan, context, noisy)
            context._stop_at = None
            policy = load_causal(plan.policy, 320, 3, cache)
            noisy = Noisy(open_sampler(policy))
        train(policy, plan, context, noisy)
        weights.append(dict(policy.whole_weights()))
    start = dict(load_causal(plan.policy, 320, 3, cache).whole_weights())
    assert any(not torch.equal(start[name], value) for name, value in weights[0].items())
    for name, value in weights[0].items():
        assert torch.equal(value, weights[1][name]), name


class Noisy:
    """A sampler whose rewards depend on what was written, so that there is something to learn."""

    rows = 64

    def __init__(self, sampler: Any) -> None:
        self._sampler, self.version = sampler, 0

    def sync(self, policy: Any, version: int) -> None:
        self._sampler.sync(policy, version)
        self.version = version

    def play(self, episodes: Any, generator: Any) -> Any:
        played = self._sampler.play(episodes, generator)
        played.rewards_B = (played.tokens_BT * played.written_BT).sum(1).remainder(7).float()
        played.truncated_B[:] = False
        return played

    def sleep(self) -> None:
        self._sampler.sleep()

    def close(self) -> None:
        self._sampler.close()
