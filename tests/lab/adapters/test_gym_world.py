"""The search world passes Gymnasium's own checker, and its questions are a function of seed and index."""

from __future__ import annotations

import warnings

import gymnasium as gym
import pytest
from gymnasium.utils.env_checker import check_env

from maineffect.lab.adapters.gym_world import AnyText, SearchWorld, register_world
from maineffect.lab.settings import LabSettings
from maineffect.lab.world.episode import Episodes

SETTINGS = {"world": {"conflict_rate": 0.5, "unanswerable_share": 0.3}}


@pytest.mark.parametrize("language", ["words", "english"])
def test_gymnasiums_own_checker_finds_nothing(language: str) -> None:
    env = gym.make(register_world(), settings={"world": {"language": language}}, disable_env_checker=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # The checker wants the bare environment, and warns of wrapped ones.
        check_env(env.unwrapped)


def test_the_checker_can_fail() -> None:
    class Forgetful(SearchWorld):
        def reset(self, *, seed=None, options=None):  # type: ignore[no-untyped-def]
            return super().reset(seed=None, options=options)

    with pytest.raises(AssertionError, match=r"seed|np_random"):
        check_env(Forgetful(SETTINGS))


def test_questions_are_those_of_the_core_environment() -> None:
    env = SearchWorld(SETTINGS)
    core = Episodes(LabSettings.model_validate(SETTINGS), 7)
    expected = [core.episode(i).reset()[0] for i in range(4)]
    assert [env.reset(seed=7)[0], *(env.reset()[0] for _ in range(3))] == expected
    assert env.reset(options={"index": 2})[0] == expected[2]
    assert len(set(expected)) > 1


def test_reward_is_the_sum_of_its_components() -> None:
    env = SearchWorld(SETTINGS)
    env.reset(seed=3)
    _, reward, ended, cut, info = env.step("<answer> none sure </answer>")
    assert ended
    assert not cut
    assert reward == pytest.approx(sum(info["reward_components"].values()))
    assert len(info["reward_components"]) > 1


def test_step_before_reset_is_refused() -> None:
    with pytest.raises(gym.error.ResetNeeded):
        SearchWorld().step("<answer> none </answer>")


def test_text_space_takes_what_a_corpus_may_hold() -> None:
    space = AnyText(10)
    assert space.contains("Zürich ‹b›")
    assert not space.contains("x" * 11)
    assert not space.contains(7)
    space.seed(1)
    assert space.contains(space.sample())
