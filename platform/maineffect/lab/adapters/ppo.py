"""PPO on whole episodes: rollouts of several environments at once, advantages, clipped updates.

Shapes: E episodes, N steps of all episodes together, F features, A actions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from maineffect.contracts import RunDiverged
from maineffect.lab.adapters.encoding import FlatEnv, Floats
from maineffect.lab.adapters.gym_settings import GymPolicy, PpoSettings

__all__ = ["ActorCritic", "Batch", "advantages", "play", "update"]


class ActorCritic(nn.Module):
    """A multi-layer perceptron with a policy head and a value head.

    Args:
        features: Length of an observation.
        actions: Number of actions.
        seed: Seeds the initial weights; global random state is left alone.
    """

    def __init__(self, features: int, actions: int, settings: GymPolicy, seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            widths = [features] + [settings.width] * settings.layers
            layers: list[nn.Module] = []
            for width, after in pairwise(widths):
                layers += [_linear(width, after, 2**0.5), nn.Tanh()]
            self.body = nn.Sequential(*layers)
            # A small policy head starts near the uniform policy.
            self.policy, self.value = _linear(settings.width, actions, 0.01), _linear(settings.width, 1, 1.0)

    def forward(self, x_NF: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities (N, A) and values (N,)."""
        hidden = self.body(x_NF)
        return torch.log_softmax(self.policy(hidden), -1), cast(Tensor, self.value(hidden))[:, 0]


def _linear(inputs: int, outputs: int, gain: float) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer


@dataclass(frozen=True)
class Batch:
    """Whole episodes, one after the other.

    Attributes:
        after_E: Value of the state behind the last step: 0 where the episode ended, the critic's where it was cut.
        lengths: Steps per episode.
    """

    x_NF: Tensor
    action_N: Tensor
    logp_N: Tensor
    value_N: Tensor
    reward_N: Tensor
    after_E: Tensor
    lengths: tuple[int, ...]

    @property
    def returns(self) -> list[float]:
        """Undiscounted return per episode."""
        return [float(part.sum()) for part in torch.split(self.reward_N, list(self.lengths))]


@torch.no_grad()
def play(model: ActorCritic, envs: Sequence[FlatEnv], seeds: Sequence[int], generator: torch.Generator | None) -> Batch:
    """Play one episode per seed, as many at once as there are environments.

    Args:
        generator: Source of sampling noise; None takes the likeliest action.

    Raises:
        RunDiverged: An observation or a reward is not finite, or the policy is not.
    """
    parts = [
        _play_some(model, envs[: len(seeds) - i], seeds[i : i + len(envs)], generator)
        for i in range(0, len(seeds), len(envs))
    ]
    joined = [torch.cat([part[i] for part in map(_tensors, parts)]) for i in range(len(_tensors(parts[0])))]
    x_NF, action_N, logp_N, value_N, reward_N, after_E = joined
    lengths = tuple(n for part in parts for n in part.lengths)
    return Batch(
        x_NF=x_NF,
        action_N=action_N,
        logp_N=logp_N,
        value_N=value_N,
        reward_N=reward_N,
        after_E=after_E,
        lengths=lengths,
    )


def _tensors(batch: Batch) -> tuple[Tensor, ...]:
    return batch.x_NF, batch.action_N, batch.logp_N, batch.value_N, batch.reward_N, batch.after_E


def _play_some(
    model: ActorCritic, envs: Sequence[FlatEnv], seeds: Sequence[int], generator: torch.Generator | None
) -> Batch:
    now = [env.reset(seed) for env, seed in zip(envs, seeds, strict=True)]
    seen: list[list[tuple[Floats, int, float, float, float]]] = [[] for _ in envs]
    after = torch.zeros(len(envs))
    alive = list(range(len(envs)))
    while alive:
        logp_EA, value_E = model(torch.from_numpy(np.stack([now[i] for i in alive])))
        if not bool(torch.isfinite(logp_EA).all()):
            raise RunDiverged("the policy or an observation is not finite")
        if generator is None:
            chosen = logp_EA.argmax(-1)
        else:
            chosen = torch.multinomial(logp_EA.exp(), 1, generator=generator)[:, 0]
        going = []
        for row, i in enumerate(alive):
            action = int(chosen[row])
            before, (now[i], reward, ended, cut) = now[i], envs[i].step(action)
            if not np.isfinite(reward):
                raise RunDiverged(f"the environment gave the reward {reward}")
            seen[i].append((before, action, float(logp_EA[row, action]), float(value_E[row]), reward))
            if not ended and not cut:
                going.append(i)
            elif not ended:
                after[i] = model(torch.from_numpy(now[i][None]))[1][0]
        alive = going
    rows = [step for episode in seen for step in episode]
    x, action_, logp, value, reward_ = zip(*rows, strict=True)
    return Batch(
        x_NF=torch.from_numpy(np.stack(x)),
        action_N=torch.tensor(action_),
        logp_N=torch.tensor(logp),
        value_N=torch.tensor(value),
        reward_N=torch.tensor(reward_),
        after_E=after,
        lengths=tuple(len(episode) for episode in seen),
    )


def advantages(batch: Batch, discount: float, gae: float) -> Tensor:
    """Generalised advantage estimates (Schulman et al. 2016, arXiv 1506.02438, eq. 16), shape (N,)."""
    out = torch.zeros_like(batch.reward_N)
    start = 0
    for episode, length in enumerate(batch.lengths):
        ahead, running = float(batch.after_E[episode]), 0.0
        for t in range(start + length - 1, start - 1, -1):
            value = float(batch.value_N[t])
            running = float(batch.reward_N[t]) + discount * ahead - value + discount * gae * running
            out[t], ahead = running, value
        start += length
    return out


def update(
    model: ActorCritic,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    settings: PpoSettings,
    generator: torch.Generator,
) -> dict[str, float]:
    """Clipped updates on one batch (Schulman et al. 2017, arXiv 1707.06347, eq. 9).

    Raises:
        RunDiverged: The loss is not finite.
    """
    advantage_N = advantages(batch, settings.discount, settings.gae)
    target_N = advantage_N + batch.value_N
    advantage_N = advantage_N - advantage_N.mean()
    if settings.advantage == "std":
        advantage_N = advantage_N / (advantage_N.std(unbiased=False) + 1e-8)
    sums = {"loss_policy": 0.0, "loss_value": 0.0, "entropy": 0.0, "grad_norm": 0.0, "clipped": 0.0}
    count = 0
    for _ in range(settings.epochs):
        order = torch.randperm(len(advantage_N), generator=generator)
        for rows in order.chunk(settings.minibatches):
            logp_NA, value_N = model(batch.x_NF[rows])
            ratio_N = (logp_NA.gather(1, batch.action_N[rows][:, None])[:, 0] - batch.logp_N[rows]).exp()
            clipped_N = ratio_N.clamp(1 - settings.clip, 1 + settings.clip)
            policy = -torch.minimum(ratio_N * advantage_N[rows], clipped_N * advantage_N[rows]).mean()
            value = 0.5 * (value_N - target_N[rows]).square().mean()
            entropy = -(logp_NA.exp() * logp_NA).sum(-1).mean()
            loss = policy + settings.value * value - settings.entropy * entropy
            if not bool(torch.isfinite(loss)):
                raise RunDiverged("the loss is not finite")
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), settings.grad_clip)
            optimizer.step()
            count += 1
            clipped = ((ratio_N - 1).abs() > settings.clip).float().mean()
            for name, number in zip(sums, (policy, value, entropy, norm, clipped), strict=True):
                sums[name] += float(number.detach())
    return {name: total / count for name, total in sums.items()}
