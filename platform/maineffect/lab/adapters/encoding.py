"""Environments of any flat kind → vectors in, action numbers out."""

from __future__ import annotations

import zlib
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from maineffect.errors import PluginError
from maineffect.lab.adapters.entries import AnyEnv, make_environment
from maineffect.lab.adapters.gym_settings import EnvironmentSettings

__all__ = ["FlatEnv", "Floats", "TextChoices", "make_flat", "word_features"]

Floats = NDArray[np.float32]


class FlatEnv:
    """An environment whose observations are vectors and whose actions are 0 … n − 1.

    Args:
        env: Any Gymnasium environment with discrete actions whose observations can be flattened.
        max_steps: Longest episode; a longer one is truncated.

    Raises:
        PluginError: Its spaces are of another kind.
    """

    def __init__(self, env: AnyEnv, max_steps: int) -> None:
        action, observation = env.action_space, env.observation_space
        if not isinstance(action, spaces.Discrete):
            hint = "give settings.environment.choices" if isinstance(action, spaces.Text) else "wrap it in your factory"
            raise PluginError(f"the environment's actions are {action}, not Discrete", hint)
        if not observation.is_np_flattenable:
            raise PluginError(f"the environment's observations are {observation}", "flatten them in your factory")
        self._env, self._max_steps, self._taken = env, max_steps, 0
        self._first = int(action.start)
        self.actions = int(action.n)
        self.features = int(spaces.flatdim(observation))

    def reset(self, seed: int) -> Floats:
        """Start an episode that is a function of the seed."""
        self._taken = 0
        observation, _ = self._env.reset(seed=seed)
        return self._flat(observation)

    def step(self, action: int) -> tuple[Floats, float, bool, bool]:
        """Observation, reward, ended, truncated."""
        observation, reward, ended, cut, _ = self._env.step(self._first + action)
        self._taken += 1
        return self._flat(observation), float(reward), bool(ended), bool(cut) or self._taken >= self._max_steps

    def close(self) -> None:
        """Release what the environment holds."""
        self._env.close()

    def _flat(self, observation: Any) -> Floats:
        return np.asarray(spaces.flatten(self._env.observation_space, observation), dtype=np.float32)


class TextChoices(gym.Wrapper[Floats, np.int64, str, str]):
    """An environment over text for a policy without language: words are hashed, actions are chosen from a list.

    Args:
        env: Observations and actions are strings.
        choices: The texts that may be said.
        features: Buckets.
    """

    def __init__(self, env: AnyEnv, choices: tuple[str, ...], features: int) -> None:
        super().__init__(env)
        self._text: gym.Env[str, str] = env
        self._choices, self._features = choices, features
        self.action_space = spaces.Discrete(len(choices))
        self.observation_space = spaces.Box(-np.inf, np.inf, (features,), np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Floats, dict[str, Any]]:
        """Features of the first observation."""
        text, info = self._text.reset(seed=seed, options=options)
        return word_features(text, self._features), info

    def step(self, action: np.int64) -> tuple[Floats, float, bool, bool, dict[str, Any]]:
        """Say one of the choices."""
        text, reward, ended, cut, info = self._text.step(self._choices[int(action)])
        return word_features(text, self._features), float(reward), ended, cut, info


def word_features(text: str, buckets: int) -> Floats:
    """Signed counts of hashed words (Weinberger et al. 2009, "Feature hashing", eq. 1), divided by √(words)."""
    counts = np.zeros(buckets, np.float32)
    words = text.split()
    for word in words:
        # CRC-32, because Python's own hash differs between processes.
        code = zlib.crc32(word.encode())
        counts[(code >> 1) % buckets] += 1.0 if code & 1 else -1.0
    return counts / np.float32(max(len(words), 1) ** 0.5)


def make_flat(settings: EnvironmentSettings, args: dict[str, Any]) -> FlatEnv:
    """Make one copy of a run's environment.

    Raises:
        PluginError: It cannot be made, or has spaces that this trainable cannot serve.
    """
    env = make_environment(settings.entry, args)
    if settings.choices:
        if not (isinstance(env.action_space, spaces.Text) and isinstance(env.observation_space, spaces.Text)):
            raise PluginError(
                f"environment {settings.entry!r} has actions {env.action_space}", "choices are for text environments"
            )
        env = TextChoices(env, settings.choices, settings.text_features)
    return FlatEnv(env, settings.max_steps)
