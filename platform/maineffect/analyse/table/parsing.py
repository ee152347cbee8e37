"""A CSV file as programs and spreadsheets write it → texts, each row with its place in the file.

Nothing is guessed about values here: encoding, separator and fields only. What cannot be told is refused by line.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from maineffect.errors import AnalysisError

__all__ = ["PLACE", "SEPARATOR", "parse_csv", "place_of", "places_aside", "with_places"]

PLACE = ":place"
"""Column of a raw table with ``file:line`` of each row, and key in a tidy one's ``attrs``: no name holds a colon."""
SEPARATOR = "separator"
"""Key in ``attrs``: what separates the fields."""
_SEPARATORS = (",", ";", "\t", "|")
_WORDS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_ENCODINGS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_SAMPLE = 400


class Places(tuple[str, ...]):
    """Places of rows in ``attrs``; pandas copies what lies there at every step, and these never change."""

    def __deepcopy__(self, memo: object) -> Places:
        return self


def place_of(table: pd.DataFrame, row: int) -> str:
    """Where a row came from: ``runs.csv:7``, or its number where no file is known."""
    if PLACE in table:
        return str(table[PLACE].iloc[row])
    places, label = table.attrs.get(PLACE, ()), table.index[row]
    return str(places[label]) if isinstance(label, int | np.integer) and label < len(places) else f"row {row + 1}"


def with_places(table: pd.DataFrame) -> pd.DataFrame:
    """The table with its places as a column, however they came."""
    if PLACE in table or PLACE not in table.attrs:
        return table
    return table.assign(**{PLACE: [place_of(table, row) for row in range(len(table))]})


def places_aside(table: pd.DataFrame) -> pd.DataFrame:
    """The table with its places in ``attrs``, so that rows may still be chosen by index."""
    if PLACE not in table:
        return table
    aside = table.drop(columns=PLACE)
    aside.attrs[PLACE] = Places(table[PLACE].tolist())
    return aside


def parse_csv(path: Path, names: Collection[str] = ()) -> pd.DataFrame:
    """Read a CSV file as text.

    Args:
        path: UTF-8 or UTF-16 with or without byte-order mark, or Windows-1252; fields between commas, semicolons, tabs
            or bars; ``sep=;`` may stand in the first line.
        names: Columns that are looked for; they tell which character separates.

    Returns:
        One row per line that is not blank, with the column :data:`PLACE`; the separator in ``attrs``.

    Raises:
        AnalysisError: The file is no such text, a row has more or fewer fields than the header, or the header occurs
            again (files were put one after the other).
    """
    text, warnings = _decoded(path)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text, skipped = _without_head(text, names)
    separator, text, skipped = _separator(text, names, skipped)
    records = _records(path, text, separator, skipped)
    first = next(records, None)
    if first is None:
        raise AnalysisError(f"{path} has no rows", "the first line names the columns, and every other one is a run")
    header = [name.strip() for name in first[1]]
    rows, lines = _rows(path, header, records, separator)
    kept = [j for j, name in enumerate(header) if name or any(row[j].strip() for row in rows)]
    columns = [header[j] or f"column {j + 1} (without a name)" for j in kept]
    table = pd.DataFrame([[row[j] for j in kept] for row in rows], columns=columns, dtype=object)
    table[PLACE] = [f"{path}:{line}" for line in lines]
    table.attrs |= {"warnings": warnings, SEPARATOR: separator}
    return table


def _decoded(path: Path) -> tuple[str, list[str]]:
    raw = path.read_bytes()
    if raw[:4] == b"PK\x03\x04":
        raise AnalysisError(f"{path} is a spreadsheet or an archive, not text", "save its sheet as CSV (UTF-8)")
    encoding = next((name for mark, name in _ENCODINGS if raw.startswith(mark)), None)
    if encoding is None and b"\0" in raw[:_SAMPLE]:
        # Letters of a header are ASCII: in UTF-16 every other byte is zero, the first or the second of each pair.
        encoding = "utf-16-be" if raw[:1] == b"\0" else "utf-16-le"
    try:
        text = raw.decode(encoding or "utf-8")
        notes = [] if encoding in (None, "utf-8-sig") else [f"{path.name} was read as UTF-16"]
    except UnicodeDecodeError as error:
        try:
            text = raw.decode("cp1252")
        except UnicodeDecodeError:
            line = raw.count(b"\n", 0, error.start) + 1
            raise AnalysisError(
                f"{path}:{line} is not {encoding or 'UTF-8'}: byte 0x{raw[error.start]:02x}", "save it as CSV (UTF-8)"
            ) from None
        notes = [f"{path.name} is not UTF-8 and was read as Windows-1252: look at its accented letters"]
    if "\0" in text:
        raise AnalysisError(f"{path} is not text: it holds zero bytes", "save it as CSV (UTF-8), or as Parquet")
    return text, notes


def _without_head(text: str, names: Collection[str]) -> tuple[str, int]:
    """The text after remarks (lines from ``#`` on that name no column), and how many lines these are."""
    skipped = 0
    while text.startswith("#") and not any(name in text.partition("\n")[0] for name in names):
        text, skipped = text.partition("\n")[2], skipped + 1
    return text, skipped


def _separator(text: str, names: Collection[str], skipped: int) -> tuple[str, str, int]:
    """The separator, the text after a line that states it, and how many lines were skipped."""
    first, _, rest = text.partition("\n")
    stated = first.strip().strip('"').lower()
    if stated.startswith("sep=") and len(first.strip().strip('"')) == 5:
        return first.strip().strip('"')[4], rest, skipped + 1

    def found(separator: str) -> tuple[int, int]:
        head = next((row for row in csv.reader(io.StringIO(text), delimiter=separator) if any(row)), [])
        return sum(name.strip() in names for name in head), len(head)

    return max(_SEPARATORS, key=found), text, skipped


def _records(path: Path, text: str, separator: str, skipped: int) -> Iterator[tuple[int, list[str]]]:
    """(line, fields) of every row that is not blank."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
    line = 0
    try:
        for row in reader:
            if any(field.strip() for field in row):
                yield line + 1 + skipped, row
            line = reader.line_num
    except csv.Error as error:
        raise AnalysisError(f"{path}:{line + 1 + skipped} cannot be read: {error}", "write it as CSV (UTF-8)") from None


def _rows(
    path: Path, header: list[str], records: Iterator[tuple[int, list[str]]], separator: str
) -> tuple[list[list[str]], list[int]]:
    rows, lines = [], []
    for line, row in records:
        if [field.strip() for field in row[: len(header)]] == header:
            raise AnalysisError(
                f"{path}:{line} is the header again: files were put one after the other",
                "pass one file in which every run stands once",
            )
        beyond = [field for field in row[len(header) :] if field.strip()]
        if beyond or len(row) < len(header):
            raise AnalysisError(
                f"{path}:{line} has {len(row)} fields and the header names {len(header)} columns "
                f"(between {_WORDS.get(separator, repr(separator))})",
                _way_out(row, separator) if beyond else "fill in the row; a field without a value stays empty",
            )
        rows.append(row[: len(header)])
        lines.append(line)
    return rows, lines


def _way_out(row: list[str], separator: str) -> str:
    if separator == "," and sum(field.strip().lstrip("+-").isdecimal() for field in row) >= 2:
        return "decimal commas cannot be told from separators here: separate by semicolons, or write decimal points"
    return "put quotes around a field that holds the separator"
