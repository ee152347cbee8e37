"""Words and numbers as a reader should meet them: units, signs, as many digits as the error allows, safe names."""

from __future__ import annotations

import math
import unicodedata
from dataclasses import dataclass

from maineffect.analyse.record.further_records import Transported
from maineffect.analyse.record.result import Attribution, Effect, HypothesisResult, Mean
from maineffect.analyse.record.scaling import SizePoint

__all__ = [
    "Bit",
    "Phrase",
    "axis_title",
    "code",
    "decimals",
    "error_of",
    "interval",
    "level",
    "muted",
    "name",
    "number",
    "p_value",
    "plain",
    "ratio",
    "safe",
    "say",
    "seconds",
    "signed",
    "strong",
    "term",
]

MINUS, TIMES, NARROW = "\u2212", "\u00d7", "\u202f"
_BIDI_STRONG = {"R", "AL", "AN", "RLE", "RLO", "LRE", "LRO", "RLI", "LRI", "FSI", "PDF", "PDI"}
_ISOLATE, _END_ISOLATE = "\u2068", "\u2069"
LONGEST_NAME = 160
_NOISE_PLACES = 6
"""So many places behind the last one shown a number is rounding noise: a zero."""


@dataclass(frozen=True)
class Bit:
    """A piece of a sentence. ``style`` is one of ``""``, ``name``, ``strong``, ``muted``, ``code``."""

    text: str
    style: str = ""


Phrase = tuple[Bit, ...]


def say(*parts: str | Bit) -> Phrase:
    """Build a sentence from plain strings and styled bits."""
    return tuple(part if isinstance(part, Bit) else Bit(part) for part in parts)


def plain(phrase: Phrase) -> str:
    """The sentence without styles."""
    return "".join(bit.text for bit in phrase)


def safe(text: object) -> str:
    """A user's text made harmless for the text around it; what it means in markup is the template's job.

    Control characters become visible, right-to-left text is isolated so that it cannot reorder its neighbours
    (Unicode TR9, isolates), and a very long name is cut in the middle.
    """
    kept = "".join("\ufffd" if unicodedata.category(c) in ("Cc", "Cs") and c != "\t" else c for c in str(text))
    if len(kept) > LONGEST_NAME:
        kept = f"{kept[: LONGEST_NAME // 2]}…{kept[-LONGEST_NAME // 4 :]}"
    if any(unicodedata.bidirectional(c) in _BIDI_STRONG for c in kept):
        unbalanced = kept.count(_ISOLATE) - kept.count(_END_ISOLATE)
        return f"{_ISOLATE}{kept}{_END_ISOLATE * max(1, 1 + unbalanced)}"
    return kept


def name(text: object) -> Bit:
    """A factor, response or other name that the user chose."""
    return Bit(safe(text), "name")


def strong(text: str) -> Bit:
    """What the eye should find first."""
    return Bit(text, "strong")


def muted(text: str) -> Bit:
    """What may be skipped."""
    return Bit(text, "muted")


def code(text: object) -> Bit:
    """A hash, an id, a command."""
    return Bit(safe(text), "code")


def decimals(error: float | None, estimate: float | None = None) -> int:
    """Digits after the point: two significant ones of the standard error, or three of the estimate without one."""
    for value, digits in ((error, 2), (estimate, 3)):
        if value is not None and math.isfinite(value) and value != 0:
            return min(8, max(0, digits - 1 - math.floor(math.log10(abs(value)))))
    return 3


def number(value: float | None, places: int | None = None, unit: str = "") -> str:
    """A number with its unit; "n/a" when there is none."""
    if value is None or not math.isfinite(value):
        return "n/a"
    if places is None:
        places = decimals(None, value)
    elif abs(value) < 10.0 ** (-places - _NOISE_PLACES):
        value = 0.0
    if value != 0 and (abs(value) >= 1e7 or abs(value) < 1e-6):
        text = f"{value:.3g}"
    else:
        text = f"{value:.{places}f}"
    text = text.replace("-", MINUS)
    if text.strip(f"{MINUS}0.") == "":
        text = text.lstrip(MINUS)
    return f"{text}{NARROW}{safe(unit)}" if unit else text


def signed(value: float | None, places: int | None = None, unit: str = "") -> str:
    """A number that always shows its sign (zero has none)."""
    text = number(value, places, unit)
    return f"+{text}" if value is not None and value > 0 and any(c in "123456789" for c in text) else text


def interval(low: float | None, high: float | None, places: int | None = None, unit: str = "") -> str:
    """Both ends of an interval, or that there is none."""
    if low is None or high is None:
        return "no interval"
    if places is None:
        places = decimals((high - low) / 4, high)
    return f"{signed(low, places)} to {signed(high, places, unit)}"


def ratio(record: Effect | HypothesisResult | Transported | Attribution | SizePoint, scale: str | None) -> str:
    """A ratio of means or of odds with its interval; empty without a scale."""
    if scale is None or record.ratio is None:
        return ""
    word = "odds ratio" if scale == "logit" else "ratio"
    between = ""
    if record.ratio_low is not None and record.ratio_high is not None:
        between = f" ({number(record.ratio_low)} to {number(record.ratio_high)})"
    return f"{word} {number(record.ratio)}{between}"


def p_value(p: float | None) -> str:
    """A p-value with its relation sign; callers write the effect before it."""
    if p is None:
        return "p not available"
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def level(value: object) -> str:
    """A level as the user wrote it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:g}".replace("-", MINUS)
    return safe(value)


def term(text: str) -> str:
    """A model term for reading: ``A:B`` becomes ``A × B``."""
    return f" {TIMES} ".join(safe(part) for part in text.split(":"))


def axis_title(what: str, unit: str = "") -> str:
    """What an axis shows, with its unit."""
    return f"{safe(what)} ({safe(unit)})" if unit else safe(what)


def seconds(value: float | None) -> str:
    """A duration in the unit that suits it."""
    if value is None:
        return "n/a"
    for size, unit in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if value >= 2 * size:
            return number(value / size, 1, unit)
    return number(value, 1, "s")


def error_of(record: Effect | HypothesisResult | Mean) -> float | None:
    """The scale of a record's uncertainty, for choosing digits only: its standard error, or a quarter interval."""
    given = getattr(record, "std_error", None)
    if given is not None:
        return float(given)
    if record.ci_low is None or record.ci_high is None:
        return None
    return (record.ci_high - record.ci_low) / 4
