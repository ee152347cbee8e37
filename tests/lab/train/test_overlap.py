"""Rollouts played while the trainer updates: other times, the same numbers, to the last digit."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from maineffect.contracts import RunCancelled
from maineffect.lab.policy.models import TinyTransformer
from maineffect.lab.sampling.sampler import TinySampler
from maineffect.lab.sampling.staleness import LaggingPolicy
from maineffect.lab.settings import LabSettings
from maineffect.lab.train import loop
from maineffect.lab.train.demonstrations import room
from maineffect.lab.train.loop import train
from maineffect.lab.train.warmstart import warm_start

CLOCK = ("tokens_per_second", "time_share", "mfu")
STEPS = 5


class Watched(TinySampler):
    """Notes in which thread each batch was played and with which weights; rewards what was written.

    Untrained rollouts all earn the same, which would teach nothing.
    """

    def __init__(self, policy: TinyTransformer) -> None:
        super().__init__(policy)
        self.threads: list[str] = []
        self.versions: list[int] = []
        self.slept = 0

    def play(self, episodes: Sequence[Any], generator: torch.Generator | None) -> Any:
        self.threads.append(threading.current_thread().name.partition("_")[0])
        self.versions.append(self.version)
        played = super().play(episodes, generator)
        played.rewards_B = (played.tokens_BT * played.written_BT).sum(1).remainder(7).float()
        played.truncated_B[:] = False
        return played

    def sleep(self) -> None:
        self.slept += 1


def plan_of(small: dict[str, Any], **trainer: Any) -> LabSettings:
    return LabSettings.model_validate({**small, "train": {**small["train"], "steps": STEPS, **trainer}})


def fresh(settings: LabSettings, context: Any) -> TinyTransformer:
    model = TinyTransformer(settings.policy, room(settings), 1)
    model.load_state_dict(warm_start(settings, 5, context.cache_dir).state_dict())
    return model


def trained(settings: LabSettings, context: Any) -> tuple[TinyTransformer, Watched]:
    model = fresh(settings, context)
    sampler = Watched(model)
    return train(model, settings, context, sampler), sampler  # type: ignore[return-value]


def numbers(context: Any) -> list[tuple[int, dict[str, float]]]:
    return [(step, {k: v for k, v in logged.items() if not k.startswith(CLOCK)}) for step, logged in context.logged]


@pytest.mark.parametrize("staleness", [1, 3])
@pytest.mark.parametrize("variant", [{}, {"curriculum": "rising", "epochs": 2, "minibatches": 2}], ids=["plain", "PPO"])
def test_playing_ahead_gives_the_numbers_of_waiting(small, make_context, staleness: int, variant) -> None:
    contexts, models, samplers = [], [], []
    for overlap in (False, True):
        settings = plan_of(small, staleness=staleness, overlap=overlap, learning_rate=0.01, **variant)
        contexts.append(make_context(f"overlap {overlap}"))
        model, sampler = trained(settings, contexts[-1])
        models.append(model)
        samplers.append(sampler)
    start = fresh(settings, contexts[0])
    assert not torch.equal(models[0].embedding.weight, start.embedding.weight)
    for (name, a), (_, b) in zip(models[0].named_parameters(), models[1].named_parameters(), strict=True):
        assert torch.equal(a, b), name
    assert numbers(contexts[0]) == numbers(contexts[1])
    expected = [max(0, step - staleness) for step in range(STEPS)]
    assert [sampler.versions for sampler in samplers] == [expected] * 2
    assert [logged["weight_version"] for _, logged in contexts[1].logged] == expected
    assert samplers[0].threads == ["MainThread"] * STEPS
    assert samplers[1].threads == ["MainThread"] + ["rollouts"] * (STEPS - 1)
    assert (samplers[0].slept, samplers[1].slept) == (STEPS, 0)


def test_at_staleness_0_nothing_is_played_ahead(small, make_context) -> None:
    runs = [make_context(f"overlap {overlap}") for overlap in (False, True)]
    models = []
    for overlap, context in zip((False, True), runs, strict=True):
        model, sampler = trained(plan_of(small, overlap=overlap), context)
        models.append(model)
        assert sampler.threads == ["MainThread"] * STEPS
        assert sampler.versions == list(range(STEPS))
    assert all(torch.equal(a, b) for a, b in zip(models[0].parameters(), models[1].parameters(), strict=True))
    assert numbers(runs[0]) == numbers(runs[1])
    with pytest.raises(ValueError, match="this step's update"):
        LaggingPolicy(models[0], 0).ahead()


def test_the_next_batch_is_played_during_the_update(small, make_context, monkeypatch) -> None:
    """The update waits until the next batch is being played: without overlap that would never be."""
    settings = plan_of(small, staleness=1, overlap=True)
    context, playing, seen = make_context(), threading.Event(), []
    whole = loop.update

    class Telling(Watched):
        def play(self, episodes: Sequence[Any], generator: torch.Generator | None) -> Any:
            if threading.current_thread() is not threading.main_thread():
                playing.set()
            return super().play(episodes, generator)

    def waiting(*arguments: Any) -> Any:
        seen.append(playing.wait(timeout=20 if len(seen) < STEPS - 1 else 0.1))
        playing.clear()
        return whole(*arguments)

    monkeypatch.setattr(loop, "update", waiting)
    model = fresh(settings, context)
    train(model, settings, context, Telling(model))
    assert seen == [True] * (STEPS - 1) + [False], "after the last batch there is none"


def test_a_resumed_run_equals_the_uninterrupted_one(small, make_context) -> None:
    """A batch that was under way is not in the checkpoint: it is played again, with the weights that were due."""
    settings = plan_of(small, staleness=2, overlap=True)
    whole_context, broken_context = make_context("whole"), make_context("broken", stop_at=3)
    whole, _ = trained(settings, whole_context)
    with pytest.raises(RunCancelled):
        trained(settings, broken_context)
    assert threading.active_count() == len([t for t in threading.enumerate() if not t.name.startswith("rollouts")])
    broken_context._stop_at = None
    resumed, sampler = trained(settings, broken_context)
    assert len(sampler.threads) == 3, "from the checkpoint after two updates"
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))
    assert numbers(whole_context)[2:] == numbers(broken_context)[-3:]


def test_what_goes_wrong_in_the_thread_is_the_trainers(small, make_context) -> None:
    settings = plan_of(small, staleness=1, overlap=True)
    context = make_context()

    class Broken(Watched):
        def play(self, episodes: Sequence[Any], generator: torch.Generator | None) -> Any:
            if self.threads:
                raise RuntimeError("the engine is gone")
            return super().play(episodes, generator)

    model = fresh(settings, context)
    with pytest.raises(RuntimeError, match="the engine is gone"):
        train(model, settings, context, Broken(model))
    assert len(context.logged) == 1


def test_time_beside_the_trainer_counts_for_rates_and_not_for_shares(small, make_context) -> None:
    settings = plan_of(small, staleness=1, overlap=True)
    context = make_context()
    trained(settings, context)
    for step, logged in context.logged:
        shares = {name: value for name, value in logged.items() if name.startswith("time_share.")}
        assert sum(shares.values()) == pytest.approx(1.0)
        assert ("time_share.wait" in shares) == (step > 0)
        assert logged["tokens_per_second.rollout"] > 0
