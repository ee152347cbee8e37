"""What kind of value a question asks for, by its words alone, and what of that kind a text holds."""

from __future__ import annotations

from collections.abc import Sequence

import regex

from maineffect.lab.corpus.forge import kind_of
from maineffect.lab.grammar.dates import find_dates
from maineffect.lab.grammar.tokens import find, spellings

__all__ = ["asked_kind", "candidates"]

_KINDS = (
    ("date", r"\b(?:on what|on which|what|which|exact) (?:day|date)\b|\bdate of\b"),
    (
        "year",
        r"^when\b|\bwhen (?:was|were|did|is|does)\b"
        r"|\b(?:what|which) (?:year|century|decade)\b|\byear (?:of|in which)\b",
    ),
    (
        "number",
        r"\bhow (?:many|much|old|long|far|tall|high|large|big|deep|heavy|often|wide|fast)\b"
        r"|\b(?:what|which) (?:is the |was the |were the )?(?:\w+ )?(?:number|percentage|share|amount|size|age"
        r"|population|weight|height|length|width|depth|area|total|count|price|cost|temperature|mass|score|rank)\b"
        r"|\bnumber of\b",
    ),
    ("yes or no", r"^(?:is|are|was|were|does|do|did|has|have|had|can|could|will|would|should|must)\b"),
)
_ASKS = tuple((kind, regex.compile(words, regex.IGNORECASE)) for kind, words in _KINDS)
_NUMBER = regex.compile(r"(?<![\w.,])[-+−]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?![\w]|[.,]\d)")
_YEAR = regex.compile(r"(?<![\w.,-])(?:1[0-9]|20|21)\d\d(?![\w]|[.,]\d)")


def asked_kind(question: str) -> str:
    """``date``, ``year``, ``number``, ``yes or no``, or ``name`` for everything else."""
    return next((kind for kind, words in _ASKS if words.search(question.strip())), "name")


def candidates(text: str, kind: str, answers: Sequence[str]) -> list[tuple[int, str]]:
    """(place, value) of what may answer a question of a kind, first to last.

    Numbers, years and dates are whatever the text has of them; a year is also one inside a date, and where a text has
    no date its years count as dates. Names are those among the answers of the corpus.

    Args:
        answers: Of the corpus.
    """
    if kind == "yes or no":
        return [(0, "yes")]
    if kind in ("date", "year"):
        dates = [(begin, text[begin:end]) for begin, end, said in find_dates(text) if any(date[0] for date in said)]
        years = [(found.start(), found[0]) for found in _YEAR.finditer(text)]
        inside = [(begin + found.start(), found[0]) for begin, said in dates if (found := _YEAR.search(said))]
        return sorted(dates or years) if kind == "date" else sorted(dict.fromkeys([*years, *inside]))
    if kind == "number":
        return [(found.start(), found[0]) for found in _NUMBER.finditer(text)]
    held = []
    for answer in answers:
        if kind_of(answer)[0] == "text":
            spans = [span for sought in spellings(answer) for span in find(text, sought)]
            held += [(begin, answer) for begin, _ in spans[:1]]
    return sorted(held)
