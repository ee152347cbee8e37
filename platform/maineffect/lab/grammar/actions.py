"""One turn of a policy → the action in it: a search, an answer, or nothing that could be read. Nothing raises.

Two forms. Tags: ``<search>words</search>`` and ``<answer>value | confidence | ids</answer>``. Tools: one JSON object a
call, ``{"name": "search", "arguments": {"query": "…"}}``, bare or as chat templates wrap it. Thoughts
(``<think>…</think>``) are no part of either, nor is what stands before or behind the block that counts.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import regex

from maineffect.lab.grammar.declining import ABSTAIN, declines
from maineffect.lab.grammar.stated import LEVELS, citations, confidence, is_citations, is_confidence
from maineffect.lab.grammar.text import readable

__all__ = [
    "ANSWER",
    "END_ANSWER",
    "END_SEARCH",
    "SEARCH",
    "Answer",
    "Form",
    "Search",
    "called_action",
    "given_answer",
    "in_form",
    "parse_action",
    "readings",
]

SEARCH, END_SEARCH = "<search>", "</search>"
ANSWER, END_ANSWER = "<answer>", "</answer>"
_TAG = regex.compile(r"<(/?)(search|answer)>")
_THOUGHT = regex.compile(r"<(think|thinking|reasoning)>.*?</\1>", regex.DOTALL)
_HALF_THOUGHT = regex.compile(r"^.*</(?:think|thinking|reasoning)>", regex.DOTALL)
_OPEN_THOUGHT = regex.compile(r"<(?:think|thinking|reasoning)>.*$", regex.DOTALL)
_LABELLED = regex.compile(
    r"""(?P<value>.+?)[\s,;([]*\b(?:confidence|conf|certainty|probability)\s?[:=]\s?(?P<sure>[^,;)\]]+?)
    (?:[\s,;)\]([]+(?:and\s)?(?:sources?|citations?|cited|evidence|documents?|docs?|ids?)\s?[:=]\s?(?P<ids>[^)]*?))?[\s)\].]*""",
    regex.VERBOSE | regex.IGNORECASE,
)
_MOST_OBJECTS, _DEEPEST, _LONGEST_LABELLED = 32, 8, 400


@dataclass(frozen=True)
class Search:
    """A search action."""

    words: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """An answer action.

    Attributes:
        value: The answer; ``none`` abstains.
        confidence: Stated probability of being right; None where none was stated, or none could be read.
        cited: Document ids.
        inner: What was written, where fields may be told apart in more than one way; see :func:`readings`.
    """

    value: str
    confidence: float | None
    cited: tuple[str, ...]
    inner: str = field(default="", compare=False, repr=False)

    @property
    def abstained(self) -> bool:
        """Whether it declines to answer."""
        return self.value == ABSTAIN


@dataclass(frozen=True)
class Form:
    """How actions are written.

    Attributes:
        calls: JSON tool calls instead of tags.
        bare: Whether nothing but the block may be in a turn: no thoughts, no sentence.
        last: Whether the last well-formed block counts instead of the first.
        phrases: Whether a value may have several words without bars behind it.
    """

    calls: bool = False
    bare: bool = False
    last: bool = False
    phrases: bool = False


_TAGS = Form()


def parse_action(text: object, form: Form = _TAGS) -> Search | Answer | None:
    """The action of one turn, or None. Never raises, whatever the text."""
    said = readable(text).strip()
    if form.bare:
        blocks = _calls(said, whole=True) if form.calls else _blocks(said, form, whole=True)
    else:
        spoken = _OPEN_THOUGHT.sub("", _HALF_THOUGHT.sub("", _THOUGHT.sub(" ", said)))
        blocks = _calls(spoken) if form.calls else _blocks(spoken, form)
    if form.last:
        return next(iter(deque(blocks, maxlen=1)), None)
    return next(blocks, None)


def _blocks(text: str, form: Form, *, whole: bool = False) -> Iterator[Search | Answer]:
    """Well-formed blocks that are in no other block, in order."""
    open_: list[regex.Match[str]] = []
    closed: list[tuple[int, int, str, str]] = []
    for tag in _TAG.finditer(text):
        if not tag[1]:
            open_.append(tag)
            continue
        while open_ and open_[-1][2] != tag[2]:
            open_.pop()
        if open_:
            begin = open_.pop()
            # What stood inside was part of this one, which is malformed by it.
            nested = False
            while closed and closed[-1][0] > begin.start():
                nested = bool(closed.pop())
            inner = text[begin.end() : tag.start()]
            if not nested and not _TAG.search(inner):
                closed.append((begin.start(), tag.end(), tag[2], inner))
    for begin_at, end, kind, inner in closed:
        if not inner.strip() or (whole and (begin_at, end) != (0, len(text))):
            continue
        if kind == "search":
            yield Search(tuple(inner.split()))
        elif (answer := given_answer(inner, form)) is not None:
            yield answer


def given_answer(inner: str, form: Form = _TAGS) -> Answer | None:
    """The answer between two tags: ``value | confidence | ids``, or without bars."""
    if declines(inner):
        return Answer(ABSTAIN, None, ())
    if "|" in inner:
        return next(_split(inner), None)
    words = inner.split()
    return _phrase(inner, words) if form.phrases else _words(words)


def readings(answer: Answer) -> Iterator[Answer]:
    """Every way to tell the fields of an answer apart, the likeliest first.

    Its value may have bars, or end in a word that looks like a confidence.
    """
    yield answer
    if "|" in answer.inner:
        yield from _split(answer.inner)
    elif answer.inner:
        yield Answer(answer.inner.strip(), None, ())


def _split(inner: str) -> Iterator[Answer]:
    """Field by field: the first bar ends the value, unless there are so many that it cannot."""
    fields = inner.split("|")
    if not fields[0].strip():
        return
    likeliest = max(1, len(fields) - 2)
    for count in (likeliest, *(n for n in range(likeliest + 1, len(fields) + 1))):
        value, rest = "|".join(fields[:count]).strip(), fields[count:]
        if value and (count == likeliest or all(_is_field(part) for part in rest)):
            sure, ids = (*rest, "", "")[:2]
            if is_citations(sure) and not is_confidence(sure) and is_confidence(ids):
                yield Answer(value, confidence(ids), citations(sure), inner)  # ids first, then how sure
            elif not sure.strip() or is_confidence(sure) or not is_citations(sure) or ids.strip():
                yield Answer(value, confidence(sure), citations(ids), inner)
            else:
                yield Answer(value, None, citations(sure), inner)


def _is_field(text: str) -> bool:
    return not text.strip() or is_confidence(text) or is_citations(text)


def _words(words: list[str]) -> Answer:
    """One token a field, for a vocabulary in which every value is one word."""
    sure = next((LEVELS[word] for word in words[1:] if word in LEVELS), None)
    cited = tuple(dict.fromkeys(word for word in words[1:] if word not in LEVELS))
    return Answer(words[0], sure, cited)


def _phrase(inner: str, words: list[str]) -> Answer:
    """A value of any words, then perhaps how sure it is, then perhaps ids; with labels or without."""
    labelled = _LABELLED.fullmatch(inner.strip()) if len(inner) < _LONGEST_LABELLED else None
    if labelled and is_confidence(labelled["sure"]) and (not labelled["ids"] or is_citations(labelled["ids"])):
        value = labelled["value"]
        return Answer(
            ABSTAIN if declines(value) else value, confidence(labelled["sure"]), citations(labelled["ids"]), inner
        )
    end = len(words)
    while end > 1 and ((is_citations(words[end - 1]) and not words[end - 1].isdecimal()) or _glue(words, end)):
        end -= 1
    cited = citations(" ".join(words[end:]))
    sure = None
    for count in (3, 2, 1):
        tail = " ".join(words[end - count : end])
        if end > count and is_confidence(tail) and (cited or tail in LEVELS or tail.endswith("%")):
            sure, end = confidence(tail), end - count
            break
    value = " ".join(words[:end])
    return Answer(ABSTAIN if declines(value) else value, sure, cited, inner)


def _glue(words: list[str], end: int) -> bool:
    """Whether a word only joins the ids around it."""
    return words[end - 1].casefold() in ("and", "&", ",", ";") and end < len(words) and is_citations(words[end - 2])


def called_action(name: object, arguments: object) -> Search | Answer | None:
    """The action of a tool call: ``search`` (query), or ``answer`` (value, confidence, citations)."""
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except (ValueError, RecursionError):
            return None
    if not isinstance(arguments, Mapping):
        return None
    given = {readable(key).casefold(): value for key, value in arguments.items()}
    if name == "search":
        query = _first(given, "query", "queries", "q", "words", "search")
        words = tuple(word for part in _listed(query) for word in readable(part).split())
        return Search(words) if words else None
    if name != "answer":
        return None
    value = _first(given, "value", "answer", "final_answer", "text")
    said = "; ".join(_plain(part) for part in _listed(value)).strip()
    if not said:
        return None
    sure = _first(given, "confidence", "probability", "certainty")
    cited = citations(_first(given, "citations", "documents", "cited", "sources", "ids"))
    return Answer(ABSTAIN if declines(said) else said, confidence(sure), cited)


def _calls(text: str, *, whole: bool = False) -> Iterator[Search | Answer]:
    """Actions of the JSON objects in a text, in order."""
    decoder, at = json.JSONDecoder(), 0
    if whole:
        text = _unwrapped(text)
    for _ in range(_MOST_OBJECTS):
        start = text.find("{", at)
        if start < 0 or (whole and start > 0):
            return
        try:
            made, at = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            at = start + 1
            continue
        if whole and at != len(text):
            return
        if (action := _of_object(made)) is not None:
            yield action


def _unwrapped(text: str) -> str:
    """A call without what chat templates put around it."""
    for opening, closing in (("<tool_call>", "</tool_call>"), ("```json", "```"), ("```", "```")):
        if text.startswith(opening) and text.endswith(closing):
            return text[len(opening) : -len(closing)].strip()
    return text


def _of_object(made: Any, depth: int = 0) -> Search | Answer | None:
    if not isinstance(made, Mapping) or depth > _DEEPEST:
        return None
    if isinstance(made.get("function"), Mapping):
        return _of_object(made["function"], depth + 1)
    if isinstance(made.get("tool_calls"), list):
        return next((a for call in made["tool_calls"] if (a := _of_object(call, depth + 1)) is not None), None)
    name = made.get("name", made.get("tool", made.get("function")))
    return called_action(name, made.get("arguments", made.get("parameters", made.get("args", made.get("input")))))


def _first(given: Mapping[str, Any], *names: str) -> Any:
    return next((given[name] for name in names if given.get(name) is not None), None)


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [] if value is None else [value]


def _plain(part: Any) -> str:
    if isinstance(part, bool):
        return "yes" if part else "no"
    return readable(part if isinstance(part, str | int | float) else json.dumps(part, ensure_ascii=False))


def in_form(action: str, form: Form) -> str:
    """An action written in tags, in the form that is asked for."""
    move = parse_action(action, Form(phrases=form.phrases)) if form.calls else None
    if isinstance(move, Search):
        return _call("search", {"query": " ".join(move.words)})
    if isinstance(move, Answer):
        sure = {} if move.confidence is None else {"confidence": move.confidence}
        return _call("answer", {"value": move.value, **sure, "citations": list(move.cited)})
    return action


def _call(name: str, arguments: Mapping[str, Any]) -> str:
    return json.dumps({"name": name, "arguments": arguments}, ensure_ascii=False)
