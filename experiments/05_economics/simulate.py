"""Simulate every strategy at several sizes on the truth: costs, shares decided and false decisions, to results.csv.

    python simulate.py                  # all; one core
    python simulate.py --only looks     # one strategy; the others' rows stay, and so do rows of as many studies

Each row is one strategy at one size and one kind of truth. `compare.py` reads them.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parent))
from strategies import STRATEGIES, Outcome
from truth import HERE, Truth, read_truth

from maineffect.seeds import derive_seed

_ROUNDING = 1e-12
KEY = ["strategy", "size", "effects"]

__all__ = ["NULL_SIZES", "PLAIN_SIZES", "SIZES", "is_false", "simulate", "summary"]

SIZES: dict[str, Sequence[int]] = {
    "one factor": (20, 26, 32, 40),
    "fraction": (1, 2, 3, 4, 5, 6),
    "looks": (4, 7, 10),
    "next": (2, 3, 4),
    "looks + next": (2, 3, 4, 5, 7),
}
"""Replicates tried: the cells of a replicate are 10 for one factor at a time, else 16."""
PLAIN_SIZES: dict[str, Sequence[int]] = {"one factor": (2, 4, 6, 8, 12, 16, 20, 26), "fraction": (1, 2, 3, 4, 5, 6)}
"""Those tried where factors do not change each other's effects: a fraction of resolution IV sees no difference."""
NULL_SIZES = {"one factor": 26, "fraction": 5, "looks": 4, "next": 2, "looks + next": 2}
"""Where errors are counted without any effect."""


def simulate(truth: Truth, strategy: str, size: int, studies: int, *, first: int = 0) -> list[Outcome]:
    """Independent studies; the same numbers give the same studies."""
    rngs = (np.random.default_rng(derive_seed(i, f"{strategy} {size}")) for i in range(first, first + studies))
    return [STRATEGIES[strategy](truth, size, rng) for rng in rngs]


def is_false(truth: Truth, outcome: Outcome, *, at_baseline: bool = False) -> list[bool]:
    """Whether each question's verdict says what is not true.

    Args:
        truth: Of every cell.
        outcome: Of one study.
        at_baseline: Of the effect at the baseline, instead of the main effect over all cells.
    """
    false = []
    for question in truth.study.hypotheses:
        effect = truth.effect_at_baseline(question) if at_baseline else truth.effect(question)
        sign = 0 if abs(effect) < _ROUNDING else int(np.sign(effect))
        found, verdict = outcome.found[question.id], outcome.verdicts[question.id]
        large = abs(effect) >= truth.margin(question)
        false.append((found != 0 and found != sign) or (verdict == "negligible" and large))
    return false


def summary(truth: Truth, outcomes: Sequence[Outcome]) -> dict[str, float]:
    """Means over studies, with the Monte Carlo standard errors of those that are compared."""
    questions = truth.study.hypotheses
    decided = np.array([[o.verdicts[q.id] != "inconclusive" for q in questions] for o in outcomes])
    false = np.array([is_false(truth, o) for o in outcomes])
    real = np.array([q.id in truth.real() for q in questions])
    hours, root = np.array([o.hours for o in outcomes]), np.sqrt(len(outcomes))
    share = decided.mean(axis=1)
    found = (decided & ~false)[:, real].mean(axis=1) if real.any() else np.zeros(len(outcomes))
    return {
        "studies": len(outcomes),
        "runs": float(np.mean([o.runs for o in outcomes])),
        "hours": float(hours.mean()),
        "hours_se": float(hours.std() / root),
        "decided": float(share.mean()),
        "decided_se": float(share.std() / root),
        "real_found": float(found.mean()),
        "real_found_se": float(found.std() / root),
        "any_false": float(false.any(axis=1).mean()),
        "any_false_at_baseline": float(np.mean([any(is_false(truth, o, at_baseline=True)) for o in outcomes])),
    }


def jobs(strategy: str) -> Iterator[tuple[str, int]]:
    """(effects, size) of every row of a strategy."""
    yield from (("as trained", size) for size in SIZES[strategy])
    yield from (("main effects only", size) for size in PLAIN_SIZES.get(strategy, ()))
    yield "none", NULL_SIZES[strategy]


def main() -> None:
    """Simulate, and write results.csv after every row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=400)
    parser.add_argument("--only", choices=STRATEGIES)
    asked = parser.parse_args()
    path, truth = HERE / "results.csv", read_truth()
    truths = {"as trained": truth, "main effects only": truth.without_interactions(), "none": truth.without_effects()}
    for strategy in [asked.only] if asked.only else STRATEGIES:
        for effects, size in jobs(strategy):
            if _stands(path, (strategy, size, effects), asked.studies):
                continue
            began, of = time.monotonic(), truths[effects]
            row = {"strategy": strategy, "size": size, "effects": effects}
            row |= summary(of, simulate(of, strategy, size, asked.studies))
            _write(path, row)
            sys.stdout.write(
                f"{strategy} {size}, {effects}: {row['hours']:.3f} h, {row['decided']:.3f} decided, "
                f"false in {row['any_false']:.3f} of studies, {time.monotonic() - began:.0f} s\n"
            )
            sys.stdout.flush()


def _stands(path: Path, key: tuple[str, int, str], studies: int) -> bool:
    """Whether the table has this row, of as many studies."""
    rows = pd.read_csv(path).to_dict("records") if path.exists() else []
    return any(tuple(row[k] for k in KEY) == key and row["studies"] >= studies for row in rows)


def _write(path: Path, row: dict[str, object]) -> None:
    """Put a row into the table, in the place of one for the same."""
    rows: list[Any] = pd.read_csv(path).to_dict("records") if path.exists() else []
    rows = [other for other in rows if any(other[k] != row[k] for k in KEY)] + [row]
    table = pd.DataFrame(rows).round(5)
    order = {name: i for i, name in enumerate(STRATEGIES)}
    table = table.sort_values(KEY, key=lambda column: column.map(order) if column.name == "strategy" else column)
    table.to_csv(path, index=False)


if __name__ == "__main__":
    main()
