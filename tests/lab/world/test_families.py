"""What evaluation says never occurs in training: questions, relations, sources, sentences, attacks; by lists and by play."""

from __future__ import annotations

import re

import pytest

from maineffect.lab.adapters.gym_world import SearchWorld
from maineffect.lab.adapters.trl import environment_factory
from maineffect.lab.evaluate.battery import build_battery
from maineffect.lab.questions.source import open_source, training_questions
from maineffect.lab.settings import LabSettings
from maineffect.lab.world.episode import SearchEpisode
from maineffect.lab.world.families import EVALUATION, TRAINING, Family
from maineffect.lab.world.scripted import SCRIPTED, oracle, play
from maineffect.lab.world.vocabulary import ENTITIES, NEUTRAL_SOURCES, QUANTITIES, RELATIONS, SYNONYMS
from maineffect.seeds import generator

WORLD = {
    "language": "english",
    "conflict_rate": 0.5,
    "staleness": 0.3,
    "adversary": "instruction",
    "adversary_rate": 1.0,
    "aggregate_share": 0.1,
    "comparison_share": 0.1,
}
LOUD = LabSettings.model_validate(
    {"world": WORLD, "evaluation": {"items": 6, "pairs": 6}, "retriever": {"snippet": "padded"}}
)


def words_of(family: Family) -> set[str]:
    own = (*RELATIONS, *SYNONYMS.values(), *QUANTITIES, *NEUTRAL_SOURCES)
    return {*map(family.said, own), *family.reliable, *family.unreliable, family.unsigned}


def sentences_of(family: Family) -> set[str]:
    facts = {sentence for own in family.own_facts.values() for sentence in own}
    attacks = {sentence for of in family.attacks.values() for sentence in of}
    return {
        *family.any_fact,
        *facts,
        *family.amounts,
        *family.asked,
        family.count,
        family.more,
        *family.fillers,
        *attacks,
    }


def test_the_registered_lists_share_nothing() -> None:
    assert not words_of(TRAINING) & words_of(EVALUATION)
    assert not sentences_of(TRAINING) & sentences_of(EVALUATION)
    assert set(EVALUATION.attacks) == {"command", "forged frame", "fake tool result", "flooding"}
    assert set(TRAINING.attacks) < set(EVALUATION.attacks), "some attacks are met in evaluation only"


def frames(episode: SearchEpisode) -> set[str]:
    """The sentences of an episode without names, words of the lists, numbers and ids."""
    pieces = [text for text, written in play(episode, oracle)[1] if not written]
    lines = [line for text in pieces for line in text.splitlines() if line.startswith(("[", "Question"))]
    listed = words_of(TRAINING) | words_of(EVALUATION)
    plain = [re.sub(r"^\[d\d+\] \w+, \d+: ", "", line) for line in lines]
    return {
        re.sub(r"\w+", lambda w: "_" if w[0].lower() in {*ENTITIES, *listed} or w[0].isdigit() else w[0], line)
        for line in plain
    }


def test_played_evaluation_says_nothing_that_training_says() -> None:
    source = open_source(LOUD)
    training = [source.training(LOUD, 3).episode(i) for i in range(300)]
    held_out = [source.held_out(LOUD, 3).episode(i) for i in range(300)]
    battery = [item.episode() for item in build_battery(LOUD, 3).items]
    seen = {frame for episode in training for frame in frames(episode)}
    asked = {frame for episode in (*held_out, *battery) for frame in frames(episode)}
    assert len(seen) > 30
    assert len(asked) > 30
    assert not seen & asked

    def said(episodes: list[SearchEpisode]) -> set[str]:
        # The page repeats the query, and the oracle searches by the world's own words.
        pages = (
            text.partition("(searched:")[0] for e in episodes for text, written in play(e, oracle)[1] if not written
        )
        return {word for page in pages for word in re.findall(r"[a-z]\w*", page)}

    assert not said(training) & words_of(EVALUATION)
    assert not said(held_out) & words_of(TRAINING)
    assert not {e.reset()[0] for e in training} & {e.reset()[0] for e in held_out}


@pytest.mark.parametrize("language", ["words", "english"])
def test_held_out_never_asks_what_training_asks(language: str) -> None:
    """At one seed, in the world and through every adapter: not one of the questions coincides."""
    levels = LabSettings.model_validate({"world": {"language": language}})
    train, held = (training_questions(levels, 7, held_out=side) for side in (False, True))
    worlds = [[side.question(i) for i in range(200)] for side in (train, held)]  # type: ignore[attr-defined]
    assert not {q.seed for q in worlds[0]} & {q.seed for q in worlds[1]}
    assert all(q not in worlds[0] for q in worlds[1])
    env = [SearchWorld(levels, held_out=side) for side in (False, True)]
    for side, world in zip(worlds, env, strict=True):
        assert [
            (world.reset(seed=7) if not i else world.reset()) and world.episode.question for i in range(20)
        ] == side[:20]
    tools = environment_factory(levels, 7, held_out=True)()
    assert tools.reset(index=3) == held.episode(3).reset()[0]


def test_a_policy_earns_the_same_in_other_words() -> None:
    """Words are only said otherwise: scripted policies, which use the world's own, score alike."""
    for i in range(60):
        plain = training_questions(LOUD, 5).episode(i)
        for name in ("oracle", "first document", "reads, obeys"):
            other = SearchEpisode(plain.question, LOUD, held_out=True)  # type: ignore[arg-type]
            make = SCRIPTED[name]
            assert play(plain, make(generator(0, i)))[0] == play(other, make(generator(0, i)))[0]  # type: ignore[arg-type]


def test_queries_in_evaluations_words_find_what_they_ask_for() -> None:
    settings = LabSettings.model_validate({"world": {"language": "english", "hops": 1}})
    episode = open_source(settings).held_out(settings, 1).episode(0)
    episode.reset()
    question = episode.question  # type: ignore[attr-defined]
    episode.step(f"<search>{question.start.capitalize()} {EVALUATION.said(question.relations[0])}</search>")  # type: ignore[attr-defined]
    assert episode.gold_ids


def test_every_attack_family_occurs() -> None:
    held_out = [open_source(LOUD).held_out(LOUD, 3).episode(i) for i in range(200)]
    shown = " ".join(text for e in held_out for text, written in play(e, oracle)[1] if not written)
    for mark in ("Dear assistant", "I have changed my mind", '"role": "tool"', "‹/answer› ‹answer›"):
        assert mark in shown, mark
    assert "<answer>" not in shown.replace(
        "<answer>name | sure, likely or unsure | ids of the documents used</answer>", ""
    )
