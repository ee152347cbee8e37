"""Every factor does what it says and nothing else: manipulation checks with scripted policies."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maineffect.lab.settings import LabSettings, WorldSettings
from maineffect.lab.world.draws import prior
from maineffect.lab.world.episode import Episodes
from maineffect.lab.world.facts import RELIABLE, UNSIGNED_TIER, Kind, Question, Role
from maineffect.lab.world.scripted import SCRIPTED, oracle, play
from maineffect.lab.world.solver import solve
from maineffect.lab.world.vocabulary import ENTITIES, SYNONYMS, VOCABULARY, near_names
from maineffect.lab.world.words import longest_transcript
from maineffect.seeds import generator

N = 600


def lab(**sections: Any) -> LabSettings:
    return LabSettings.model_validate(sections)


def questions(count: int = N, **world: object) -> list[Question]:
    episodes = Episodes(lab(world=world), 11)
    return [episodes.question(i) for i in range(count)]


def within(share: float, expected: float) -> bool:
    """Within four standard errors of a proportion."""
    return abs(share - expected) <= 4 * np.sqrt(max(expected * (1 - expected), 0.01) / N)


def around_the_answer(question: Question, role: Role) -> list[Any]:
    return [d for d in question.documents if d.role is role]


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
    truth = [next(d for d in q.documents if d.gold).tier == RELIABLE for q in drawn]
    assert within(np.mean(truth), gap)


def test_the_conflict_cue_says_what_decides() -> None:
    for cue in ("unreliable", "stale", "ambiguous"):
        for question in questions(200, conflict_rate=1.0, conflict_cue=cue, reliability_gap=1.0):
            rival = around_the_answer(question, Role.RIVAL)[0]
            gold = next(d for d in question.documents if d.gold and d.hop == rival.hop)
            assert rival.source != gold.source
            assert (rival.tier < gold.tier) == (cue == "unreliable")
            if cue != "unreliable":
                assert (rival.date < gold.date) == (cue == "stale")
            assert question.answerable == (cue != "ambiguous")
    crossed = questions(conflict_rate=1.0, conflict_cue="crossed", reliability_gap=1.0)
    by_source = [
        around_the_answer(q, Role.RIVAL)[0].tier
        != next(d for d in q.documents if d.gold and d.hop == len(q.relations) - 1).tier
        for q in crossed
    ]
    assert within(np.mean(by_source), 0.5)


@pytest.mark.parametrize("copies", [0, 2, 4])
def test_copies_share_their_origin_with_the_contradiction(copies: int) -> None:
    for question in questions(100, conflict_rate=1.0, copies=copies):
        rivals = around_the_answer(question, Role.RIVAL)
        assert len(rivals) == 1 + copies
        assert len({d.origin for d in rivals}) == 1


@pytest.mark.parametrize("count", [1, 2, 4])
def test_redundancy_is_the_number_of_independent_sources_of_a_fact(count: int) -> None:
    for question in questions(100, redundancy=count):
        for hop in range(len(question.relations)):
            gold = [d for d in question.documents if d.gold and d.hop == hop]
            assert len({d.source for d in gold}) == len(gold) == count
            assert len({(d.value, d.date, d.tier) for d in gold}) == 1


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6])
def test_staleness_is_the_share_with_an_outdated_version(share: float) -> None:
    drawn = questions(staleness=share)
    stale = [around_the_answer(q, Role.STALE) for q in drawn]
    assert within(np.mean([len(found) for found in stale]), share)
    past = [q.as_of is not None for q, found in zip(drawn, stale, strict=True) if found]
    assert not past or abs(np.mean(past) - 0.5) < 0.12
    for question, found in zip(drawn, stale, strict=True):
        if found:
            gold = next(d for d in question.documents if d.gold and d.hop == found[0].hop)
            assert found[0].date < gold.date
            assert question.answer == (found[0].value if question.as_of is not None else gold.value)


@pytest.mark.parametrize("kind", ["wrong", "instruction"])
def test_the_adversary_is_unsigned_and_never_decides(kind: str) -> None:
    drawn = questions(adversary=kind, adversary_rate=0.5)
    injected = [around_the_answer(q, Role.INJECTED) for q in drawn]
    assert within(np.mean([len(found) for found in injected]), 0.5)
    for question, found in zip(drawn, injected, strict=True):
        assert question.answer == question.path[-1]
        for document in found:
            assert document.tier == UNSIGNED_TIER
            assert document.value != question.answer
            assert bool(document.command) == (kind == "instruction")


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5])
def test_unanswerable_share_deletes_evidence_and_leaves_the_question_alone(share: float) -> None:
    drawn, complete = questions(unanswerable_share=share), questions()
    assert within(np.mean([not q.answerable for q in drawn]), share)
    for question, whole in zip(drawn, complete, strict=True):
        assert (question.start, question.relations) == (whole.start, whole.relations)
        gold = sum(d.gold for d in question.documents)
        assert gold == len(question.relations) - (not question.answerable)


@pytest.mark.parametrize("count", [0, 1, 4, 16])
def test_distractors_are_counted_per_hop_and_never_about_the_path(count: int) -> None:
    for question in questions(200, distractors=count):
        strangers = [d for d in question.documents if d.subject not in question.path]
        assert len(strangers) == count * len(question.relations)


def test_distractor_kinds() -> None:
    for kind in ("random", "same_relation", "near_name"):
        for question in questions(100, distractors=4, distractor_kind=kind):
            for document in around_the_answer(question, Role.DISTRACTOR):
                near = document.subject in near_names(question.path[document.hop])
                assert (document.relation in question.relations) == (kind != "random")
                assert near or kind != "near_name"


def test_hops_are_uniform_up_to_the_longest() -> None:
    for longest in (1, 2, 4):
        lengths = Counter(len(q.relations) for q in questions(hops=longest))
        assert set(lengths) == set(range(1, longest + 1))
        assert all(within(count / N, 1 / longest) for count in lengths.values())


def test_an_alias_hides_the_first_entity_behind_one_link() -> None:
    for question in questions(100, vocabulary_gap="alias"):
        (link,) = around_the_answer(question, Role.LINK)
        assert link.subject == question.start
        assert {d.subject for d in question.documents if d.gold and d.hop == 0} == {link.value}


def test_paraphrase_changes_the_words_of_what_is_needed_only() -> None:
    for question, plain in zip(questions(100, vocabulary_gap="paraphrase"), questions(100), strict=True):
        assert [replace(d, shown_relation="") for d in question.documents] == list(plain.documents)
        for document in question.documents:
            stranger = document.role is Role.DISTRACTOR
            assert document.wording == (document.relation if stranger else SYNONYMS[document.relation])


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_prior_leakage_is_the_share_of_facts_that_never_change(share: float) -> None:
    same = [q.path[1] == prior(q.relations[0])[q.path[0]] for q in questions(prior_leakage=share)]
    # By chance one fact in 47 is as it always is.
    assert within(np.mean(same), share + (1 - share) / 47)


@pytest.mark.parametrize(("count", "skew"), [(48, 0.0), (8, 0.0), (8, 1.5)])
def test_answer_skew_is_the_distribution_of_answers(count: int, skew: float) -> None:
    drawn = Counter(q.answer for q in questions(hops=1, answers=count, answer_skew=skew))
    weights = np.arange(1, count + 1) ** -skew
    expected = weights / weights.sum()
    for k, name in enumerate(ENTITIES[:count]):
        # The question's own entity is never its answer, which moves a name's share by at most 1/48 of itself.
        assert abs(drawn[name] / N - expected[k]) < 4 * np.sqrt(expected[k] / N) + expected[k] / 20
    assert set(drawn) - set(ENTITIES[:count]) == set()


def test_kinds_of_question() -> None:
    drawn = Counter(q.kind for q in questions(aggregate_share=0.3, comparison_share=0.2))
    assert within(drawn[Kind.COUNT] / N, 0.3)
    assert within(drawn[Kind.MORE] / N, 0.2)


def test_source_names() -> None:
    fixed = {d.source: d.tier for q in questions(100) for d in q.documents}
    assert all(fixed[d.source] == d.tier for q in questions(100) for d in q.documents)
    for names in ("stated", "hidden"):
        tiers: dict[str, set[int]] = {}
        for question in questions(100, source_names=names):
            assert bool(question.trusted) == (names == "stated")
            for document in question.documents:
                tiers.setdefault(document.source, set()).add(document.tier)
                assert names == "hidden" or (document.source in question.trusted) == (document.tier == RELIABLE)
        assert all(len(found) == 2 for found in tiers.values()), "a name must not tell its tier"


CHANGES: list[dict[str, object]] = [
    {"conflict_rate": 1.0},
    {"conflict_rate": 1.0, "copies": 3},
    {"staleness": 1.0, "past_share": 0.0},
    {"adversary": "instruction", "adversary_rate": 1.0},
    {"redundancy": 3},
    {"distractors": 9},
    {"past_share": 0.9},
    {"reliability_gap": 0.5},
]


@pytest.mark.parametrize("change", CHANGES)
def test_changing_one_factor_changes_nothing_else(change: dict[str, object]) -> None:
    """The plain world's documents and question are all there, in the same words."""
    for a, b in zip(questions(100), questions(100, **change), strict=True):
        assert (a.path, a.relations, a.answer, a.as_of) == (b.path, b.relations, b.answer, b.as_of)
        # The tier of a contradicted fact is decided by the reliability gap.
        strip = (lambda d: replace(d, source="", tier=0)) if "conflict_rate" in change else (lambda d: d)
        assert {strip(d) for d in a.documents} <= {strip(d) for d in b.documents}


def test_the_retriever_draws_by_document_and_not_by_place() -> None:
    plain, crowded = (lab(world={"staleness": s, "past_share": 0.0}, retriever={"recall": 0.5}) for s in (0.0, 1.0))
    for i in range(200):
        shown = []
        for settings in (plain, crowded):
            episode = Episodes(settings, 3).episode(i)
            episode.reset()
            episode.step(f"<search> {episode.question.start} {episode.question.relations[0]} </search>")
            shown.append(
                {episode.question.documents[k] for k in episode.shown.values() if episode.question.documents[k].gold}
            )
        assert shown[0] == shown[1]


@pytest.mark.parametrize("recall", [0.5, 0.8, 1.0])
def test_recall_is_the_chance_that_one_search_finds_the_evidence(recall: float) -> None:
    settings = lab(world={"hops": 1}, retriever={"recall": recall})
    found = []
    for i in range(N):
        episode = Episodes(settings, 3).episode(i)
        episode.reset()
        episode.step(f"<search> {episode.question.start} {episode.question.relations[0]} </search>")
        found.append(bool(episode.gold_ids))
    assert within(np.mean(found), recall)


def test_searching_again_can_find_what_was_missed() -> None:
    settings = lab(world={"hops": 1}, retriever={"recall": 0.5})
    answered = [play(Episodes(settings, 3).episode(i), oracle)[0] > 0.5 for i in range(N)]
    assert within(np.mean(answered), 0.75)  # two tries of one half


@pytest.mark.parametrize("snippet", ["claim", "sourced", "padded"])
def test_snippet_is_what_is_shown_of_a_document(snippet: str) -> None:
    episode = Episodes(lab(retriever={"snippet": snippet}), 1).episode(0)
    episode.reset()
    text = episode.step(f"<search> {episode.question.start} {episode.question.relations[0]} </search>")[0]
    document = next(d for d in episode.question.documents if d.gold)
    assert (document.source in text.split()) == (snippet != "claim")
    assert ("reported" in text.split()) == (snippet == "padded")


@pytest.mark.parametrize("top_k", [1, 3, 8])
def test_top_k_caps_what_a_search_shows(top_k: int) -> None:
    settings = lab(world={"distractors": 16}, retriever={"top_k": top_k})
    for i in range(50):
        episode = Episodes(settings, 3).episode(i)
        play(episode, oracle)
        assert max(len(page) for page in episode.record.results) == top_k


@pytest.mark.parametrize("shown", ["hidden", "told", "countdown"])
def test_the_budget_is_said_as_stated(shown: str) -> None:
    episode = Episodes(lab(episode={"budget": 2, "budget_shown": shown}), 1).episode(0)
    opening = episode.reset()[0].split()
    page = episode.step(f"<search> {episode.question.start} {episode.question.relations[0]} </search>")[0].split()
    assert ("n2" in opening) == (shown != "hidden")
    assert ("left" in page) == (shown == "countdown")
    assert shown != "countdown" or page[page.index("left") + 1] == "n1"


@pytest.mark.parametrize("budget", [0, 1, 3, 8])
def test_budget_caps_searches_and_then_forces_an_answer(budget: int) -> None:
    episode = Episodes(lab(episode={"budget": budget}), 1).episode(0)
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


def world_settings() -> st.SearchStrategy[dict[str, object]]:
    share = st.sampled_from([0.0, 0.5, 1.0])
    return st.fixed_dictionaries(
        {
            "hops": st.integers(1, 4),
            "distractors": st.integers(0, 16),
            "distractor_kind": st.sampled_from(["random", "same_relation", "near_name"]),
            "conflict_rate": share,
            "conflict_cue": st.sampled_from(["unreliable", "stale", "ambiguous", "crossed"]),
            "reliability_gap": st.just(1.0),
            "source_names": st.sampled_from(["fixed", "stated", "hidden"]),
            "copies": st.integers(0, 4),
            "redundancy": st.integers(1, 4),
            "adversary": st.sampled_from(["none", "wrong", "instruction"]),
            "staleness": share,
            "unanswerable_share": share,
            "vocabulary_gap": st.sampled_from(["none", "alias", "paraphrase"]),
            "prior_leakage": share,
            "answers": st.sampled_from([6, 20, 48]),
            "answer_skew": st.sampled_from([0.0, 2.0]),
            "aggregate_share": st.sampled_from([0.0, 0.3]),
            "comparison_share": st.sampled_from([0.0, 0.3]),
        }
    )


@given(world_settings(), st.integers(0, 2**40), st.integers(1, 8), st.integers(0, 8))
def test_every_world_is_consistent(world: dict[str, object], seed: int, top_k: int, budget: int) -> None:
    """What is called true follows from the documents; every word is known; the transcript has room; nothing breaks."""
    settings = lab(world=world, retriever={"top_k": top_k}, episode={"budget": budget, "budget_shown": "countdown"})
    episode = Episodes(settings, seed).episode(0)
    question = episode.question
    assert solve(question) == question.answer
    slots = [d.slot for d in question.documents]
    assert len(set(slots)) == len(slots)
    _, pieces = play(episode, oracle)
    words = [word for text, _ in pieces for word in text.split()]
    assert set(words) <= set(VOCABULARY)
    assert len(words) <= longest_transcript(settings)


@pytest.mark.parametrize("value", [0.0, 0.3])
def test_abstain_value_is_paid_for_abstaining_where_an_answer_existed(value: float) -> None:
    settings = lab(reward={"abstain_value": value})
    rewards = [
        play(Episodes(settings, 2).episode(i), SCRIPTED["always abstain"](generator(0, i)))[0] for i in range(20)
    ]
    assert rewards == [value] * 20


def test_f1_asks_for_all_the_evidence_and_precision_for_nothing_else() -> None:
    scores: dict[str, Callable[[str], float]] = {}
    for kind in ("precision", "f1"):
        settings = lab(world={"hops": 2}, reward={"citation": kind, "citation_weight": 1.0})
        index = next(i for i in range(50) if len(Episodes(settings, 5).question(i).relations) == 2)

        def score(ids: str, settings: LabSettings = settings, index: int = index) -> float:
            episode = Episodes(settings, 5).episode(index)
            episode.reset()
            for subject, relation in zip(episode.question.path, episode.question.relations, strict=False):
                episode.step(f"<search> {subject} {relation} </search>")
            gold = list(episode.gold_ids)
            cited = {"one": gold[:1], "both": gold, "all": list(episode.shown)}[ids]
            info = episode.step(f"<answer> {episode.question.answer} sure {' '.join(cited)} </answer>")[4]
            return float(info["reward_components"]["citation"])

        scores[kind] = score
    assert scores["precision"]("one") == scores["precision"]("both") == scores["f1"]("both") == 1.0
    assert scores["f1"]("one") == pytest.approx(2 / 3)
    assert scores["precision"]("all") < 0.6


def test_episodes_are_a_pure_function_of_seed_index_and_levels_across_processes() -> None:
    code = (
        "import hashlib\n"
        "from maineffect.lab.settings import LabSettings\n"
        "from maineffect.lab.world.episode import Episodes\n"
        "e = Episodes(LabSettings.model_validate({'world': {'conflict_rate': .5, 'staleness': .5}}), 11)\n"
        "print(hashlib.sha256(repr([e.question(i) for i in range(50)]).encode()).hexdigest())"
    )
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    episodes = Episodes(LabSettings(world=WorldSettings(conflict_rate=0.5, staleness=0.5)), 11)
    here = hashlib.sha256(repr([episodes.question(i) for i in range(50)]).encode()).hexdigest()
    assert here == there == WORLD_HASH, "the world changed: every study must be measured anew; then pin the new hash"


# Of the questions as drawn on Linux with NumPy 2; equal on every machine.
WORLD_HASH = "b762ea7f30ddfb4cdfb3fa385c1ab8988856c0615ab6ea118d97b5c23805ae97"
