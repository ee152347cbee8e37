"""What a step trains on, and with whose weights it is sampled."""

from __future__ import annotations

import torch

from maineffect.lab.policy.models import TinyTransformer
from maineffect.lab.policy_settings import PolicySettings
from maineffect.lab.sampling.staleness import LaggingPolicy
from maineffect.lab.settings import LabSettings
from maineffect.lab.train.curriculum import settings_at

WORLD = {"hops": 3, "distractors": 4, "conflict_rate": 0.6, "unanswerable_share": 0.3}


def test_a_fixed_curriculum_is_the_study_s_world_at_every_step() -> None:
    settings = LabSettings.model_validate({"world": WORLD})
    assert all(settings_at(settings, step) is settings for step in range(50))


def test_a_rising_curriculum_grows_to_the_study_s_world_and_stays() -> None:
    settings = LabSettings.model_validate({"world": WORLD, "train": {"curriculum": "rising", "steps": 20}})
    worlds = [settings_at(settings, step).world for step in range(20)]
    for name in WORLD:
        values = [getattr(world, name) for world in worlds]
        assert values == sorted(values)
        assert values[0] < values[9]
        assert values[9:] == [WORLD[name]] * 11
    assert all(world.reliability_gap == settings.world.reliability_gap for world in worlds)


def test_a_stale_sampler_is_that_many_updates_behind() -> None:
    model = TinyTransformer(PolicySettings(width=32, layers=1, heads=2), 64, 3)
    sampler = LaggingPolicy(model, 2)
    lags, scales = [], []
    for step in range(5):
        lags.append(sampler.lag)
        scales.append(sampler.policy().norm.weight[0].item())
        with torch.no_grad():
            model.norm.weight.fill_(step + 2.0)  # "update" number step + 1
        sampler.remember()
    assert lags == [0, 1, 2, 2, 2]
    assert scales == [1.0, 1.0, 1.0, 2.0, 3.0]


def test_without_staleness_the_sampler_is_the_policy_itself() -> None:
    model = TinyTransformer(PolicySettings(width=32, layers=1, heads=2), 64, 3)
    assert LaggingPolicy(model, 0).policy() is model
    assert LaggingPolicy(model, 0).state() == []
