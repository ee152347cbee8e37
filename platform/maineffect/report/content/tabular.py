"""Numbers of a figure as a CSV file, exact, and a name for the file."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping

__all__ = ["csv_text", "file_stem"]

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv_text(records: Iterable[Mapping[str, object]]) -> str:
    """Records with the same keys as CSV text, all digits kept.

    Text that a spreadsheet would take for a formula gets an apostrophe in front (OWASP, "CSV Injection").
    """
    listed = list(records)
    columns = list(dict.fromkeys(key for record in listed for key in record))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([_cell(column) for column in columns])
    writer.writerows([[_cell(record.get(column)) for column in columns] for record in listed])
    return text.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value


def file_stem(*parts: str) -> str:
    """A file name without its ending that every file system takes."""
    return "_".join(re.sub(r"[^A-Za-z0-9]+", "-", part).strip("-")[:40] or "x" for part in parts)
