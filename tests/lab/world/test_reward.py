"""Every reward factor moves its own component, by the amount that is stated, and no other."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maineffect.lab.settings import LabSettings, RewardSettings
from maineffect.lab.world.episode import Episodes, SearchEpisode
from maineffect.lab.world.reward import citation_score, citation_shares

ACTIONS = ("right", "wrong", "declined", "silent", "declined rightly")


def outcome(kind: str, **reward: Any) -> dict[str, float]:
    """Components of an episode of two searches that ends as named."""
    share = 1.0 if kind == "declined rightly" else 0.0
    settings = LabSettings.model_validate({"world": {"hops": 1, "unanswerable_share": share}, "reward": reward})
    episode: SearchEpisode = Episodes(settings, 3).episode(0)
    episode.reset()
    for _ in range(2):
        episode.step(f"<search> {episode.question.start} {episode.question.relations[0]} </search>")
    cited = " ".join(episode.gold_ids)
    said = {
        "right": f"<answer> {episode.question.answer} sure {cited} </answer>",
        "wrong": "<answer> nobody sure </answer>",
        "declined": "<answer> none unsure </answer>",
        "declined rightly": "<answer> none unsure </answer>",
    }
    if kind == "silent":
        episode.step("")
    return dict(episode.step(said.get(kind, ""))[4]["reward_components"])


# Reward setting, two levels, which outcome it bears on, which component, and by how much per unit.
CASES = [
    ("correct", 1.0, 2.0, "right", "answer", 1.0),
    ("wrong_cost", 0.3, 1.0, "wrong", "answer", -1.0),
    ("abstain_value", 0.0, 0.3, "declined", "answer", 1.0),
    ("abstain_right", 0.0, 0.6, "declined rightly", "answer", 1.0),
    ("search_cost", 0.0, 0.1, "right", "search", -2.0),
    ("brier_weight", 0.0, 1.0, "wrong", "calibration", -0.81),
    ("brier_weight", 0.0, 1.0, "right", "calibration", -0.01),
    ("citation_weight", 0.0, 0.5, "right", "citation", 1.0),
    ("format_cost", 0.0, 0.3, "silent", "format", -1.0),
]


@pytest.mark.parametrize(("name", "low", "high", "kind", "component", "slope"), CASES)
def test_a_reward_factor_moves_its_component(
    name: str, low: float, high: float, kind: str, component: str, slope: float
) -> None:
    before, after = outcome(kind, **{name: low}), outcome(kind, **{name: high})
    assert after[component] - before[component] == pytest.approx(slope * (high - low))
    assert {k: v for k, v in before.items() if k != component} == {k: v for k, v in after.items() if k != component}


@pytest.mark.parametrize("name", sorted({case[0] for case in CASES}))
@pytest.mark.parametrize("kind", ACTIONS)
def test_it_moves_nothing_where_it_does_not_apply(name: str, kind: str) -> None:
    applies = {(case[0], case[3]) for case in CASES} | {("search_cost", action) for action in ACTIONS}
    applies |= {("wrong_cost", "silent")}  # no answer at all is a wrong one
    if (name, kind) not in applies:
        assert outcome(kind, **{name: 0.0}) == outcome(kind, **{name: 0.7})


def test_recall_is_per_statement() -> None:
    """Two documents make the first statement, one the second; three ids are cited, one of them beside the point."""
    gold = [{"d1", "d2"}, {"d3"}]
    assert citation_shares(["d1", "d3"], gold) == (1.0, 1.0)
    assert citation_shares(["d2", "d1", "d9"], gold) == (pytest.approx(2 / 3), 0.5)
    assert citation_score(["d1", "d2"], gold, "f1") == pytest.approx(2 / 3)
    assert citation_shares([], gold) == citation_shares(["d1"], []) == (0.0, 0.0)


def test_one_of_two_sources_of_a_fact_is_enough() -> None:
    settings = LabSettings.model_validate({"world": {"hops": 1, "redundancy": 2}, "reward": {"citation": "f1"}})
    episode = Episodes(settings, 3).episode(0)
    episode.reset()
    episode.step(f"<search> {episode.question.start} {episode.question.relations[0]} </search>")
    assert len(episode.gold_ids) == 2
    assert episode.gold_statements == (frozenset(episode.gold_ids),)
    step = episode.step(f"<answer> {episode.question.answer} sure {episode.gold_ids[0]} </answer>")
    assert step[4]["reward_components"]["citation"] == settings.reward.citation_weight


def test_a_confidence_that_is_not_stated_is_an_assertion() -> None:
    """Not half and half: a wrong answer without one loses the whole Brier term."""
    episode = Episodes(LabSettings.model_validate({"reward": {"brier_weight": 1.0}}), 1).episode(0)
    episode.reset()
    assert episode.step("<answer> nobody </answer>")[4]["reward_components"]["calibration"] == -1.0


@given(st.text(max_size=60), st.floats(0, 5), st.floats(0, 5))
def test_no_text_earns_more_than_a_right_and_cited_answer(text: str, brier: float, citation: float) -> None:
    reward = RewardSettings(brier_weight=brier, citation_weight=citation)
    settings = LabSettings(reward=reward)
    episode = Episodes(settings, 4).episode(1)
    episode.reset()
    for action in (text, f"<search> {text} </search>", f"<answer> {text} </answer>", text):
        _, value, done, cut, _ = episode.step(action)
        if done or cut:
            assert value <= reward.correct + citation
            return
