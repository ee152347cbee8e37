"""A run's result as files: result.json, curves.json, items.parquet and texts, written aside and then renamed.

The files are complete before anything is sent, so a result that a slow store cannot take now is not lost: any later
process can publish it from its folder.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from maineffect.contracts import OUTPUT_FILE, RunResult
from maineffect.errors import LedgerError, disk_way_out
from maineffect.ledger.attempt.extras import write_items, write_text, write_texts
from maineffect.ledger.attempt.output import printed_tail
from maineffect.ledger.attempt.spool import Point, read_points
from maineffect.preparation import PREPARED_FOLDER, link_or_copy

__all__ = ["TRACEBACK_FILE", "curves", "digest", "number", "read_result", "thin", "write_failure", "write_result"]

TRACEBACK_FILE = "traceback.txt"
_MOST_POINTS = 200


def write_result(folder: Path, identity: Mapping[str, Any], result: RunResult, seconds: float, spool: Path) -> Path:
    """Write a result's files to ``folder/result``, all or nothing. A result that is there already stays.

    Args:
        folder: The attempt's private directory.
        identity: Which run and attempt this is; becomes part of result.json.
        result: What the trainable returned.
        seconds: Run time.
        spool: Training metrics, whose thinned curves are kept beside the result.

    Numbers come first: what stands beside them is kept as far as it can be, and never costs them.

    Raises:
        LedgerError: The disk refused.
    """

    def write(aside: Path) -> None:
        content = {
            **identity,
            "seconds": round(seconds, 3),
            "finished_ms": int(time.time() * 1000),
            "responses": {str(name): _plain(value) for name, value in result.responses.items()},
            "measures": {str(name): _plain(value) for name, value in result.measures.items()},
        }
        write_text(aside / "result.json", json.dumps(content, allow_nan=False))
        write_text(aside / "curves.json", json.dumps(curves(read_points(spool)), allow_nan=False))
        _write_printed(folder, aside)
        if (folder / PREPARED_FOLDER).is_dir():
            shutil.copytree(folder / PREPARED_FOLDER, aside / PREPARED_FOLDER, copy_function=link_or_copy)
        if result.items:
            write_items(aside / "items.parquet", result.items)
        write_texts(aside, result.texts)

    return _all_or_nothing(folder / "result", write)


def write_failure(folder: Path, detail: str, spool: Path) -> Path:
    """Write what is known of a failed attempt to ``folder/failure``: traceback, curves so far, what it printed."""

    def write(aside: Path) -> None:
        write_text(aside / "curves.json", json.dumps(curves(read_points(spool)), allow_nan=False))
        _write_printed(folder, aside)
        if detail:
            write_text(aside / TRACEBACK_FILE, detail)

    return _all_or_nothing(folder / "failure", write)


def _write_printed(folder: Path, aside: Path) -> None:
    text = printed_tail(folder)
    if text:
        write_text(aside / OUTPUT_FILE, text)


def _all_or_nothing(target: Path, write: Callable[[Path], None]) -> Path:
    if target.exists():
        return target
    aside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True, mode=0o700)
        write(aside)
        aside.rename(target)
    except OSError as error:
        shutil.rmtree(aside, ignore_errors=True)
        raise LedgerError(
            f"the result cannot be kept in {target.parent}: {error.strerror or error}",
            disk_way_out(error, target.parent),
        ) from None
    return target


def _plain(value: Any) -> float | str | None:
    """A number as strict JSON: NaN is null, infinities are words."""
    plain = float(value)
    if math.isnan(plain):
        return None
    return plain if math.isfinite(plain) else ("inf" if plain > 0 else "-inf")


def number(value: float | str | None) -> float:
    """The number that was written by a result."""
    return math.nan if value is None else float(value)


def read_result(text: str) -> dict[str, Any]:
    """A result.json with its numbers as floats."""
    content: dict[str, Any] = json.loads(text)
    for part in ("responses", "measures"):
        content[part] = {name: number(value) for name, value in content[part].items()}
    return content


def digest(text: str) -> str:
    """SHA-256 of a result.json, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def curves(points: Iterable[Point], most: int = _MOST_POINTS) -> dict[str, dict[str, list[Any]]]:
    """Metric → steps and values, at most ``most`` points each. Of a repeated step the last value counts."""
    values: dict[str, dict[int, float]] = {}
    for point in points:
        values.setdefault(point.key, {})[point.step] = point.value
    return {name: thin(sorted(series.items()), most) for name, series in values.items()}


def thin(series: Sequence[tuple[int, float]], most: int = _MOST_POINTS) -> dict[str, list[Any]]:
    """Evenly chosen points of a curve, its first and last always among them."""
    if len(series) > most:
        chosen = sorted({round(i * (len(series) - 1) / (most - 1)) for i in range(most)})
        series = [series[i] for i in chosen]
    finite = [value if math.isfinite(value) else None for _, value in series]
    return {"steps": [step for step, _ in series], "values": finite}
