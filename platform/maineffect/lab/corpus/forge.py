"""A copy of some evidence in which one thing is another: the answer's own statement names another value of its kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property, lru_cache

import numpy as np
import regex

from maineffect.lab.corpus.library import Library, holds
from maineffect.lab.corpus.load import SourceQuestion
from maineffect.lab.corpus.passages import Passage
from maineffect.lab.grammar.dates import find_dates, whole_date
from maineffect.lab.grammar.text import fold
from maineffect.lab.grammar.tokens import find, spellings, whole_number
from maineffect.lab.grammar.values import same_value, yes_or_no
from maineffect.seeds import derive_seed

__all__ = ["Forger", "kind_of"]

NO_OTHER, NOT_VERBATIM = "no other answer of its kind", "answer not verbatim in the evidence"
SPREAD = "answer in several places of its evidence"
TITLED = "answer in the title of its evidence"
_MOST = 256
_END = regex.compile(r"[.!?;]\s+(?=[\p{Lu}\p{N}\"'(])|[。！？]|\s[-*•]\s")
_ARTICLE = regex.compile(r"\b([Aa])n?(\s+)$")


@lru_cache(maxsize=1 << 16)
def kind_of(answer: str) -> tuple[str, ...]:
    """The kind of a value, the broadest name first: numbers by form and length, names by words and capitals."""
    if yes_or_no(answer):
        return ("yes or no",)
    if whole_date(answer):
        return ("number", "date")
    plain = fold(answer).strip()
    number = whole_number(plain)
    if number is not None and any(character.isdigit() for character in plain):
        if number.denominator > 1:
            return ("number", "decimal")
        year = len(plain) == 4 and 1000 <= number < 2200
        return ("number", "year" if year else "integer", str(len(str(abs(number.numerator)))))
    if any(character.isdigit() for character in plain):
        return ("number", "mixed", "%" if "%" in plain else "")
    words = plain.split()
    capital = "name" if words and words[0][:1].isupper() else "word"
    return ("text", capital, str(min(len(words), 3)))


class Forger:
    """Writes conflict copies for the questions of one side.

    The other value is an answer of the side, of the narrowest kind that has another one, from those that the corpus
    names about as often: neither its form nor its frequency tells which of the two is the truth.
    """

    def __init__(self, library: Library, questions: Sequence[SourceQuestion]) -> None:
        self._library, self._questions = library, questions

    @cached_property
    def _by_kind(self) -> dict[tuple[str, ...], list[str]]:
        by_kind: dict[tuple[str, ...], list[str]] = {}
        for answer in dict.fromkeys(question.answers[0] for question in self._questions if not question.members):
            kind = kind_of(answer)
            for length in range(1, len(kind) + 1):
                by_kind.setdefault(kind[:length], []).append(answer)
        return by_kind

    def other(self, source: SourceQuestion, uniform: float, text: str = "") -> str | None:
        """Another value of the answer's kind that a text does not hold already.

        Args:
            uniform: Draws among the fitting ones.
        """
        kind = kind_of(source.answers[0])
        if kind[0] == "yes or no":
            return None
        own = self._library.frequency(source.answers[0])
        for length in range(len(kind), 0, -1):
            pool = self._pool(kind[:length], own)
            fits = [v for v in pool if not any(same_value(v, answer) for answer in source.wordings)]
            fits = [v for v in fits if not (text and holds(text, (v,)))]
            if fits:
                return _weighted(self._alike(fits, own), uniform)
        return None

    def _pool(self, kind: tuple[str, ...], own: int) -> list[str]:
        """Values of a kind; of very many some, whose choice depends on the answer's frequency alone."""
        values = self._by_kind.get(kind, [])
        if len(values) <= _MOST:
            return values
        start = (own * 7919) % len(values)
        return list(dict.fromkeys(values[(start + 61 * k) % len(values)] for k in range(_MOST)))

    def _alike(self, values: Sequence[str], own: int) -> list[str]:
        """Those that the corpus names as often, by the nearest power of two; if none is, the nearest."""
        distance = [abs(np.rint(np.log2(1 + self._library.frequency(v))) - np.rint(np.log2(1 + own))) for v in values]
        return [v for v, d in zip(values, distance, strict=True) if d == min(distance)]

    def conflict(self, source: SourceQuestion, evidence: Sequence[int], uniform: float, liar: str) -> Passage | str:
        """A copy of some evidence with another value in the statement, or why none can be written."""
        if source.members or self.other(source, uniform) is None:
            return NO_OTHER
        why = NOT_VERBATIM
        for i in evidence:
            passage = self._library.passages[i]
            spans = places(passage.text, source.wordings)
            if not spans:
                continue
            if holds(passage.title, source.wordings):
                why = TITLED
                continue
            if not _one_statement(passage.text, spans, kind_of(source.answers[0])[0]):
                why = SPREAD
                continue
            other = self.other(source, uniform, passage.text)
            if other is None:
                return NO_OTHER
            text = _with(passage.text, spans, other)
            if not holds(text, source.wordings):
                made = f"{passage.id}!conflict"
                return replace(passage, id=made, text=text, source=liar, reliable=False, claim=other, copied=i)
        return why


def _weighted(values: Sequence[str], uniform: float) -> str:
    """A value, drawn by weights that are exponentially distributed over the values.

    Were all as likely, whoever has seen other questions with their forgeries could tell: of a question that was left
    out, the truth was seen as a forgery only, and the forgery as a truth as well. With exponential weights the number
    of times F that a value is forged is geometric, E F² = 3 for E F = 1: the value of a forgery, which is met in
    proportion to F, was forged as much more often as it was the truth.
    """
    # A little steeper than exponential, by trial on Debian's dict-elements: small pools lack the truth itself.
    weights = (-np.log([(derive_seed(0, "forged", v) + 1) / 2**63 for v in values])) ** 1.1
    at = int(np.searchsorted(np.cumsum(weights), uniform * weights.sum(), side="right"))
    return values[min(at, len(values) - 1)]


def places(text: str, wordings: Sequence[str]) -> list[tuple[int, int]]:
    """Where a text states a value in any wording: whole tokens, the longest first, none inside another."""
    spans: list[tuple[int, int]] = []
    for wording in sorted(wordings, key=len, reverse=True):
        found = [span for sought in spellings(wording) for span in find(text, sought)]
        dates = whole_date(wording)
        found += [(begin, end) for begin, end, said in find_dates(text) if dates & said] if dates else []
        spans += [(b, e) for b, e in found if all(e <= begin or b >= end for begin, end in spans)]
    return sorted(spans)


def _one_statement(text: str, spans: Sequence[tuple[int, int]], kind: str) -> bool:
    """Whether a value is stated once; a name may be said twice in a sentence, a number may then count two things."""
    same_sentence = not _END.search(text[spans[0][0] : spans[-1][1]])
    return len(spans) == 1 or (kind == "text" and len(spans) == 2 and same_sentence)


def _with(text: str, spans: Sequence[tuple[int, int]], other: str) -> str:
    """The text with another value in these places, with the indefinite article that it needs."""
    parts, last = [], 0
    for begin, end in spans:
        before = text[last:begin]
        parts += [_ARTICLE.sub(rf"\1{'n' if other[:1].casefold() in 'aeiou' else ''}\2", before), other]
        # A possessive stays.
        last = end - len(text[begin:end]) + len(regex.sub(r"['’]s$", "", text[begin:end]))
    return "".join([*parts, text[last:]])
