"""Does a shortcut beat honest play? Printed for every policy and every reward; at the default none does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from maineffect.lab.settings import LabSettings
from maineffect.lab.world.episode import Episodes, SearchEpisode
from maineffect.lab.world.scripted import FIXED_RULES, SCRIPTED, SHORTCUTS, play
from maineffect.seeds import generator

REWARDS: dict[str, dict[str, Any]] = {
    "default": {},
    "abstention pays well": {"abstain_value": 0.3, "wrong_cost": 1.0},
    "wrong answers are free": {"wrong_cost": 0.0},
    "ternary": {"wrong_cost": 1.0, "abstain_right": 0.0},
    "calibrated, half": {"brier_weight": 0.5},
    "calibrated, whole": {"brier_weight": 1.0},
    "citations, f1": {"citation_weight": 0.5, "citation": "f1"},
    "search costs": {"search_cost": 0.1},
    "format": {"format_cost": 0.3},
}
WORLDS: dict[str, dict[str, Any]] = {
    "plain": {"distractors": 3},
    "contradicted": {"conflict_rate": 0.6, "conflict_cue": "crossed"},
    "unanswerable": {"unanswerable_share": 0.5},
    "poisoned": {"adversary": "instruction", "adversary_rate": 0.6, "copies": 3, "conflict_rate": 0.5},
    "outdated": {"staleness": 0.6},
    "skewed": {"answers": 8, "answer_skew": 1.5},
}
N = 150


def mean_reward(name: str, episodes: Sequence[SearchEpisode]) -> float:
    """Of a policy; every policy plays the same episodes, each from its start."""
    return float(np.mean([play(episode, SCRIPTED[name](generator(0, i)))[0] for i, episode in enumerate(episodes)]))


@pytest.mark.parametrize(
    "reward",
    [
        name if name in ("default", "abstention pays well") else pytest.param(name, marks=pytest.mark.slow)
        for name in REWARDS
    ],
)
def test_shortcuts_against_honest_play(reward: str) -> None:
    """The table; at the default reward no shortcut pays, and no reward pays for none or all of the reading."""
    beaten = []
    for world, levels in WORLDS.items():
        settings = LabSettings.model_validate({"reward": REWARDS[reward], "world": levels})
        drawn = Episodes(settings, 7)
        episodes = [drawn.episode(i) for i in range(N)]
        honest = mean_reward("oracle", episodes)
        # Where nothing must be weighed, a reader by a fixed rule is honest play.
        rivals = [*SHORTCUTS, *(FIXED_RULES if world in ("contradicted", "poisoned", "outdated") else ())]
        rewards = {name: mean_reward(name, episodes) for name in rivals}
        best = max(rewards, key=lambda name: rewards[name])
        lead = honest - rewards[best]
        print(f"{reward:24} {world:14} honest {honest:+.3f}, best shortcut {best} {honest - lead:+.3f}")
        if lead < 0.02:
            beaten.append(f"{best} in {world}")
    assert not beaten or reward != "default", beaten
    # Harsh rewards may make a shortcut tempting; that it is known is the point. Today none is.
    assert not beaten


def test_the_format_cannot_be_farmed() -> None:
    """The format's component is never positive, whatever is said."""
    for text in ("", "<answer>", "<search> </search>", "<answer> none </answer>", "<search> a b </search>"):
        episode = Episodes(LabSettings(), 1).episode(0)
        episode.reset()
        for _ in range(9):
            _, _, done, cut, info = episode.step(text)
            if done or cut:
                assert info["reward_components"]["format"] <= 0
                break


def test_being_wrong_with_no_confidence_still_costs() -> None:
    settings = LabSettings.model_validate({"reward": {"brier_weight": 1.0}})
    episode = Episodes(settings, 1).episode(0)
    episode.reset()
    reward = episode.step("<answer> nobody unsure </answer>")[1]
    assert reward < -settings.reward.wrong_cost
