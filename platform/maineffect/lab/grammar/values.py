"""Whether an answer is the right one: of one value, of a set of values, of yes or no."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import regex

from maineffect.lab.grammar.dates import same_date
from maineffect.lab.grammar.declining import ABSTAIN, declines
from maineffect.lab.grammar.text import fold, readable
from maineffect.lab.grammar.tokens import key, whole_number

__all__ = [
    "Overlap",
    "normalise",
    "number_of",
    "overlap",
    "recorded",
    "right",
    "same_value",
    "set_overlap",
    "token_f1",
    "yes_or_no",
]

_YES = frozenset(("yes", "y", "yeah", "yep", "yup", "true", "correct", "right", "affirmative", "certainly", "indeed"))
_NO = frozenset(("no", "n", "nope", "nay", "false", "incorrect", "wrong", "negative"))
_SEPARATOR = regex.compile(
    r"\s*(?:;|•|·|(?<!\d),|,(?!\d)|(?<=\s)(?:and|und|et|y|&|\+)(?=\s)|\s-\s|(?:^|(?<=\s))(?:\d{1,2}[.)]|[-*])(?=\s))\s*"
)
_MOST_PARTS, _LONGEST = 64, 4000


def normalise(text: str) -> str:
    """A value as it is recorded: its tokens in lower case."""
    return " ".join(key(readable(text)))


def recorded(text: str) -> str:
    """An answer as it is recorded: ``none`` where it declines, else :func:`normalise`."""
    return ABSTAIN if declines(readable(text)) else normalise(text)


def same_value(given: str, gold: str, tolerance: float = 0.0) -> bool:
    """Whether two texts are one value: the same tokens, number or date.

    Args:
        tolerance: Largest difference of two numbers that still are the same; 0 where the question states none.
    """
    if key(given) == key(gold):
        return bool(key(gold))
    wanted = number_of(gold)
    if wanted is not None:
        said = number_of(given)
        return said is not None and abs(said - wanted) <= Fraction(str(tolerance))
    return same_date(given, gold)


def number_of(text: str) -> Fraction | None:
    """The number that a text is as a whole, in digits or in words."""
    return whole_number(fold(text))


def yes_or_no(text: str) -> str:
    """``yes`` or ``no`` where an answer begins with one of the two and does not take it back; else empty."""
    said = key(text)
    first = "yes" if said and said[0] in _YES else "no" if said and said[0] in _NO else ""
    if not first or (len(said) > 1 and not regex.match(r"\s*\w+\s*[,.;:!–—-]", fold(text))):
        return ""
    return "" if any(word in (_NO if first == "yes" else _YES) for word in said[1:]) else first


def right(given: str, answers: Sequence[str], members: Sequence[Sequence[str]] = (), tolerance: float = 0.0) -> bool:
    """Whether an answer is right.

    Args:
        given: What was said.
        answers: Every wording of the right one; a yes-or-no question has one of these two words first.
        members: For a set: of every member its wordings. All must be there in any order, and nothing else.
        tolerance: Of a number.
    """
    given = readable(given)
    if members:
        return set_overlap(given, members, tolerance).f1 == 1.0
    if any(same_value(given, answer, tolerance) for answer in answers):
        return True
    said = yes_or_no(given)
    return bool(said) and yes_or_no(answers[0]) == said and len(key(answers[0])) == 1


@dataclass(frozen=True)
class Overlap:
    """Precision, recall and their harmonic mean."""

    precision: float
    recall: float

    @property
    def f1(self) -> float:
        """2PR / (P + R) (van Rijsbergen 1979, Information Retrieval, 2nd ed., ch. 7); 0 where nothing is shared."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


def set_overlap(given: str, members: Sequence[Sequence[str]], tolerance: float = 0.0) -> Overlap:
    """Members of a set among the values that an answer lists, in any order, each once.

    Values are separated by commas, semicolons, lines or "and"; a member that has one of these inside is one value.
    """
    listed_text = " ".join(fold(readable(given).replace("\n", " ; ")[:_LONGEST]).split()).strip("[](){} ")
    parts = [part for part in _SEPARATOR.split(listed_text) if key(part)][:_MOST_PARTS]
    if not parts:
        return Overlap(0.0, 0.0)
    most = 1 + max(len(_SEPARATOR.findall(fold(wording))) for member in members for wording in member)
    open_, listed, hits, i = list(members), set(), 0, 0
    while i < len(parts):
        for length in range(min(most, len(parts) - i), 0, -1):
            # Joined parts are compared by their tokens, which know no separators but "and".
            taken = [w for part in parts[i : i + length] for w in key(part)]
            match = next((m for m in open_ if any(_joined(taken, parts[i], length, w, tolerance) for w in m)), None)
            if match is not None:
                open_.remove(match)
                hits, i = hits + 1, i + length
                break
        else:
            listed.add(key(parts[i]))
            i += 1
    return Overlap(hits / (hits + len(listed)), hits / len(members))


def _joined(taken: Sequence[str], first: str, length: int, wording: str, tolerance: float) -> bool:
    if length == 1:
        return same_value(first, wording, tolerance)
    return [word for word in taken if word != "and"] == [word for word in key(wording) if word != "and"]


def overlap(given: str, answers: Sequence[str], members: Sequence[Sequence[str]] = ()) -> Overlap:
    """Of a set its members; of one value the largest overlap of tokens over its wordings."""
    if members:
        return set_overlap(given, members)
    return max((_shared(key(readable(given)), key(answer)) for answer in answers), key=lambda found: found.f1)


def token_f1(prediction: str, answers: Sequence[str]) -> float:
    """Largest F1 of shared tokens over the answers (Rajpurkar et al. 2016, SQuAD, sec. 6.1)."""
    return overlap(prediction, answers).f1


def _shared(given: Sequence[str], gold: Sequence[str]) -> Overlap:
    shared = sum((Counter(given) & Counter(gold)).values())
    return Overlap(shared / len(given), shared / len(gold)) if shared else Overlap(0.0, 0.0)
