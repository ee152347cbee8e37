"""One turn of a policy: its action is found among thoughts and sentences, in tags or in tool calls, and nothing raises."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maineffect.lab.grammar.actions import Answer, Form, Search, called_action, in_form, parse_action, readings

ANY = st.text(st.characters(exclude_categories=()), max_size=60)
PIECES = st.sampled_from(
    ["<answer>", "</answer>", "<search>", "</search>", "<think>", "</think>", "|", "{", "}", '"name"', ":", '"answer"',
     '{"name": "answer", "arguments": {"value": ', "d1", "sure", "²", "\ud800", "NaN", "1e999"]
)  # fmt: skip
TURN = st.one_of(ANY, st.lists(st.one_of(PIECES, ANY), max_size=14).map("".join))
FORMS = [
    Form(calls, bare, last, phrases) for calls in (0, 1) for bare in (0, 1) for last in (0, 1) for phrases in (0, 1)
]
PHRASES, CALLS = Form(phrases=True), Form(calls=True)
DOMIR = Answer("Domir", 0.9, ("d1",))


@pytest.mark.parametrize(
    "turn",
    [
        "<answer>Domir | sure | d1</answer>",
        "<think>Is it <answer>Balan</answer>?</think><answer>Domir | sure | d1</answer>",
        "<think>\nlong\n</think>\n\nThe archive says so.\n<answer>Domir | sure | d1</answer>",
        "so it is not Balan</think> <answer>Domir | sure | d1</answer>",
        "I found it. <answer>Domir | sure | d1</answer> I hope that this helps.",
        "I could use <search> again. <answer>Domir | sure | d1</answer>",
        "<answer>Domir sure d1</answer>",
        "<answer>Domir | very sure | [d1].</answer>",
        "<answer> Domir |90 %| D1</answer>",
        "<answer>Domir | high confidence | d1, d1</answer><answer>Balan | sure</answer>",
    ],
)
def test_reasoning_before_the_first_block_is_left_out(turn: str) -> None:
    assert parse_action(turn, PHRASES) == DOMIR


def test_the_last_block_counts_where_the_protocol_says_so() -> None:
    turn = "<answer>Balan | sure</answer> No: <answer>Domir | sure | d1</answer>"
    assert parse_action(turn, Form(last=True, phrases=True)) == DOMIR
    assert parse_action("<search>a b</search><answer>Domir</answer>", PHRASES) == Search(("a", "b"))


@pytest.mark.parametrize(
    "turn",
    [
        *(
            "",
            "blah blah",
            "<answer></answer>",
            "<answer> </answer>",
            "<answer>Domir",
            "<search> </search>",
            "</answer>",
        ),
        "<search> <answer> balan </answer> </search>",
        "<think><answer>Domir</answer></think>",
        "<think> I wonder <answer>Domir</answer>",
        "<answer> | sure | d1</answer>",
    ],
)
def test_what_is_no_action(turn: str) -> None:
    assert parse_action(turn, PHRASES) is None


def test_bare_actions_may_be_asked_for() -> None:
    bare = Form(bare=True, phrases=True)
    assert parse_action(" <answer>Domir | sure | d1</answer>\n", bare) == DOMIR
    assert parse_action("Well: <answer>Domir | sure | d1</answer>", bare) is None
    assert parse_action("<think>x</think><answer>Domir</answer>", bare) is None
    call = '{"name": "answer", "arguments": {"value": "Domir", "confidence": 0.9, "citations": ["d1"]}}'
    assert parse_action(call, Form(calls=True, bare=True)) == DOMIR
    assert parse_action(f"<tool_call>{call}</tool_call>", Form(calls=True, bare=True)) == DOMIR
    assert parse_action(f"Well: {call}", Form(calls=True, bare=True)) is None


@pytest.mark.parametrize(
    "call",
    [
        {"name": "answer", "arguments": {"value": "Domir", "confidence": 0.9, "citations": ["d1"]}},
        {"name": "answer", "parameters": {"answer": "Domir", "confidence": "90%", "documents": "[d1]"}},
        {"function": {"name": "answer", "arguments": '{"value": "Domir", "confidence": "sure", "citations": "D1."}'}},
        {
            "tool_calls": [
                {"function": {"name": "answer", "arguments": {"value": "Domir", "confidence": 90, "ids": [1]}}}
            ]
        },
    ],
)
def test_native_tool_calls(call: dict[str, object]) -> None:
    said = json.dumps(call)
    for turn in (said, f"<think>{{}}</think>\n<tool_call>\n{said}\n</tool_call>", f"I answer:\n```json\n{said}\n```"):
        assert parse_action(turn, CALLS) == DOMIR
    assert parse_action(said, PHRASES) is None, "the form is one or the other"


def test_other_calls() -> None:
    assert called_action("search", {"query": "founder of Balan"}) == Search(("founder", "of", "Balan"))
    assert called_action("answer", {"value": None}) is None
    assert called_action("answer", {"value": ["a", "b"]}) == Answer("a; b", None, ())
    assert called_action("answer", {"value": True}) == Answer("yes", None, ())
    assert called_action("answer", {"value": "N/A", "confidence": 1}) == Answer("none", 1.0, ())
    assert called_action("fly", {}) is None
    assert called_action(None, 3) is None
    assert parse_action("<answer>Domir</answer>", CALLS) is None


def test_a_value_may_have_bars_and_end_like_a_confidence() -> None:
    assert parse_action("<answer>P(A|B) | 0.9 | d1</answer>", PHRASES) == Answer("P(A|B)", 0.9, ("d1",))
    told = parse_action("<answer>a|b | sure</answer>", PHRASES)
    assert isinstance(told, Answer)
    assert Answer("a|b", 0.9, ()) in list(readings(told))
    told = parse_action("<answer>Slow but sure</answer>", PHRASES)
    assert isinstance(told, Answer)
    assert Answer("Slow but sure", None, ()) in list(readings(told))
    assert parse_action("<answer>New York | perhaps |</answer>", PHRASES) == Answer("New York", None, ())
    assert parse_action("<answer>New York | d1</answer>", PHRASES) == Answer("New York", None, ("d1",))
    assert parse_action("<answer>Apollo 11</answer>", PHRASES) == Answer("Apollo 11", None, ())
    assert parse_action("<answer>New York | d1 | 0.8</answer>", PHRASES) == Answer("New York", 0.8, ("d1",))


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("Paris (confidence: 0.8, sources: d1, d2)", Answer("Paris", 0.8, ("d1", "d2"))),
        ("New York; certainty = high; documents: [d1], [d3]", Answer("New York", 0.9, ("d1", "d3"))),
        ("I don't know (confidence: 0.2)", Answer("none", 0.2, ())),
        ("Paris (confidence: lots)", Answer("Paris (confidence: lots)", None, ())),
        ("confidence: 0.8", Answer("confidence: 0.8", None, ())),
    ],
)
def test_fields_may_have_labels(said: str, answer: Answer) -> None:
    told = parse_action(f"<answer>{said}</answer>", PHRASES)
    assert told == answer
    assert isinstance(told, Answer)
    assert told.abstained or Answer(said, None, ()) in list(readings(told)), "it may as well be the value"


@pytest.mark.parametrize(
    "said", ["I don't know", "I don’t know | sure", "N/A | 90 % | d1", "not found sure", "no answer"]
)
def test_declining_with_and_without_bars(said: str) -> None:
    told = parse_action(f"<answer>{said}</answer>", PHRASES)
    assert isinstance(told, Answer)
    assert told.abstained or declined(told)


def declined(answer: Answer) -> bool:
    from maineffect.lab.grammar.values import recorded

    return recorded(answer.value) == "none"


@given(TURN)
def test_no_text_breaks_the_parser(text: str) -> None:
    for form in FORMS:
        move = parse_action(text, form)
        assert move is None or isinstance(move, Search | Answer)
        if isinstance(move, Answer):
            assert move.value
            assert move.confidence is None or 0 <= move.confidence <= 1
            list(readings(move))
        in_form(text, form)


@given(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), ANY, st.lists(ANY, max_size=3)))
def test_no_argument_breaks_a_call(value: object) -> None:
    called_action("search", {"query": value})
    called_action("answer", {"value": value, "confidence": value, "citations": value})
    called_action(value, value)


@pytest.mark.parametrize(
    "text", [" " * 60_000, "<answer>x</answer>" * 3000, "<think>" * 8000, "{" * 60_000, '{"a":' * 9000, "|" * 60_000]
)
def test_long_turns_are_read_at_once(text: str) -> None:
    """Nothing that a policy writes stalls a run: 60,000 characters in well under two seconds."""
    started = time.process_time()
    for form in (PHRASES, CALLS, Form(calls=True, bare=True)):
        parse_action(text, form)
        parse_action(f"<answer>{text} | sure</answer>", form)
    assert time.process_time() - started < 2
