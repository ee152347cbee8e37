"""Item table: tidy item scores of a sweep → one matrix of runs by items, the scripted policies apart.

Columns: ``run``, ``item_id``, ``probe``, ``score`` (0 or 1; a pair's score where items come in pairs), and optionally
``baseline``, true in the rows of scripted policies, whose name then stands in ``run``.

Legend: R runs, S scripted policies, N items.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from maineffect.errors import AnalysisError

__all__ = ["ItemTable", "item_rest_correlation", "item_table", "negative_items"]

Floats = NDArray[np.float64]
_COLUMNS = ("run", "item_id", "probe", "score")
_FEWEST_FOR_A_TEST = 5


@dataclass(frozen=True)
class ItemTable:
    """Scores of runs and scripted policies on the same items; not a number where one did not meet an item."""

    runs: tuple[str, ...]
    items: tuple[str, ...]
    probe_N: tuple[str, ...]
    scores_RN: Floats
    scripted: tuple[str, ...]
    scripted_SN: Floats

    def probes(self) -> Iterator[tuple[str, ItemTable]]:
        """Every probe's own table, in order of first appearance, with those who met any of its items."""
        names = np.array(self.probe_N, dtype=object)
        for probe in dict.fromkeys(self.probe_N):
            yield probe, self._only(np.flatnonzero(names == probe))

    def _only(self, at_N: NDArray[np.intp]) -> ItemTable:
        """Some of the items, without the runs and policies that met none of them."""
        runs, scores_RN = _present(self.runs, self.scores_RN[:, at_N])
        scripted, scripted_SN = _present(self.scripted, self.scripted_SN[:, at_N])
        items, probes = (tuple(of[i] for i in at_N) for of in (self.items, self.probe_N))
        return ItemTable(
            runs=runs, items=items, probe_N=probes, scores_RN=scores_RN, scripted=scripted, scripted_SN=scripted_SN
        )

    def complete(self) -> Floats:
        """(R, ≤ N) the items that every run met."""
        return self.scores_RN[:, ~np.isnan(self.scores_RN).any(axis=0)]


def item_table(rows: pd.DataFrame) -> ItemTable:
    """Pivot and check. Items that no run met (only scripted policies) are left out.

    Raises:
        AnalysisError: A missing column, no runs, scores other than 0 and 1, an item scored twice by one run, or an
            item that stands under two probes.
    """
    missing = [name for name in _COLUMNS if name not in rows.columns]
    if missing:
        raise AnalysisError(f"the item table has no column {', '.join(missing)}", f"columns: {', '.join(_COLUMNS)}")
    score = rows["score"].to_numpy(dtype=float)
    if not np.isin(score, (0.0, 1.0)).all():
        raise AnalysisError(
            "item scores other than 0 and 1", "failures are outcomes: score them 0; turn shares into pass or fail"
        )
    flag = rows["baseline"] if "baseline" in rows.columns else pd.Series(False, index=rows.index)
    scripted = np.array([value is True or value == 1 for value in flag.tolist()], dtype=bool)
    if scripted.all():
        raise AnalysisError("the item table holds no runs", "pass rows of runs, with `baseline` false")
    item_code, items = pd.factorize(rows["item_id"].astype(str))
    probes = rows["probe"].astype(str).to_numpy(dtype=object)
    _, first = np.unique(item_code, return_index=True)
    moved = probes != probes[first][item_code]
    if moved.any():
        raise AnalysisError(
            f"item {items[item_code[moved][0]]} stands under two probes", "give every item an id of its own"
        )
    who = rows["run"].astype(str).to_numpy(dtype=object)
    runs, scores_RN = _pivot(who[~scripted], item_code[~scripted], score[~scripted], items)
    names, scripted_SN = _pivot(who[scripted], item_code[scripted], score[scripted], items)
    whole = ItemTable(
        runs=runs,
        items=tuple(items),
        probe_N=tuple(probes[first]),
        scores_RN=scores_RN,
        scripted=names,
        scripted_SN=scripted_SN,
    )
    return whole._only(np.flatnonzero(~np.isnan(scores_RN).all(axis=0)))


def _present(who: tuple[str, ...], scores: Floats) -> tuple[tuple[str, ...], Floats]:
    met = ~np.isnan(scores).all(axis=1)
    return tuple(who[i] for i in np.flatnonzero(met)), scores[met]


def _pivot(
    who: NDArray[np.object_], item_code: NDArray[np.intp], score: Floats, items: pd.Index[str]
) -> tuple[tuple[str, ...], Floats]:
    run_code, names = pd.factorize(who)
    cell = run_code * len(items) + item_code
    count = np.bincount(cell, minlength=len(names) * len(items))
    if (count > 1).any():
        run, item = divmod(int(np.argmax(count > 1)), len(items))
        raise AnalysisError(
            f"run {names[run]} has {count.max()} scores of item {items[item]}",
            "pass repeated draws as `retest`, one draw a table",
        )
    table = np.full(len(names) * len(items), np.nan)
    table[cell] = score
    return tuple(str(name) for name in names), table.reshape(len(names), len(items))


def item_rest_correlation(scores_RN: Floats) -> Floats:
    """(N,) correlation of each item with the share right on the others (Lord and Novick, 1968, p. 330).

    Not a number where either is constant.
    """
    met_RN = ~np.isnan(scores_RN)
    x_RN = np.where(met_RN, scores_RN, 0.0)
    others_RN = met_RN.sum(axis=1, keepdims=True) - met_RN
    with np.errstate(invalid="ignore", divide="ignore"):
        rest_RN = np.where(met_RN & (others_RN > 0), (x_RN.sum(axis=1, keepdims=True) - x_RN) / others_RN, 0.0)
        n_N = met_RN.sum(axis=0)
        x_RN = np.where(met_RN, x_RN - x_RN.sum(axis=0) / n_N, 0.0)
        rest_RN = np.where(met_RN, rest_RN - rest_RN.sum(axis=0) / n_N, 0.0)
        norm_N = np.sqrt(np.sum(x_RN**2, axis=0) * np.sum(rest_RN**2, axis=0))
        return np.asarray(np.where(norm_N > 1e-9, np.sum(x_RN * rest_RN, axis=0) / norm_N, np.nan), dtype=float)


def negative_items(correlation_N: Floats, runs: int, rate: float = 0.1) -> NDArray[np.intp]:
    """Positions of items whose correlation with the rest is below 0 beyond chance.

    One-sided t tests, false discovery rate held at ``rate`` (Benjamini and Hochberg, 1995, JRSS-B 57:289–300): among
    hundreds of good items some correlate negatively by luck. None with fewer than five runs.
    """
    defined_items = np.flatnonzero(~np.isnan(correlation_N))
    if runs < _FEWEST_FOR_A_TEST or defined_items.size == 0:
        return np.zeros(0, dtype=np.intp)
    r = np.clip(correlation_N[defined_items], -1 + 1e-12, 1 - 1e-12)
    p_values = stats.t.cdf(r * np.sqrt((runs - 2) / (1 - r**2)), runs - 2)
    return defined_items[stats.false_discovery_control(p_values) <= rate]
