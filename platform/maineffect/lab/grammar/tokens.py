"""Words, numbers and symbols of a text, as they are compared: the one way in which values are told apart or found.

A number keeps sign, decimal point and fraction; ``C``, ``C++`` and ``C#`` are three words; of scripts without blanks
(Chinese, Japanese, Thai, Lao, Khmer, Burmese) every character is a word. Case, quotes, stops, hyphens, possessives and
the article "the" tell nothing apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import lru_cache

import regex

from maineffect.lab.grammar.text import fold, folded_with_places

__all__ = ["UNSPACED", "Token", "find", "key", "spellings", "tokens", "whole_number"]

Token = tuple[str, int, int]
"""What is compared, and where it begins and ends in the text."""

UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
"""Scripts without blanks between words."""
_TOKEN = regex.compile(
    rf"""
    (?P<many>(?<![\w.])\d+(?:\.\d+){{2,}}(?![\w]))                                        # 1.2.3
    |(?P<number>(?:(?<![\w.,)\]/"'])[-+])?(?<![\w.]|\d,)(?:\d{{1,3}}(?:,\d{{3}})+(?!\d)|\d+)
        (?:\.\d+)?(?![\p{{L}}\p{{M}}_]|\d)(?:/\d+(?![\d/.\p{{L}}]))?)
    |(?P<part>(?:(?<![\w.,)\]/"'])[-+])?(?<![\w.])\.\d+(?!\w))                            # .5
    |(?P<percent>(?i:per\s?cent)(?!\w))
    |(?P<one>[{UNSPACED}]\p{{M}}*)
    |(?P<initials>(?<!\w)(?:\p{{L}}\.){{2,}}(?:\p{{L}}(?!\w))?)                           # U.S.
    |(?P<word>(?!_+(?!\w))[[\p{{L}}\p{{N}}\p{{M}}_]--[{UNSPACED}]]+(?:'[\p{{L}}\p{{M}}]+)*(?:(?:\+{{1,2}}|\#)(?![\w+#]))?)
    |(?P<symbol>[%<>=+*/^|$€£¥°&@#~\\§])
    """,
    regex.VERBOSE | regex.V1,
)
_ARABIC = regex.compile(r"\p{Arabic}")
_MARKS = regex.compile(r"[\u0640\u064b-\u065f\u0670\u06d6-\u06ed]")
_LETTERS = str.maketrans({**dict.fromkeys("أإآٱ", "ا"), "ى": "ي", "ة": "ه"})
_PREFIXES = ("وال", "بال", "كال", "فال", "لل", "ال", "و")
_MOST_DIGITS, _MOST_PLACES, _LONGEST = 60, 12, 200
_NAMED = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
seventeen eighteen nineteen / twenty thirty forty fifty sixty seventy eighty ninety"""
_UNITS, _TENS = (names.split() for names in _NAMED.split("/"))
_WORDS = {**{word: i for i, word in enumerate(_UNITS)}, **{word: 10 * i for i, word in enumerate(_TENS, 2)}}
_SCALES = {"hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_PLAIN = regex.compile(
    r"([-+]?)\s?(\d{1,3}(?:[, ]\d{3})+|\d+)?(?:([.,])(\d+))?(?:\s+(\d+)/(\d+)|/(\d+))?(?:[eE]([-+]?\d{1,2}))?"
)


def tokens(text: str) -> list[str]:
    """What is compared of a text, in order, without "the"."""
    return [word for word, _, _ in _scan(fold(text)) if word != "the"]


def find(text: str, wanted: Sequence[str]) -> list[tuple[int, int]]:
    """Where a value stands in a text, as whole tokens: (begin, end) of every place.

    Args:
        text: As it is shown.
        wanted: The value's :func:`key`.
    """
    if not wanted:
        return []
    words, begins, ends = _placed(text)
    sought, length = tuple(wanted), len(wanted)
    spans: list[tuple[int, int]] = []
    for i in range(len(words) - length + 1):
        if words[i] != sought[0] or words[i : i + length] != sought:
            continue
        begin, end = begins[i], ends[i + length - 1]
        if not spans or begin >= spans[-1][1]:
            spans.append((begin, end))
    return spans


# A text is searched for one spelling of a value after the other.
@lru_cache(maxsize=256)
def _placed(text: str) -> tuple[tuple[str, ...], tuple[int, ...], tuple[int, ...]]:
    """Tokens without "the", and where each begins and ends in the text."""
    folded, places = folded_with_places(text)
    read = [token for token in _scan(folded) if token[0] != "the"]
    return (
        tuple(word for word, _, _ in read),
        tuple(places[begin] for _, begin, _ in read),
        tuple(places[end] for _, _, end in read),
    )


def key(text: str) -> tuple[str, ...]:
    """What makes two values the same: the tokens without a leading article.

    A value of nothing but punctuation is itself; one of nothing but the articles "the" or "an" is empty.
    """
    return _key(text) if len(text) <= _LONGEST else _key.__wrapped__(text)


@lru_cache(maxsize=1 << 16)
def _key(text: str) -> tuple[str, ...]:
    plain = fold(text).strip()
    found = [word for word, _, _ in _scan(plain)]
    kept = [word for word in found if word != "the"]
    if len(kept) > 1 and kept[0] in ("a", "an") and kept[1][0].isalnum():
        kept = kept[1:]
    if kept == ["an"] or (found and not kept):
        return ()
    return tuple(kept) or ((plain.casefold(),) if plain else ())


def spellings(value: str) -> list[tuple[str, ...]]:
    """The token sequences by which a text can show a value: its own, and of a number digits and English words."""
    own = key(value)
    number = whole_number(fold(value))
    if number is None:
        return [own] if own else []
    ways = [own, (_written(number),)]
    if number.denominator == 1 and 0 <= number < 100:
        ten, unit = divmod(int(number), 10)
        ways.append((_UNITS[int(number)],) if number < 20 else (_TENS[ten - 2], *([_UNITS[unit]] if unit else [])))
    return [*dict.fromkeys(ways)]


def whole_number(plain: str) -> Fraction | None:
    """The number that a folded text is as a whole.

    Digits in groups, a decimal comma, 5 1/2, 1e3, 7 million, twenty-one.
    """
    plain = plain.strip().rstrip(".").strip()
    if not plain or len(plain) > _MOST_DIGITS:
        return None
    scale = 1
    head, _, last = plain.casefold().rpartition(" ")
    if head and head[-1].isdecimal() and last in _SCALES:
        plain, scale = head, _SCALES[last]
    found = _PLAIN.fullmatch(plain)
    if found is None:
        return _spoken(plain.casefold().replace("-", " ").split())
    sign, whole, mark, digits, over, under, below, power = found.groups()
    if (whole is None and digits is None) or (under or below or "1").lstrip("0").rjust(1, "0") == "0":
        return None
    if (mark == "," and whole is None) or (over and digits) or (power and (over or below)):
        return None
    value = Fraction(int(regex.sub(r"\D", "", whole or "0")))
    if digits:
        value += Fraction(int(digits), 10 ** len(digits))
    value = value / int(below) if below else value + (Fraction(int(over), int(under)) if over else 0)
    return (-value if sign == "-" else value) * scale * (Fraction(10) ** int(power) if power else 1)


def _spoken(words: Sequence[str]) -> Fraction | None:
    """A number in English words."""
    if not words or any(word not in _WORDS and word not in _SCALES and word != "and" for word in words):
        return None
    if words[0] in ("and", *_SCALES) or words[-1] == "and":
        return None
    total, part = 0, 0
    for word in words:
        if word in _WORDS:
            if (part % 10 and word in _UNITS) or (part % 100 and _WORDS[word] >= 10):
                return None  # "one two" is two numbers
            part += _WORDS[word]
        elif word == "hundred":
            part *= 100
        elif word != "and":
            total, part = total + part * _SCALES[word], 0
    return Fraction(total + part)


def _scan(folded: str) -> Iterator[Token]:
    """Tokens of a folded text."""
    for found in _TOKEN.finditer(folded):
        kind, said = found.lastgroup, found[0]
        yield _read(kind, said), found.start(), found.end()


def _read(kind: str | None, said: str) -> str:
    if kind in ("number", "part"):
        return _digits(said)
    if kind == "percent":
        return "%"
    if kind == "symbol":
        return "and" if said == "&" else said
    if kind == "initials":
        return said.replace(".", "").casefold()
    word = said.casefold()
    if "'" in word:
        word = word.removesuffix("'s").replace("'", "")
    return _arabic(word) if not word.isascii() and _ARABIC.search(word) else word


def _digits(said: str) -> str:
    plain = said.replace(",", "")
    if len(plain) > _MOST_DIGITS:
        return plain
    over, slash, under = plain.partition("/")
    if slash and not under.strip("0"):
        return plain
    if over.isdecimal() and not slash:
        return str(int(over))
    return _written(Fraction(over) / int(under) if slash else Fraction(over))


def _written(number: Fraction) -> str:
    """As a decimal where that ends, else as a fraction."""
    for places in range(_MOST_PLACES):
        if (number * 10**places).denominator == 1:
            digits = str(abs(number.numerator * 10**places // number.denominator)).rjust(places + 1, "0")
            whole = f"{digits[:-places]}.{digits[-places:]}" if places else digits
            return f"-{whole}" if number < 0 else whole
    return str(number)


def _arabic(word: str) -> str:
    """Without vowel signs and the clitics that light10 strips (Larkey, Ballesteros and Connell 2007, sec. 12.4)."""
    plain = _MARKS.sub("", word).translate(_LETTERS)
    for prefix in _PREFIXES:
        if plain.startswith(prefix) and len(plain) - len(prefix) >= 2 + (prefix == "و"):
            return plain[len(prefix) :]
    return plain
