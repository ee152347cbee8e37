"""Dates in their usual forms, in answers and in running text."""

from __future__ import annotations

import calendar
from datetime import datetime

import regex
from dateutil import parser

from maineffect.lab.grammar.text import fold

__all__ = ["Date", "dates_in", "find_dates", "same_date", "whole_date"]

Date = tuple[int | None, int | None, int | None]
"""Year, month and day; None where one is not said."""

_MONTH = "|".join(sorted({*calendar.month_name[1:], *calendar.month_abbr[1:], "Sept"}, key=len, reverse=True))
_DAY = rf"(?:(?:{'|'.join((*calendar.day_name, *calendar.day_abbr))})\.?,?\s+)?"
_ORDINAL = r"\d{1,2}(?:st|nd|rd|th)?"
_NAMED = rf"""
    {_DAY}{_ORDINAL}\s+(?:of\s+)?(?:{_MONTH})\.?(?:,?\s+\d{{4}})?
    |{_DAY}(?:{_MONTH})\.?\s+(?:the\s+)?{_ORDINAL}(?!\d)(?:\s*,?\s+\d{{4}})?
    |(?:{_MONTH})\.?,?\s+(?:of\s+)?\d{{4}}
"""
_DATE = regex.compile(
    rf"""(?<![\w.,/-])(?:
    (?P<named>{_NAMED})
    |(?P<iso>\d{{4}}[-/.]\d{{1,2}}[-/.]\d{{1,2}})
    |(?P<month>\d{{4}}-\d{{2}})
    |(?P<slashed>\d{{1,2}}[./-]\d{{1,2}}[./-]\d{{4}})
    |(?P<eastern>\d{{4}}\s?[年년]\s?\d{{1,2}}\s?[月월](?:\s?\d{{1,2}}\s?[日일])?)
    )(?![\w]|[./-]\d)""",
    regex.VERBOSE | regex.IGNORECASE,
)
_SOME, _OTHER = datetime(2001, 1, 1), datetime(2004, 2, 2)


def whole_date(text: str) -> frozenset[Date]:
    """The readings of a text that is a date as a whole: two where day and month can be told either way, else one."""
    plain = fold(text).strip().rstrip(".")
    found = _DATE.fullmatch(plain) if len(plain) < 48 else None
    return frozenset(_readings(found)) if found else frozenset()


def same_date(text: str, other: str) -> bool:
    """Whether two texts are the same date, to the same day, month or year.

    Of two texts that can both be read either way the first number must be the same.
    """
    one, two = whole_date(text), whole_date(other)
    if len(one) > 1 and len(two) > 1:
        return _first_day(one, text) == _first_day(two, other)
    return bool(one & two)


def _first_day(readings: frozenset[Date], text: str) -> Date | None:
    found = _DATE.fullmatch(fold(text).strip().rstrip("."))
    return _readings(found)[0] if found and readings else None


def dates_in(text: str) -> frozenset[Date]:
    """Every reading of every date in a text."""
    return frozenset(date for found in _DATE.finditer(fold(text)) for date in _readings(found))


def find_dates(text: str) -> list[tuple[int, int, frozenset[Date]]]:
    """(begin, end, readings) of every date in a text; texts whose folding moves characters have none."""
    folded = fold(text)
    if len(folded) != len(text):
        return []
    return [(found.start(), found.end(), frozenset(_readings(found))) for found in _DATE.finditer(folded)]


def _readings(found: regex.Match[str]) -> list[Date]:
    """Day first, then month first where that is another date."""
    said = found[0]
    if found.lastgroup == "eastern":
        numbers = [int(number) for number in regex.findall(r"\d+", said)]
        return _valid([(numbers[0], numbers[1], numbers[2] if len(numbers) > 2 else None)])
    if found.lastgroup == "month":
        return _valid([(int(said[:4]), int(said[5:]), None)])
    said = regex.sub(r"(?i)\b(?:the|of)\b", " ", said)
    orders = (True, False) if found.lastgroup == "slashed" else (found.lastgroup == "named",)
    read = [_parsed(said, day_first) for day_first in orders]
    return list(dict.fromkeys(date for date in read if date is not None))


def _parsed(said: str, day_first: bool) -> Date | None:
    try:
        one, two = (parser.parse(said, default=default, dayfirst=day_first) for default in (_SOME, _OTHER))
    except (ValueError, OverflowError):
        return None
    same = (one.year == two.year, one.month == two.month, one.day == two.day)
    year, month, day = (
        part if stays else None for part, stays in zip((one.year, one.month, one.day), same, strict=True)
    )
    return (year, month, day) if month is not None else None


def _valid(dates: list[Date]) -> list[Date]:
    return [date for date in dates if 1 <= (date[1] or 1) <= 12 and 1 <= (date[2] or 1) <= 31]
