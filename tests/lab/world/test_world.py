"""Every factor does what it says and nothing else: manipulation checks with scripted policies."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from maineffect.lab.settings import LabSettings
from maineffect.lab.world.episode import Episodes
from maineffect.lab.world.graph import Question
from maineffect.lab.world.scripted import SCRIPTED, oracle, play
from maineffect.lab.world.vocabulary import RELIABLE
from maineffect.seeds import generator

N = 600


def questions(**world: object) -> list[Question]:
    episodes = Episodes(LabSettings.model_validate({"world": world}), 11)
    return [episodes.question(i) for i in range(N)]


def within(share: float, expected: float) -> bool:
    """Within four standard errors of a proportion."""
    return abs(share - expected) <= 4 * np.sqrt(max(expected * (1 - expected), 0.01) / N)


@pytest.mark.parametrize("rate", [0.0, 0.3, 0.6, 1.0])
def test_conflict_rate_is_the_share_of_contradicted_questions(rate: float) -> None:
    drawn = questions(conflict_rate=rate)
    assert within(np.mean([q.conflicted for q in drawn]), rate)
    for question in drawn:
        last = len(question.relations) - 1
        about = [
            d for d in question.documents if (d.subject, d.relation) == (question.path[last], question.relations[last])
        ]
        assert len(about) == 1 + question.conflicted


@pytest.mark.parametrize("gap", [0.55, 0.75, 0.95])
def test_reliability_gap_is_the_truth_rate_of_the_reliable_source(gap: float) -> None:
    drawn = questions(conflict_rate=1.0, reliability_gap=gap, hops=1)
    truth = [next(d for d in q.documents if d.gold).source == RELIABLE for q in drawn]
    assert within(np.mean(truth), gap)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5])
def test_unanswerable_share_deletes_evidence_and_leaves_the_question_alone(share: float) -> None:
    drawn, complete = questions(unanswerable_share=share), questions()
    assert within(np.mean([not q.answerable for q in drawn]), share)
    for question, whole in zip(drawn, complete, strict=True):
        assert (question.start, question.relations) == (whole.start, whole.relations)
        gold = sum(d.gold for d in question.documents)
        assert gold == len(question.relations) - (not question.answerable)


@pytest.mark.parametrize("count", [0, 1, 4])
def test_distractors_are_counted_per_hop_and_never_about_the_path(count: int) -> None:
    for question in questions(distractors=count):
        strangers = [d for d in question.documents if d.subject not in question.path]
        assert len(strangers) == count * len(question.relations)


def test_hops_are_uniform_up_to_the_longest() -> None:
    lengths = [len(q.relations) for q in questions(hops=2)]
    assert set(lengths) == {1, 2}
    assert within(np.mean(np.array(lengths) == 2), 0.5)


def test_changing_one_factor_changes_nothing_else() -> None:
    plain, contested = questions(), questions(conflict_rate=1.0)
    for a, b in zip(plain, contested, strict=True):
        assert (a.path, a.relations, a.answer) == (b.path, b.relations, b.answer)
        extra = [d for d in b.documents if d.subject in b.path and not d.gold]
        assert len(extra) == 1


@pytest.mark.parametrize("recall", [0.5, 0.8, 1.0])
def test_recall_is_the_chance_that_one_search_finds_the_evidence(recall: float) -> None:
    settings = LabSettings.model_validate({"world": {"hops": 1}, "retriever": {"recall": recall}})
    found = []
    for i in range(N):
        episode = Episodes(settings, 3).episode(i)
        episode.reset()
        episode.step(f"<search> {episode.question.start} {episode.question.relations[0]} </search>")
        found.append(bool(episode.gold_ids))
    assert within(np.mean(found), recall)


def test_searching_again_can_find_what_was_missed() -> None:
    settings = LabSettings.model_validate({"world": {"hops": 1}, "retriever": {"recall": 0.5}})
    answered = [play(Episodes(settings, 3).episode(i), oracle)[0] > 0.5 for i in range(N)]
    assert within(np.mean(answered), 0.75)  # two tries of one half


@pytest.mark.parametrize("budget", [0, 1, 3])
def test_budget_caps_searches_and_then_forces_an_answer(budget: int) -> None:
    settings = LabSettings.model_validate({"episode": {"budget": budget}})
    episode = Episodes(settings, 1).episode(0)
    episode.reset()
    search = f"<search> {episode.question.start} {episode.question.relations[0]} </search>"
    for _ in range(budget):
        assert episode.step(search)[2] is False
    notice, _, done, *_ = episode.step(search)
    assert "exhausted" in notice
    assert not done
    assert "<" not in notice
    assert episode.step(search)[2] is True
    assert len(episode.record.searches) == budget


@pytest.mark.parametrize("value", [0.0, 0.3])
def test_abstain_value_is_paid_for_abstaining_where_an_answer_existed(value: float) -> None:
    settings = LabSettings.model_validate({"reward": {"abstain_value": value}})
    rewards = [
        play(Episodes(settings, 2).episode(i), SCRIPTED["always abstain"](generator(0, i)))[0] for i in range(20)
    ]
    assert rewards == [value] * 20


WORLDS = [
    {},
    {"conflict_rate": 0.5},
    {"unanswerable_share": 0.3},
    {"conflict_rate": 0.5, "unanswerable_share": 0.3, "distractors": 1},
    {"hops": 1, "conflict_rate": 0.6, "distractors": 4},
]


@pytest.mark.parametrize("world", WORLDS)
def test_no_shortcut_beats_honest_play(world: dict[str, object]) -> None:
    settings = LabSettings.model_validate({"world": world})
    mean = {
        name: float(np.mean([play(Episodes(settings, 7).episode(i), make(generator(0, i)))[0] for i in range(300)]))
        for name, make in SCRIPTED.items()
    }
    honest = mean.pop("oracle")
    # Where nothing contradicts, counting documents is honest play: it is the same policy.
    if not world.get("conflict_rate"):
        mean.pop("majority")
    best = max(mean, key=lambda name: mean[name])
    assert honest > mean[best] + 0.02, f"{best}: {mean[best]:.3f} against {honest:.3f}"


def test_episodes_are_a_pure_function_of_seed_index_and_levels_across_processes() -> None:
    code = (
        "import hashlib\n"
        "from maineffect.lab.settings import LabSettings\n"
        "from maineffect.lab.world.episode import Episodes\n"
        "e = Episodes(LabSettings.model_validate({'world': {'conflict_rate': .5}}), 11)\n"
        "print(hashlib.sha256(repr([e.question(i) for i in range(50)]).encode()).hexdigest())"
    )
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    episodes = Episodes(LabSettings.model_validate({"world": {"conflict_rate": 0.5}}), 11)
    here = hashlib.sha256(repr([episodes.question(i) for i in range(50)]).encode()).hexdigest()
    assert here == there
