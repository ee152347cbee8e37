"""Studies that ship: the short quickstart is the quickstart's study with other sizes, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from maineffect.spec.load import load_study

FOLDER = Path(__file__).resolve().parents[1] / "experiments" / "01_evidence_regimes"
SIZES = {
    ("name",),
    ("design", "replicates"),
    ("settings", "train", "steps"),
    ("settings", "warmstart", "steps"),
    ("settings", "evaluation"),
}


def _differences(one: Any, other: Any, path: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    if isinstance(one, dict) and isinstance(other, dict):
        return {
            found for key in {*one, *other} for found in _differences(one.get(key), other.get(key), (*path, str(key)))
        }
    return set() if one == other else {path}


def test_the_short_quickstart_differs_in_its_sizes_alone() -> None:
    full, short = (load_study(FOLDER / f"{name}.yaml").model_dump(mode="json") for name in ("study", "short"))
    assert _differences(full, short) == SIZES
