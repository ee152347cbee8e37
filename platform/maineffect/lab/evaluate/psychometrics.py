"""Psychometrics of a sweep's battery: does each probe still tell runs apart, and how finely?

A tidy item table goes in (see :mod:`maineffect.lab.evaluate.itemtable`), one record a probe and one for the whole
battery come out, with lines for humans. Every probe has its own item response model, because probes stand for
different capabilities; the battery's is the best single scale through all of them.

What is not estimable is None, and a note says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from maineffect.errors import AnalysisError
from maineffect.lab.evaluate.irt import IrtFit, fit_irt
from maineffect.lab.evaluate.itemtable import ItemTable, item_rest_correlation, item_table, negative_items
from maineffect.lab.evaluate.reliability import chance_corrected, internal_consistency, retest

__all__ = ["FLOORED", "LEAST_HEADROOM", "SATURATED", "BatterySummary", "ProbeSummary", "psychometrics"]

Floats = NDArray[np.float64]
SATURATED = 0.95
FLOORED = 0.05
LEAST_HEADROOM = 0.3
_MOST_SPENT = 0.5
_MOST_OPPOSED = 0.25


@dataclass(frozen=True)
class ProbeSummary:
    """What a probe's items can and cannot tell. Shares are 0 to 1; runs exclude scripted policies.

    Attributes:
        name: The probe, or ``battery``.
        items: Number of items.
        runs: Number of runs.
        p: Mean share right.
        lowest: Share right of the worst run.
        highest: Share right of the best run.
        model: ``2pl`` or ``rasch``; None if no item tells test takers apart.
        discrimination: Median slope a (1 in a Rasch model).
        item_rest: Mean correlation of an item with the rest of the probe.
        negative: Share of informative items with a negative slope (2pl) or item–rest correlation (Rasch).
        faulty: Items whose item–rest correlation is negative beyond chance.
        saturated: Share of items that more than 95 % of the runs solve.
        floored: Share of items that fewer than 5 % of the runs solve.
        oracle: The oracle's share right.
        shortcut: Name of the best scripted policy besides the oracle.
        floor: Its share right.
        headroom: oracle − floor.
        discriminates: headroom ≥ .3.
        corrected: Mean PC* = (PC − F)/(1 − F).
        corrected_best: The best run's.
        best_run: Run of highest ability.
        best_theta: Its ability.
        information_at_best: Σ a²P(1 − P) at the best ability.
        peak_information: The largest over the scale.
        sem: Standard error of measurement of a run's share right, from run × item.
        smallest_detectable_change: 1.96·√2·SEM, between two single runs on these items.
        alpha: Internal consistency.
        retest_correlation: Of the share right, over the second draw.
        retest_icc: ICC(2,1) with the second draw.
        retest_sem: Standard error of measurement with the second draw.
        retest_change: Smallest detectable change with the second draw.
        flags: What is wrong with the probe, in words.
        notes: Why a value is missing.
    """

    name: str
    items: int
    runs: int
    p: float
    lowest: float
    highest: float
    model: str | None
    discrimination: float | None
    item_rest: float | None
    negative: float | None
    faulty: tuple[str, ...]
    saturated: float
    floored: float
    oracle: float | None
    shortcut: str | None
    floor: float | None
    headroom: float | None
    discriminates: bool | None
    corrected: float | None
    corrected_best: float | None
    best_run: str
    best_theta: float | None
    information_at_best: float | None
    peak_information: float | None
    sem: float | None
    smallest_detectable_change: float | None
    alpha: float | None
    retest_correlation: float | None
    retest_icc: float | None
    retest_sem: float | None
    retest_change: float | None
    flags: tuple[str, ...]
    notes: tuple[str, ...]

    def line(self) -> str:
        """One line for humans; shares in percent, errors in percentage points."""
        parts = [
            f"{self.p:.0%} right ({self.lowest:.0%}–{self.highest:.0%})",
            None if self.headroom is None else f"headroom {self.headroom:.2f} over {self.shortcut} ({self.floor:.2f})",
            None if self.item_rest is None else f"item–rest r {self.item_rest:.2f}",
            f"{self.saturated:.0%} saturated, {self.floored:.0%} floored",
            None
            if self.information_at_best is None
            else f"information {self.information_at_best:.1f} at the best run (peak {self.peak_information:.1f})",
            None
            if self.smallest_detectable_change is None or self.sem is None
            else f"SEM {100 * self.sem:.1f}, detectable from {100 * self.smallest_detectable_change:.1f} points",
        ]
        text = f"{self.name}: {self.items} items × {self.runs} runs: " + "; ".join(part for part in parts if part)
        return text + "".join(f"\n  ! {flag}" for flag in self.flags) + "".join(f"\n  · {n}" for n in self.notes)


@dataclass(frozen=True)
class BatterySummary:
    """The whole battery and its probes."""

    battery: ProbeSummary
    probes: tuple[ProbeSummary, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; what is not estimable is None."""
        return {"battery": _plain(asdict(self.battery)), "probes": [_plain(asdict(probe)) for probe in self.probes]}

    def lines(self) -> list[str]:
        """Text for humans: the battery, then each probe."""
        return [probe.line() for probe in (self.battery, *self.probes)]


def psychometrics(
    rows: pd.DataFrame,
    *,
    again: pd.DataFrame | None = None,
    oracle: str = "oracle",
    smallest_effects: Mapping[str, float] | None = None,
) -> BatterySummary:
    """Summarise a battery.

    Args:
        rows: Columns ``run``, ``item_id``, ``probe``, ``score`` and optionally ``baseline``.
        again: The same runs measured a second time (sampled again, or on a second item draw), same columns.
        oracle: Name of the scripted policy that reasons perfectly.
        smallest_effects: Smallest effect of interest of a probe's share right; a probe that cannot see it is flagged.

    Raises:
        AnalysisError: The tables are not item tables of runs.
    """
    table = item_table(rows)
    second = dict(item_table(again).probes()) if again is not None else {}
    whole = item_table(again) if again is not None else None
    effects = smallest_effects or {}
    probes = tuple(_summarise(name, part, second.get(name), oracle, effects.get(name)) for name, part in table.probes())
    return BatterySummary(_summarise("battery", table, whole, oracle, effects.get("battery")), probes)


def _summarise(
    name: str, table: ItemTable, second: ItemTable | None, oracle: str, effect: float | None
) -> ProbeSummary:
    notes: list[str] = []
    share_R, share_N = np.nanmean(table.scores_RN, axis=1), np.nanmean(table.scores_RN, axis=0)
    rest_N = item_rest_correlation(table.scores_RN)
    shortcuts = _shortcuts(table, oracle, share_R, notes)
    response = _response(table, rest_N, share_R, notes)
    precision = _precision(table, notes)
    stability = _stability(table, second, share_R, notes)
    faulty = tuple(table.items[i] for i in negative_items(rest_N, len(table.runs)))
    summary = ProbeSummary(
        name=name,
        items=len(table.items),
        runs=len(table.runs),
        p=float(share_R.mean()),
        lowest=float(share_R.min()),
        highest=float(share_R.max()),
        item_rest=None if np.isnan(rest_N).all() else float(np.nanmean(rest_N)),
        faulty=faulty,
        saturated=float(np.mean(share_N > SATURATED)),
        floored=float(np.mean(share_N < FLOORED)),
        flags=(),
        notes=tuple(notes),
        **shortcuts,
        **response,
        **precision,
        **stability,
    )
    return replace(summary, flags=_flags(summary, effect))


def _shortcuts(table: ItemTable, oracle: str, share_R: Floats, notes: list[str]) -> dict[str, Any]:
    scores = {name: float(np.nanmean(row_N)) for name, row_N in zip(table.scripted, table.scripted_SN, strict=True)}
    best = scores.pop(oracle, None)
    shortcut = max(scores, key=lambda name: scores[name], default=None)
    floor = scores[shortcut] if shortcut is not None else None
    if best is None or floor is None:
        lacking = "oracle" if best is None else "shortcut"
        notes.append(f"no headroom: no scripted {lacking} took these items (rows with `baseline` true)")
    headroom = None if best is None or floor is None else best - floor
    fair = floor is not None and floor < 1
    return {
        "oracle": best,
        "shortcut": shortcut,
        "floor": floor,
        "headroom": headroom,
        "discriminates": None if headroom is None else headroom >= LEAST_HEADROOM - 1e-12,
        "corrected": float(chance_corrected(share_R.mean(), floor)) if fair and floor is not None else None,
        "corrected_best": float(chance_corrected(share_R.max(), floor)) if fair and floor is not None else None,
    }


def _response(table: ItemTable, rest_N: Floats, share_R: Floats, notes: list[str]) -> dict[str, Any]:
    """Item response model over runs and scripted policies together."""
    best = int(np.argmax(share_R))
    empty: dict[str, Any] = dict.fromkeys(
        ("model", "discrimination", "negative", "best_theta", "information_at_best", "peak_information")
    )
    try:
        fit = _fit(table)
    except AnalysisError as error:
        notes.append(f"no item response model: {error.message}")
        return {**empty, "best_run": table.runs[best]}
    if not fit.converged:
        notes.append(f"the item response model had not settled after {fit.iterations} cycles; read it with care")
    best = int(np.argmax(fit.theta_R[: len(table.runs)]))
    theta = float(fit.theta_R[best])
    wide = 4 * max(fit.spread, 1.0)
    signs_N = fit.a_N if fit.model == "2pl" else rest_N
    known_N = ~np.isnan(signs_N)
    return {
        "model": fit.model,
        "discrimination": float(np.nanmedian(fit.a_N)),
        "negative": float(np.mean(signs_N[known_N] < 0)) if known_N.any() else None,
        "best_run": table.runs[best],
        "best_theta": theta,
        "information_at_best": float(fit.test_information(theta)[0]),
        "peak_information": float(fit.test_information(np.append(np.linspace(-wide, wide, 81), theta)).max()),
    }


def _fit(table: ItemTable) -> IrtFit:
    """Scripted policies are test takers too."""
    return fit_irt(np.vstack([table.scores_RN, table.scripted_SN]), table.items)


def _precision(table: ItemTable, notes: list[str]) -> dict[str, Any]:
    complete = table.complete()
    if min(complete.shape) < 2:
        notes.append("no standard error of measurement: it needs two runs that met the same two items")
        return {"sem": None, "smallest_detectable_change": None, "alpha": None}
    consistency = internal_consistency(complete)
    if complete.shape[1] < len(table.items):
        notes.append(f"standard error of measurement from the {complete.shape[1]} items that every run met")
    return {
        "sem": consistency.sem,
        "smallest_detectable_change": consistency.smallest_detectable_change,
        "alpha": consistency.alpha,
    }


def _stability(table: ItemTable, second: ItemTable | None, share_R: Floats, notes: list[str]) -> dict[str, Any]:
    empty = dict.fromkeys(("retest_correlation", "retest_icc", "retest_sem", "retest_change"))
    if second is None:
        return dict(empty)
    place = {run: i for i, run in enumerate(second.runs)}
    both = [i for i, run in enumerate(table.runs) if run in place]
    if len(both) < 2:
        notes.append("no retest: fewer than two runs were measured twice")
        return dict(empty)
    again_R = np.nanmean(second.scores_RN, axis=1)[[place[table.runs[i]] for i in both]]
    stability = retest(share_R[both], again_R)
    return {
        "retest_correlation": stability.correlation,
        "retest_icc": stability.icc.agreement,
        "retest_sem": stability.sem,
        "retest_change": stability.smallest_detectable_change,
    }


def _flags(probe: ProbeSummary, effect: float | None) -> tuple[str, ...]:
    flags = []
    if probe.discriminates is False:
        flags.append(
            f"not discriminating: {probe.shortcut} scores {probe.floor:.2f} without reasoning, the oracle "
            f"{probe.oracle:.2f}"
        )
    if probe.saturated > _MOST_SPENT:
        flags.append(f"saturated: {probe.saturated:.0%} of the items are solved by more than {SATURATED:.0%} of runs")
    if probe.floored > _MOST_SPENT:
        flags.append(f"floored: {probe.floored:.0%} of the items are solved by fewer than {FLOORED:.0%} of runs")
    if probe.faulty:
        shown = ", ".join(probe.faulty[:5]) + (" …" if len(probe.faulty) > 5 else "")
        flags.append(f"faulty: better runs do worse on {len(probe.faulty)} items ({shown})")
    if probe.model == "2pl" and probe.negative is not None and probe.negative > _MOST_OPPOSED:
        flags.append(f"not one scale: {probe.negative:.0%} of the items run against the rest; read them apart")
    change = probe.retest_change if probe.retest_change is not None else probe.smallest_detectable_change
    if effect is not None and change is not None and change > effect:
        flags.append(
            f"too coarse for one run against one: detectable from {100 * change:.1f} points, of interest from "
            f"{100 * effect:.1f}; add items"
        )
    return tuple(flags)


def _plain(record: dict[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in record.items()}
