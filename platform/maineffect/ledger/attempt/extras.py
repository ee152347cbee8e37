"""What a result has beside its numbers: item scores as a table, and texts as files.

Numbers are what a run was paid for, so nothing here may cost them: what cannot be kept as it is is kept as JSON, what
cannot be kept at all is left out, and either is said in the run's log. Only a disk that takes nothing is an error.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from maineffect.contracts import OUTPUT_FILE
from maineffect.ledger.store.texts import storable
from maineffect.record import tell_run

__all__ = ["write_items", "write_text", "write_texts"]

OURS = ("result.json", "curves.json", "items.parquet", OUTPUT_FILE)
"""Names that a text may not take."""
_MOST_NAME_BYTES = 200
_MOST_WHOLE = 2**63
# A name that this file system does not take; anything else that the system refuses is the disk's fault.
_NAME_ERRORS = {errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOENT}


def write_text(path: Path, text: str) -> None:
    """Write a file that outlives the machine."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def write_texts(folder: Path, texts: Mapping[Any, Any]) -> None:
    """Write texts as files below a folder, whatever they are called.

    Raises:
        OSError: The disk takes nothing.
    """
    for name, text in texts.items():
        content = _as_text(text)
        if content is None:
            tell_run(f"the text {str(name)[:80]!r} is {type(text).__name__}, no text: left out")
            continue
        path = _inside(folder, str(name))
        try:
            write_text(path, content)
        except OSError as error:
            if error.errno not in _NAME_ERRORS:
                raise
            tell_run(f"the text {str(name)[:80]!r} cannot be a file ({error.strerror}): left out")


def _as_text(text: Any) -> str | None:
    if isinstance(text, str):
        return text
    if isinstance(text, bytes | bytearray):
        return bytes(text).decode("utf-8", "backslashreplace")
    return None


def _inside(folder: Path, name: str) -> Path:
    """A text's name as a path that cannot leave its folder, nor take the place of our own files."""
    named = storable(name).replace("\\", "/")
    parts = [_short(part) for part in named.split("/") if part not in ("", ".", "..")]
    path = folder.joinpath(*parts) if parts else folder / "text"
    if path.name in OURS:
        path = folder / "texts" / path.relative_to(folder)
    assert path.is_relative_to(folder), f"{name!r} leads out of the run's folder"
    return path


def _short(part: str) -> str:
    """A part of a path that file systems take: at most 255 bytes, and two long ones that differ stay two."""
    data = part.encode()
    if len(data) <= _MOST_NAME_BYTES:
        return part
    digest = hashlib.sha256(data).hexdigest()[:8]
    return f"{data[:_MOST_NAME_BYTES].decode(errors='ignore')}-{digest}{Path(part).suffix[:20]}"


def write_items(path: Path, items: Sequence[Mapping[str, Any]]) -> None:
    """Write item scores as a Parquet table; a column that Parquet cannot hold is kept as JSON.

    Raises:
        OSError: The disk takes nothing.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = list(dict.fromkeys(str(name) for item in items for name in item))
    by_name = [{str(name): value for name, value in item.items()} for item in items]
    columns = {name: [_scalar(item.get(name)) for item in by_name] for name in names}
    arrays = {storable(name): _column(pa, name, values) for name, values in columns.items()}
    try:
        pq.write_table(pa.table(arrays), path)
    except OSError:
        raise
    except Exception as error:
        tell_run(f"item scores cannot be a table as they are ({type(error).__name__}): kept as JSON")
        _without_failing(
            lambda: pq.write_table(
                pa.table({name: pa.array([_as_json(v) for v in array.to_pylist()]) for name, array in arrays.items()}),
                path,
            ),
            "item scores",
        )


def _column(pa: Any, name: str, values: list[Any]) -> Any:
    """A column of one kind of scalars, else of JSON."""
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float} or (len(kinds) == 1 and kinds <= {bool, str}):
        try:
            return pa.array(values)
        except Exception:
            kinds = {object}
    if kinds:
        tell_run(f"the item column {name[:80]!r} holds values that a table cannot: kept as JSON")
    return pa.array([_as_json(value) for value in values], pa.string())


def _scalar(value: Any) -> Any:
    """NumPy's and torch's scalars as Python's; texts as a table can hold them."""
    if isinstance(value, str):
        return storable(value)
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if -_MOST_WHOLE <= value < _MOST_WHOLE else str(value)
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "ndim", 0) == 0:
        try:
            return _scalar(item())
        except Exception:
            return value
    return value


def _as_json(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return json.dumps(str(value))
    try:
        return json.dumps(value, default=lambda other: storable(str(other)))
    except Exception:
        return json.dumps(f"<{type(value).__name__}>")


def _without_failing(write: Callable[[], None], what: str) -> None:
    try:
        write()
    except OSError:
        raise
    except Exception as error:
        tell_run(f"{what} cannot be kept: {type(error).__name__}: {error}; left out")
