"""results.csv → what each strategy costs for the same share of questions decided: comparison.csv and costs.svg.

    python compare.py

The cost at a share is read between the two sizes around it, along a line of the share's probit over the logarithm of
the hours. Intervals are Monte Carlo: 95 % of what 4,000 draws of the shares and hours within their errors give.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

sys.path.insert(0, str(Path(__file__).resolve().parent))
from strategies import STRATEGIES, theory
from truth import HERE

from maineffect.report.charts.drawing import draw_svg

__all__ = ["FACTORS", "SHARE", "compared", "cost_at", "draws_at"]

Floats = NDArray[np.float64]
SHARE = 0.9
FACTORS = 7
_DRAWS = 4_000
_SHOWN = ("runs", "real_found", "any_false", "any_false_at_baseline")


def cost_at(hours: Floats, shares: Floats, share: float = SHARE) -> float:
    """Hours at which a share is decided; nan where the sizes tried do not lie around it.

    Args:
        hours: (sizes,) increasing.
        shares: (sizes,) decided.
        share: Wanted.
    """
    y, x = special.ndtri(np.clip(shares, 0.002, 0.998)), np.log(hours)
    wanted = float(special.ndtri(share))
    above = np.flatnonzero(y >= wanted)
    if not len(above) or above[0] == 0:
        return float("nan")
    i = int(above[0])
    return float(np.exp(x[i - 1] + (wanted - y[i - 1]) / (y[i] - y[i - 1]) * (x[i] - x[i - 1])))


def draws_at(rows: pd.DataFrame, rng: np.random.Generator, share: float = SHARE) -> Floats:
    """(draws,) costs at a share that are compatible with the simulated rows of one strategy."""
    hours, shares = rows["hours"].to_numpy(), rows["decided"].to_numpy()
    noise_h = rng.standard_normal((_DRAWS, len(rows))) * rows["hours_se"].to_numpy()
    noise_s = rng.standard_normal((_DRAWS, len(rows))) * rows["decided_se"].to_numpy()
    return np.array([cost_at(hours + h, shares + s, share) for h, s in zip(noise_h, noise_s, strict=True)])


def compared(results: pd.DataFrame) -> pd.DataFrame:
    """For each kind of truth and strategy: cost, ratio to one factor at a time, false decisions at that cost.

    Costs are at the same share of all questions decided, rightly or not; ``real_found`` are the effects of at least the
    smallest effect of interest whose verdict is right.
    """
    rng, rows = np.random.default_rng(5), []
    for effects in ("as trained", "main effects only"):
        of_truth = results[results["effects"] == effects].sort_values("hours")
        base = of_truth[of_truth["strategy"] == "one factor"]
        drawn_base = draws_at(base, rng)
        for strategy in STRATEGIES:
            mine = of_truth[of_truth["strategy"] == strategy]
            if len(mine):
                drawn = drawn_base if strategy == "one factor" else draws_at(mine, rng)
                costs = _columns("hours", _cost(mine), drawn)
                ratio = _columns("ratio", _cost(mine) / _cost(base), drawn / drawn_base)
                read = {name: _read_off(mine, name, _cost(mine)) for name in _SHOWN}
                rows.append({"effects": effects, "strategy": strategy, **costs, **ratio, **read})
    return pd.DataFrame(rows).round(4)


def _cost(rows: pd.DataFrame) -> float:
    return cost_at(rows["hours"].to_numpy(), rows["decided"].to_numpy())


def _columns(name: str, value: float, drawn: Floats) -> dict[str, float]:
    """A value with 95 % of its draws; all nan where the share lies beyond the sizes tried."""
    known = drawn[~np.isnan(drawn)]
    low, high = np.quantile(known, [0.025, 0.975]) if value == value else (np.nan, np.nan)
    return {name: value, f"{name}_low": float(low), f"{name}_high": float(high)}


def _read_off(rows: pd.DataFrame, what: str, hours: float) -> float:
    """A column at a cost between the sizes tried."""
    return float(np.interp(np.log(hours), np.log(rows["hours"]), rows[what]))


def main() -> None:
    """Write the table and the plot."""
    results = pd.read_csv(HERE / "results.csv")
    table = compared(results)
    table.to_csv(HERE / "comparison.csv", index=False)
    (HERE / "costs.svg").write_text(draw_svg(_plot(results)) + "\n", encoding="utf-8")
    sys.stdout.write(f"{table.to_string(index=False)}\ntheory at seven factors: {theory(FACTORS):.3f}\n")


def _plot(results: pd.DataFrame) -> dict[str, object]:
    """Share of the questions decided over core-hours, one line a strategy, one panel a kind of truth."""
    shown = results[results["effects"] != "none"]
    x = {"field": "hours", "type": "quantitative", "title": "core-hours", "scale": {"type": "log", "nice": False}}
    y = {"field": "decided", "type": "quantitative", "title": "questions decided", "axis": {"format": "%"}}
    y["scale"] = {"zero": False}
    colour = {"field": "strategy", "type": "nominal", "sort": list(STRATEGIES), "title": None}
    lines = {"mark": {"type": "line", "point": True}, "encoding": {"x": x, "y": y, "color": colour}}
    wanted = {"mark": {"type": "rule", "strokeDash": [4, 4]}, "encoding": {"y": {"datum": SHARE}}}
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "data": {"values": shown[["strategy", "effects", "hours", "decided"]].to_dict("records")},
        "facet": {"field": "effects", "type": "nominal", "title": None},
        "spec": {"width": 300, "height": 240, "layer": [wanted, lines]},
    }


if __name__ == "__main__":
    main()
