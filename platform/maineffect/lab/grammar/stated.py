"""How sure an answer is and what it rests on, as people write them; what cannot be read is unstated."""

from __future__ import annotations

from collections.abc import Iterable

import regex

from maineffect.lab.grammar.text import fold

__all__ = ["LEVELS", "citations", "confidence", "is_citations", "is_confidence"]

LEVELS: dict[str, float] = {"unsure": 0.3, "likely": 0.6, "sure": 0.9}
"""Stated probability of being right by the protocol's own words."""

_SYNONYMS = {
    "sure": "high certain confident definite definitely certainly absolutely surely undoubtedly yes strong full",
    "likely": "medium moderate moderately probable probably fair fairly maybe mid middle average reasonable reasonably "
    "plausible plausibly",
    "unsure": "low uncertain unlikely doubtful guess guessing possibly possible weak little none unconfident",
}
_OF_WORD = {word: LEVELS[level] for level, words in _SYNONYMS.items() for word in words.split()} | LEVELS
_STRONG = frozenset(
    """very extremely quite highly completely totally absolutely really pretty rather so almost nearly
    virtually""".split()  # noqa: SIM905 — a list of words is read more easily
)
_MILD = frozenset(("fairly", "moderately", "somewhat", "reasonably", "mostly", "partly", "relatively"))
_NOT = frozenset(("not", "hardly", "barely", "isnt", "arent", "un", "non"))
_BESIDE = """confidence confident level of i am im is be a an with the probability likelihood certainty about
approximately around roughly estimated my answer in it this conf prob p c"""
_EMPTY = frozenset(_BESIDE.split())
_NUMBER = regex.compile(
    r"(?<![\w.,])([-+]?)(\d*[.,]?\d+)\s*(%|per\s?cent(?:age)?|/\s*(\d+)|(?:out\s+)?of\s+(\d+))?(?![\w]|[.,]\d)"
)
_ID = regex.compile(
    r"(?<![\p{L}\p{N}_])[dD]\s?(\d{1,4})(?:\s?(?:-|\.\.|to|through)\s?[dD]?(\d{1,4}))?(?![\p{L}\p{N}_])"
)
_BARE = regex.compile(
    r"(?:(?:documents?|docs?|sources?|ids?|nos?|and|nr)\b|[\[\](){},;.:&#\s-]|\d{1,3}(?!\d))+", regex.IGNORECASE
)
_DECIMAL = regex.compile(r"\d\.\d")
_MOST = 64


def confidence(text: object) -> float | None:
    """A stated probability, 0 to 1, or None where none can be read.

    Numbers: 0.95, .95, 0,95, 95, 95 %, 9/10, 9 out of 10; from 2 on they are per cent, and what lies between 1 and 2 is
    neither. Words are read as the protocol's
    three levels: ``high``, ``very sure``, ``certain`` as sure; ``medium``, ``fairly sure``, ``probable`` as likely;
    ``low``, ``not sure``, ``a guess`` as unsure.
    """
    if isinstance(text, bool) or text is None:
        return None
    plain = fold(str(text)).casefold().replace("'", "").strip()
    if len(plain) > 80:
        return None
    numbers = list(_NUMBER.finditer(plain))
    rest = _NUMBER.sub(" ", plain)
    words = [word for word in regex.findall(r"\p{L}+", rest) if word not in _EMPTY]
    if len(numbers) == 1 and all(word in _OF_WORD or word in _STRONG for word in words):
        return _probability(numbers[0])
    return _worded(regex.findall(r"\p{L}+", plain)) if not numbers else None


def _probability(found: regex.Match[str]) -> float | None:
    sign, digits, unit, of, out_of = found.groups()
    try:
        value = float(digits.replace(",", "."))
        whole = float(of or out_of or (100 if unit else 1))
    except (ValueError, OverflowError):
        return None
    if sign == "-" and value:
        return None
    value = value / whole if whole else 2.0
    if not unit and 2 <= value <= 100:
        value /= 100
    return value if 0 <= value <= 1 else None


def _worded(words: list[str]) -> float | None:
    kept = [word for word in words if word not in _EMPTY or word in _OF_WORD]
    if not kept or any(word not in _OF_WORD and word not in _STRONG | _MILD | _NOT for word in kept):
        return None
    levels = [word for word in kept if word in _OF_WORD and word not in _MILD] or [w for w in kept if w in _OF_WORD]
    if not levels or (len({_OF_WORD[word] for word in levels}) > 1 and not set(kept) & _NOT):
        return None
    value = _OF_WORD[levels[-1]]
    if set(kept) & _NOT:
        # Not sure, not likely: unsure; not unsure: likely.
        return LEVELS["likely"] if value == LEVELS["unsure"] else LEVELS["unsure"]
    return LEVELS["likely"] if set(kept) & _MILD and value == LEVELS["sure"] else value


def is_confidence(text: str) -> bool:
    """Whether a field can be read as a confidence."""
    return confidence(text) is not None


def citations(said: object) -> tuple[str, ...]:
    """Document ids in the order in which they are first named.

    As ``[d1]``, ``d1; d2``, ``D1.``, ``d1 and d2``, ``d1-d3``, or a list. A field of bare numbers (``[1], 2``) names
    documents as well.
    """
    if isinstance(said, Iterable) and not isinstance(said, str | bytes):
        return tuple(dict.fromkeys(name for part in said for name in citations(part)))[:_MOST]
    plain = fold("" if said is None else str(said))[:2000]
    names: list[int] = []
    for found in _ID.finditer(plain):
        first, last = int(found[1]), int(found[2] or found[1])
        names += range(first, last + 1) if first <= last < first + _MOST else (first, last)
    if not names and plain.strip() and _BARE.fullmatch(plain) and not _DECIMAL.search(plain):
        names = [int(number) for number in regex.findall(r"\d+", plain)]
    return tuple(dict.fromkeys(f"d{number}" for number in names))[:_MOST]


def is_citations(text: str) -> bool:
    """Whether a field names documents and nothing else."""
    rest = regex.sub(r"(?i)\b(?:documents?|docs?|sources?|ids?|and|cited?|from|see)\b", " ", _ID.sub(" ", fold(text)))
    return bool(citations(text)) and not regex.search(r"[\p{L}]", rest)
