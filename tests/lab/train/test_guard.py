"""The likelihood guard pulls well-rewarded rollouts back up when they have become less likely than at the start."""

from __future__ import annotations

import copy

import torch

from maineffect.lab.sampling.tiny_sampler import rollout
from maineffect.lab.settings import LabSettings
from maineffect.lab.train.grpo import update
from maineffect.lab.train.warmstart import warm_start
from maineffect.lab.world.episode import Episodes


def test_the_guard_restores_the_likelihood_of_good_rollouts(small, make_context) -> None:
    settings = LabSettings.model_validate({**small, "warmstart": {"steps": 30, "batch": 16}})
    initial = warm_start(settings, 5, make_context().cache_dir)
    episodes = Episodes(settings, 3)
    batch = [episode for i in range(6) for episode in episodes.group(i, 4)]
    played = rollout(initial, batch, torch.Generator().manual_seed(1))
    # Rewards that differ inside every group, so that half of the rollouts are to be learned from.
    played.rewards_B = torch.tensor([1.0, 0.0, 1.0, 0.0] * 6)
    spoiled = copy.deepcopy(initial)
    noise = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for weights in spoiled.parameters():
            weights += 0.05 * torch.randn(weights.shape, generator=noise)
    after = {}
    for guard in (0.0, 5.0):
        model = copy.deepcopy(spoiled)
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-2)
        plan = settings.train.model_copy(update={"group_size": 4, "likelihood_guard": guard})
        update(model, initial, optimizer, played, plan)
        after[guard] = update(model, initial, torch.optim.SGD(model.parameters(), lr=0.0), played, plan).positive_logp
    assert after[5.0] > after[0.0]


def test_without_a_fall_the_guard_does_nothing(small, make_context) -> None:
    settings = LabSettings.model_validate(small)
    initial = warm_start(settings, 5, make_context().cache_dir)
    episodes = Episodes(settings, 3)
    batch = [episode for i in range(3) for episode in episodes.group(i, 4)]
    played = rollout(initial, batch, torch.Generator().manual_seed(1))
    played.rewards_B = torch.tensor([1.0, 0.0, 1.0, 0.0] * 3)
    states = []
    for guard in (0.0, 5.0):
        model = copy.deepcopy(initial)
        plan = settings.train.model_copy(update={"group_size": 4, "likelihood_guard": guard})
        update(model, initial, torch.optim.SGD(model.parameters(), lr=1e-2), played, plan)
        states.append(model.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
