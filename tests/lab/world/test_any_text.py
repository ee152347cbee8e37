"""No text of a policy ends a run: every grader, every world, every adapter, with any Unicode; and reasoning is no error."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maineffect.lab.adapters.encoding import word_features
from maineffect.lab.adapters.gym_world import SearchWorld
from maineffect.lab.adapters.trl import environment_factory
from maineffect.lab.corpus.episode import CorpusEpisodes
from maineffect.lab.corpus.library import Library
from maineffect.lab.corpus.load import Corpus, SourceDocument, SourceQuestion
from maineffect.lab.evaluate.battery import build_battery
from maineffect.lab.evaluate.metrics import responses
from maineffect.lab.evaluate.scoring import play_battery, scripted_player
from maineffect.lab.settings import LabSettings
from maineffect.lab.world.episode import Episodes
from maineffect.lab.world.scripted import oracle
from maineffect.lab.world.turns import TextEpisode

ANY = st.one_of(
    st.text(st.characters(exclude_categories=()), max_size=40),
    st.sampled_from(
        ["²", "① ", "٣", "9" * 5000, "\ud800", "\x00", "½", "1/0", "|", "||||", "\u202e", "𝟙", "-", "e", "∞"]
    ),
)
ASKED = (
    SourceQuestion(id="n", question="How many?", answers=("5",), gold=("a",), tolerance=0.1),
    SourceQuestion(id="s", question="Which?", answers=("x, y",), members=(("x",), ("y",)), gold=("a",)),
    SourceQuestion(id="y", question="Is it?", answers=("yes",), gold=("a",)),
    SourceQuestion(id="b", question="What?", answers=("a|b <c>",), gold=("a",)),
)
LIBRARY = Library(Corpus((SourceDocument(id="a", text="There are 5 of x and y; a|b <c>."),), ASKED))


def fresh(which: str) -> TextEpisode:
    form = "tools" if which.endswith("tools") else "tags"
    sections: dict[str, Any] = {
        "world": {"language": "words" if which == "words" else "english"},
        "episode": {"form": form},
    }
    valid = LabSettings.model_validate(sections)
    if which.startswith("corpus"):
        return CorpusEpisodes(LIBRARY, ASKED, valid, 3).episode(int(which[6]))
    return Episodes(valid, 1).episode(0)


@settings(max_examples=40)
@pytest.mark.parametrize(
    "which", ["words", "english", "english tools", *(f"corpus{i}" for i in range(4)), "corpus0 tools"]
)
@given(text=ANY, other=ANY)
def test_no_text_ends_a_run(which: str, text: str, other: str) -> None:
    call = json.dumps({"name": "answer", "arguments": {"value": text, "confidence": other, "citations": other}})
    for action in (f"<answer>{text} | {other} | {other}</answer>", f"<answer>{text}</answer>", call, text):
        episode = fresh(which)
        episode.reset()
        shown = episode.step(f"<search>{text} {other}</search>")[0]
        shown += episode.step('{"name": "search", "arguments": ' + json.dumps({"query": other}) + "}")[0]
        word_features(shown, 8)
        _, reward, *_ = episode.step(action) if episode.record.stop is None else ("", 0.0)
        assert reward == reward
        if episode.record.answer is not None:
            episode.record.answer.value.encode()  # a run's items and transcripts are written as UTF-8
        str(episode.record.searches).encode()


@settings(max_examples=40)
@given(text=ANY, other=ANY)
def test_no_text_ends_a_run_elsewhere(text: str, other: str) -> None:
    tools = environment_factory({"world": {"language": "english"}}, seed=7)()
    tools.reset(index=0)
    assert "over" not in tools.search(text).splitlines()[0]
    tools.answer(text, other, other)  # type: ignore[arg-type] — a model may pass anything
    if not tools._over:
        tools.answer("x", None, [text])  # type: ignore[arg-type]
    assert tools.get_reward() == tools.get_reward()
    world = SearchWorld({"world": {"language": "english"}})
    world.reset(seed=1)
    reward = world.step(f"<answer>{text} | {other}</answer>")[1]
    assert reward == reward


def test_an_answer_that_is_no_ascii_digit_scores_as_wrong() -> None:
    episode = fresh("english")
    episode.reset()
    assert episode.step("<answer>² | sure</answer>")[2]
    assert episode.record.answer is not None
    assert episode.record.answer.value == "n2"


SMALL = LabSettings.model_validate({"evaluation": {"items": 8, "pairs": 4}, "world": {"language": "english"}})


@pytest.mark.parametrize("before", ["The archive says so. ", "<think>Is it <answer>Balan</answer>?</think>\n"])
def test_reasoning_agents_are_measured_like_others(before: str) -> None:
    """A sentence or a thought before every action changes no score; where it is refused, every item is unparsed."""

    def scores(reasoning: str) -> dict[str, float]:
        levels = SMALL.model_copy(update={"episode": SMALL.episode.model_copy(update={"reasoning": reasoning})})
        player = scripted_player(lambda _: lambda episode: before + oracle(episode))
        return responses(play_battery(build_battery(levels, 5), player).rows)

    assert scores("allowed")["triad"] == scores("allowed")["clean_accuracy"] == 1.0
    assert scores("allowed")["unparsed_share"] == 0.0
    assert scores("refused")["unparsed_share"] == 1.0


def test_tool_calls_earn_what_tags_earn() -> None:
    """The form is a setting, of evaluation too; the rules say how to call, and a scripted policy scores alike."""
    levels = SMALL.model_copy(update={"episode": SMALL.episode.model_copy(update={"form": "tools"})})
    scores = responses(play_battery(build_battery(levels, 5), scripted_player(lambda _: oracle)).rows)
    assert scores["triad"] == scores["clean_accuracy"] == scores["citation_precision"] == 1.0
    item = build_battery(levels, 5).items[0]
    assert '{"name": "search"' in item.episode().reset()[0]
    assert build_battery(levels, 5).digest == build_battery(SMALL, 5).digest
