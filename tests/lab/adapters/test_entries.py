"""Environments by name: found, or refused with the way out."""

from __future__ import annotations

import gymnasium as gym
import pytest
from pydantic import ValidationError

from maineffect.errors import PluginError
from maineffect.lab.adapters.encoding import FlatEnv, make_flat, word_features
from maineffect.lab.adapters.entries import check_entry, make_environment
from maineffect.lab.adapters.gym_settings import EnvironmentSettings, GymSettings

WORLD = "maineffect.lab.adapters.gym_world:SearchWorld"


def test_ids_and_factories_are_made_with_their_arguments() -> None:
    lake = make_environment("FrozenLake-v1", {"is_slippery": False, "map_name": "8x8"})
    assert int(lake.observation_space.n) == 64  # type: ignore[attr-defined]
    world = make_environment(WORLD, {"settings": {"world": {"hops": 1}}})
    assert world.settings.world.hops == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("entry", "args", "message"),
    [
        ("CartPool-v1", {}, "did you mean 'CartPole-v1'"),
        ("FrozenLake-v1", {"slippery": True}, "is_slippery"),
        ("no_such_module:make", {}, "no module 'no_such_module'"),
        ("no_such_module:Thing-v0", {}, "no_such_module"),
        ("maineffect.lab.adapters.gym_world:SearchWord", {}, "did you mean 'SearchWorld'"),
        ("maineffect.lab.adapters.gym_world:WORLD_ID", {}, "name a class or a function"),
        (WORLD, {"setting": {}}, "it takes: settings"),
    ],
)
def test_what_does_not_exist_is_refused_before_anything_runs(entry: str, args: dict, message: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(PluginError, match=message):
        check_entry(entry, args)
    with pytest.raises(ValidationError, match=message):
        GymSettings.model_validate({"environment": {"entry": entry, "args": args}})


def test_evaluation_arguments_are_checked_too() -> None:
    with pytest.raises(ValidationError, match="is_slippery"):
        GymSettings.model_validate(
            {"environment": {"entry": "FrozenLake-v1"}, "evaluation": {"args": {"slipery": False}}}
        )


def test_a_factory_that_raises_or_returns_something_else_is_named() -> None:
    with pytest.raises(PluginError, match="raised"):
        make_environment(WORLD, {"settings": {"world": {"hops": 99}}})
    with pytest.raises(PluginError, match="returned a dict"):
        make_environment("builtins:dict", {"a": 1})


def test_spaces_of_another_kind_are_refused() -> None:
    with pytest.raises(PluginError, match="not Discrete"):
        FlatEnv(gym.make("Pendulum-v1"), 10)
    with pytest.raises(PluginError, match=r"settings\.environment\.choices"):
        make_flat(EnvironmentSettings(entry=WORLD), {})
    with pytest.raises(PluginError, match="choices are for text"):
        make_flat(EnvironmentSettings(entry="CartPole-v1", choices=("left",)), {})


def test_actions_count_from_the_spaces_start() -> None:
    class Echo(gym.Env[int, int]):
        observation_space = gym.spaces.Discrete(9)
        action_space = gym.spaces.Discrete(2, start=5)

        def reset(self, *, seed=None, options=None):  # type: ignore[no-untyped-def]
            return 0, {}

        def step(self, action):  # type: ignore[no-untyped-def]
            return int(action), float(action), False, False, {}

    env = FlatEnv(Echo(), 2)
    assert env.reset(1).argmax() == 0
    seen, reward, ended, cut = env.step(1)
    assert (seen.argmax(), reward, ended, cut) == (6, 6.0, False, False)
    assert env.step(0)[3], "the limit truncates"


def test_word_features_do_not_depend_on_the_process() -> None:
    # CRC-32 of b"rival" is fixed by ISO 3309; a hash salted per process would move the bucket.
    import zlib

    code = zlib.crc32(b"rival")
    features = word_features("rival", 32)
    assert features[(code >> 1) % 32] == (1.0 if code & 1 else -1.0)
    assert abs(features).sum() == 1.0
    assert not word_features("", 32).any()
