"""The truth that every strategy is measured on: what the trained full factorial shows of cells, noise and cost.

A simulated run of a cell has the cell's mean of every response, by the model with main effects and two-factor
interactions fitted to all runs, plus the residual vector of one run drawn at random from all of them, so that the
responses of a run belong together. Residuals are scaled by √(n/df): those of a fit are too small by the parameters that
it spent (Davison and Hinkley (1997) Bootstrap Methods and their Application, sec. 6.3).

A run costs what its cell costs on a free core. Other work on the machine doubled the time of later runs, so that the
logarithm of the seconds is fitted by the factors' main effects and blocks of eight runs in their order, and read at the
level of the first three blocks, when nothing else ran.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from maineffect.design.emit import design_rows
from maineffect.design.model.model import Design
from maineffect.design.model.terms import model_matrix
from maineffect.spec.load import load_study
from maineffect.spec.responses import Hypothesis
from maineffect.spec.study import StudySpec

__all__ = ["Truth", "read_truth"]

Floats = NDArray[np.float64]
HERE = Path(__file__).resolve().parent
_BLOCK, _FREE = 8, 3


@dataclass(frozen=True)
class Truth:
    """What is true of every cell.

    Attributes:
        study: The questions.
        cells: Cell → its row below.
        levels: (cells, factors) −1 and +1 for the first and the second level.
        means: (cells, responses).
        residuals: (runs, responses), scaled.
        seconds: (cells,) of a core for one run.
        df: Degrees of freedom that the fit left.
    """

    study: StudySpec
    cells: Mapping[str, int]
    levels: Floats
    means: Floats
    residuals: Floats
    seconds: Floats
    df: int

    def effect(self, question: Hypothesis) -> float:
        """The true main effect: mean at the second level minus mean at the first, over all cells."""
        up = self.levels[:, list(self.study.factors).index(question.term)] > 0
        y = self.means[:, list(self.study.responses).index(question.response)]
        return float(y[up].mean() - y[~up].mean())

    def effect_at_baseline(self, question: Hypothesis) -> float:
        """What one factor at a time estimates: the change of that factor alone, all others at their first level."""
        changed = [name == question.term for name in self.study.factors]
        base = np.full(len(changed), -1.0)
        y = self.means[:, list(self.study.responses).index(question.response)]
        ends = (np.where(changed, 1.0, base), base)
        high, low = (int(np.flatnonzero((self.levels == row).all(axis=1))[0]) for row in ends)
        return float(y[high] - y[low])

    def real(self) -> list[str]:
        """Questions whose true effect is at least the smallest effect of interest."""
        return [q.id for q in self.study.hypotheses if abs(self.effect(q)) >= self.margin(q)]

    def margin(self, question: Hypothesis) -> float:
        """The smallest effect of interest of a question."""
        size = question.smallest_effect or self.study.responses[question.response].smallest_effect
        assert size is not None
        return size

    def sigma(self) -> dict[str, float]:
        """Response → standard deviation of a run."""
        return dict(zip(self.study.responses, np.sqrt(np.mean(self.residuals**2, axis=0)).tolist(), strict=True))

    def without_interactions(self) -> Truth:
        """The same main effects, noise and cost: changing one factor alone then shows its main effect."""
        main = np.column_stack([np.ones(len(self.levels)), self.levels])
        return replace(self, means=main @ np.linalg.lstsq(main, self.means, rcond=None)[0])

    def without_effects(self) -> Truth:
        """The same noise and cost, and no effect of anything: whatever is then found is an error."""
        return replace(self, means=np.broadcast_to(self.means.mean(axis=0), self.means.shape).copy())

    def measure(self, design: Design, rng: np.random.Generator, before: pd.DataFrame | None = None) -> pd.DataFrame:
        """The table of a design's runs; runs that are in ``before`` keep their values."""
        table = pd.DataFrame(design_rows(design))
        at = np.array([self.cells[cell] for cell in table["cell_id"]])
        drawn = self.means[at] + self.residuals[rng.integers(len(self.residuals), size=len(at))]
        for j, name in enumerate(self.study.responses):
            table[name] = drawn[:, j]
        table["status"], table["seconds"] = "finished", self.seconds[at]
        if before is not None:
            known = before.set_index("run_id")
            old = table["run_id"].isin(known.index)
            for name in self.study.responses:
                table.loc[old, name] = table.loc[old, "run_id"].map(known[name])
        return table


def read_truth(folder: Path = HERE) -> Truth:
    """The truth from the study and the table of its trained runs.

    Raises:
        ValueError: A cell was not trained.
    """
    study = load_study(folder / "study.yaml")
    runs = pd.read_csv(folder / "runs.csv", keep_default_na=False)
    factors = tuple(study.factors.values())
    rows = {f.name: [f.levels[[str(v) for v in f.levels].index(str(x))] for x in runs[f.name]] for f in factors}
    x = model_matrix(factors, rows, "two_way").matrix
    if len(set(runs["cell_id"])) != 2 ** len(factors):
        raise ValueError(f"{folder / 'runs.csv'} holds {len(set(runs['cell_id']))} of {2 ** len(factors)} cells")
    y = runs[list(study.responses)].to_numpy(dtype=float)
    fitted = x @ np.linalg.lstsq(x, y, rcond=None)[0]
    df = len(x) - x.shape[1]
    main = model_matrix(factors, rows, "main").matrix
    seconds = runs["seconds"].to_numpy(dtype=float)
    return Truth(
        study=study,
        cells={cell: i for i, cell in enumerate(runs["cell_id"])},
        levels=main[:, 1:],
        means=fitted,
        residuals=(y - fitted) * np.sqrt(len(x) / df),
        seconds=_on_a_free_core(main, runs["order"].to_numpy(dtype=int), seconds),
        df=df,
    )


def _on_a_free_core(main: Floats, order: NDArray[np.int_], seconds: Floats) -> Floats:
    """(cells,) seconds: main effects on a logarithmic scale, at the level of the blocks in which nothing else ran."""
    block = (order - order.min()) // _BLOCK
    x = np.column_stack([main[:, 1:], block[:, None] == np.unique(block)])
    fitted = np.linalg.lstsq(x, np.log(seconds), rcond=None)[0]
    effects, blocks = fitted[: main.shape[1] - 1], fitted[main.shape[1] - 1 :]
    return np.asarray(np.exp(main[:, 1:] @ effects + blocks[:_FREE].mean()))
