"""Natural English carries the same facts as words do, and a policy that reads it can be scored alike."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maineffect.lab.settings import LabSettings
from maineffect.lab.world.english import English
from maineffect.lab.world.episode import Episodes
from maineffect.lab.world.scripted import SCRIPTED, oracle, play
from maineffect.seeds import generator

WORLDS = [
    {},
    {"conflict_rate": 1.0, "copies": 2},
    {"staleness": 1.0},
    {"vocabulary_gap": "alias"},
    {"vocabulary_gap": "paraphrase"},
    {"aggregate_share": 0.5, "comparison_share": 0.5},
    {"adversary": "instruction", "adversary_rate": 1.0},
]


def episodes(language: str, world: dict[str, object]) -> Episodes:
    settings = {"world": {**world, "language": language}, "episode": {"budget": 6}}
    return Episodes(LabSettings.model_validate(settings), 4)


@pytest.mark.parametrize("world", WORLDS)
def test_a_policy_gets_the_same_reward_in_both_languages(world: dict[str, object]) -> None:
    words, english = episodes("words", world), episodes("english", world)
    for i in range(60):
        for name in ("oracle", "first document", "reads, takes the newest"):
            make = SCRIPTED[name]
            assert (
                play(words.episode(i), make(generator(0, i)))[0] == play(english.episode(i), make(generator(0, i)))[0]
            )


def test_documents_say_the_fact_and_its_source_and_date() -> None:
    for i in range(80):
        episode = episodes("english", {}).episode(i)
        _, pieces = play(episode, oracle)
        text = " ".join(piece for piece, written in pieces if not written)
        for document in (episode.question.documents[k] for k in episode.shown.values()):
            assert document.subject.capitalize() in text
            assert document.value.capitalize() in text
            assert f"{document.source}, {2010 + document.date}:" in text


def test_templates_vary_and_copies_do_not() -> None:
    said = set()
    for i in range(60):
        episode = episodes("english", {"conflict_rate": 1.0, "copies": 2, "hops": 1}).episode(i)
        _, pieces = play(episode, oracle)
        lines = [line for text, written in pieces if not written for line in text.splitlines() if line.startswith("[")]
        rumours = {
            line.partition("] ")[2]
            for line in lines
            if any(f"] {name}," in line for name in ("rumour", "gossip", "hearsay", "leaflet"))
        }
        by_value = {text.rpartition(",")[0] for text in rumours}
        assert len(by_value) <= 4
        said |= {line.partition(": ")[2].split()[0] for line in lines}
    assert len(said) > 20


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Domir", "domir"),
        ("the Domir.", "domir"),
        ("None", "none"),
        ("no answer", "none"),
        ("3", "n3"),
        ("Unknown", "none"),
    ],
)
def test_answers_are_read_leniently(text: str, value: str) -> None:
    assert English().value(text) == value


@given(st.text(max_size=80))
def test_no_text_breaks_the_english_world(text: str) -> None:
    episode = episodes("english", {"adversary": "instruction", "adversary_rate": 1.0}).episode(1)
    episode.reset()
    for action in (f"<search>{text}</search>", text, f"<answer>{text}|{text}|{text}</answer>", text):
        shown, reward, done, cut, _ = episode.step(action)
        assert reward == reward
        assert "<answer>" not in shown
        if done or cut:
            return
