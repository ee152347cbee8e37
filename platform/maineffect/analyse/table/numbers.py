"""Texts that are numbers, in the ways in which programs and spreadsheets write them; what could mean two is refused.

One column is written in one way: decimal points or decimal commas, with percent signs or without.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from maineffect.errors import AnalysisError

__all__ = ["ABSENT", "has_decimal_commas", "is_blank", "number_of", "numbers", "per_cent_is"]

ABSENT = frozenset({"na", "nan", "null", "none", "#n/a", "n/a"})
"""Words for a value that is not there."""
_POINT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_COMMA = re.compile(r"[+-]?(\d+,\d*|,\d+|\d+)([eE][+-]?\d+)?")
_LIKE = re.compile(r"[+-]?[\d.,]+([eE][+-]?\d+)?")
_ONE_GROUP = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")
_INFINITE = {"inf": math.inf, "+inf": math.inf, "-inf": -math.inf, "infinity": math.inf, "-infinity": -math.inf}
_SIMPLE = re.compile(r"[0-9.eE+\-\n]*")
_SAMPLE = 3


def is_blank(value: object) -> bool:
    """Whether a cell of a table holds nothing."""
    if value is None or value is pd.NA or value is pd.NaT:
        return True
    if isinstance(value, str):
        return not value.strip()
    return isinstance(value, float | np.floating) and math.isnan(float(value))


def _cleaned(text: str) -> str:
    """Without spaces of any kind around or inside, and with ASCII signs."""
    return re.sub(r"[\s\u00a0\u202f']", "", text).replace("\u2212", "-")


def number_of(raw: object, *, comma: bool = False) -> float | None:
    """The number that a value is, or None: ``1_1`` is a label, and so is a date."""
    if isinstance(raw, bool | np.bool_):
        return None
    if isinstance(raw, int | float | np.integer | np.floating):
        return float(raw)
    text = _cleaned(str(raw))
    if text.lower() in _INFINITE:
        return _INFINITE[text.lower()]
    if comma and _COMMA.fullmatch(text):
        return float(text.replace(",", "."))
    return float(text) if _POINT.fullmatch(text) else None


def has_decimal_commas(
    values: Sequence[object], name: str, separator: str, place: Callable[[int], str], sure: bool = False
) -> bool:
    """Whether a column is written with decimal commas.

    Args:
        values: The column.
        name: Its name.
        separator: Of the file: between semicolons a comma is decimal.
        place: Where a row is.
        sure: Whether other columns of the table show that its commas are decimal.

    Raises:
        AnalysisError: Points and commas are both decimal, thousands are separated, or ``1,234`` could be either.
    """
    texts = [(i, _cleaned(value).removesuffix("%")) for i, value in enumerate(values) if isinstance(value, str)]
    with_comma = [(i, text) for i, text in texts if "," in text and _LIKE.fullmatch(text)]
    if not with_comma:
        return False
    odd = next(((i, text) for i, text in with_comma if not _COMMA.fullmatch(text)), None)
    if odd is not None:
        raise AnalysisError(
            f"{place(odd[0])}: {name} is {values[odd[0]]!r}, a number with separated thousands",
            "write it without them",
        )
    point = next(((i, text) for i, text in texts if "." in text and _POINT.fullmatch(text)), None)
    if point is not None:
        raise AnalysisError(
            f"{name} has decimal commas ({place(with_comma[0][0])}: {with_comma[0][1]}) and decimal points "
            f"({place(point[0])}: {point[1]})",
            "write the whole column in one way",
        )
    if separator == ";" or sure or any(not _ONE_GROUP.fullmatch(text) for _, text in with_comma):
        return True
    i, text = with_comma[0]
    raise AnalysisError(
        f"{place(i)}: {name} is {text!r}, which may be {text.replace(',', '.')} or {text.replace(',', '')}",
        "write decimal points, and no separators of thousands",
    )


def per_cent_is(unit: str, limits: tuple[float, float] | None) -> float | None:
    """What ``1 %`` is in a response's own units: 1 if they are per cent, 0.01 if they are shares, None if unknown."""
    if unit.strip().lower() in {"%", "percent", "per cent", "pct"}:
        return 1.0
    if limits is None:
        return None
    return 1.0 if limits[1] > 1 else 0.01


def numbers(
    column: pd.Series,
    name: str,
    warnings: list[str],
    *,
    place: Callable[[int], str],
    separator: str = ",",
    sure: bool = False,
    per_cent: float | None = None,
) -> list[float]:
    """A column as numbers, NaN where it has none.

    Args:
        column: Texts or numbers.
        name: Of the column.
        warnings: Gets what was noticed.
        place: Where a row is.
        separator: Of the file.
        sure: Whether other columns show that commas are decimal.
        per_cent: What ``1 %`` is in the column's units.

    Raises:
        AnalysisError: A value is no number, or could be two.
    """
    raw = column.tolist()
    plain = _plain(column, raw)
    if plain is not None:
        return plain
    comma = has_decimal_commas(raw, name, separator, place, sure)
    if comma:
        warnings.append(f"{name}: decimal commas were read as such")
    factor = _per_cent(raw, name, place, per_cent)
    if factor is not None:
        warnings.append(f"{name}: per cent were read as {'they are' if factor == 1 else 'shares: 50 % is 0.5'}")
    values: list[float] = []
    infinite: list[int] = []
    for row, value in enumerate(raw):
        if is_blank(value) or (isinstance(value, str) and value.strip().lower() in ABSENT):
            values.append(math.nan)
            continue
        text = value.strip().removesuffix("%") if isinstance(value, str) and factor is not None else value
        number = number_of(text, comma=comma)
        if number is None:
            raise AnalysisError(
                f"{place(row)}: {name} is {value!r}, not a number", "leave the field empty if it is missing"
            )
        if math.isinf(number):
            infinite.append(row)
        values.append(number * (factor or 1.0) if math.isfinite(number) else math.nan)
    if infinite:
        shown = ", ".join(map(place, infinite[:_SAMPLE])) + (", …" if len(infinite) > _SAMPLE else "")
        warnings.append(f"{name}: {len(infinite)} infinite value(s) taken as missing ({shown})")
    return values


def _plain(column: pd.Series, raw: Sequence[object]) -> list[float] | None:
    """The numbers of a column that has nothing else in it, quickly; None where one must look closer."""
    if column.dtype == np.float64:
        return None if np.isinf(column.to_numpy()).any() else column.tolist()
    if not all(type(value) is str for value in raw) or not _SIMPLE.fullmatch("\n".join(raw)):  # type: ignore[arg-type]
        return None
    try:
        return [float(value) for value in raw]  # type: ignore[arg-type]
    except ValueError:
        return None


def _per_cent(raw: Sequence[object], name: str, place: Callable[[int], str], per_cent: float | None) -> float | None:
    """The factor that a percent sign stands for; None where there is no sign.

    Raises:
        AnalysisError: Some values have the sign and others not, or nobody knows what it means.
    """
    filled = [i for i, value in enumerate(raw) if not is_blank(value) and str(value).strip().lower() not in ABSENT]
    signs = [isinstance(raw[i], str) and str(raw[i]).strip().endswith("%") for i in filled]
    if not any(signs):
        return None
    first = filled[signs.index(True)]
    if not all(signs):
        other = filled[signs.index(False)]
        raise AnalysisError(
            f"{name} is {raw[first]!r} in {place(first)} and {raw[other]!r}, without a percent sign, in {place(other)}",
            "write the whole column in one way",
        )
    if per_cent is None:
        raise AnalysisError(
            f"{place(first)}: {name} is {raw[first]!r}, and the study does not say whether it counts per cent or "
            "shares",
            f'state responses.{name}.limits ([0, 1] or [0, 100]) or unit: "%", or write plain numbers',
        )
    return per_cent
