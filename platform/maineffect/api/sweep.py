"""A sweep of a store: how far it is, what its runs gave, and what follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maineffect.api import tables
from maineffect.api.progress import shown
from maineffect.api.result import Result
from maineffect.journey.plan.place import Place

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Sweep", "place_of"]


def place_of(
    home: str | Path | None = None,
    tracking_uri: str | None = None,
    address: str | None = None,
    workers: int | None = None,
) -> Place:
    """Where sweeps run and are kept; what is left out is as for the command line."""
    place = Place(tracking_uri=tracking_uri, address=address, workers=workers)
    return place if home is None else replace(place, home=Path(home).absolute())


class Sweep:
    """One sweep.

    Attributes:
        id: Of the sweep: its study's name and the beginning of its plan's hash.
    """

    def __init__(self, sweep_id: str, place: Place) -> None:
        self.id = sweep_id
        self._place = place

    @classmethod
    def open(
        cls, reference: str = "latest", *, home: str | Path | None = None, tracking_uri: str | None = None
    ) -> Sweep:
        """Find a sweep.

        Args:
            reference: A sweep id, a study's name (its latest sweep), or ``latest``.
            home: Where runs, caches and the default store are.
            tracking_uri: The MLflow store, if it is another.

        Raises:
            UsageError: There is none of that name.
        """
        from maineffect.ledger.sweep.ledger import find_sweep

        place = place_of(home, tracking_uri)
        return cls(find_sweep(place.uri(), reference).sweep_id, place)

    @property
    def status(self) -> pd.DataFrame:
        """One row: runs by state, cost, seconds left, and the command that comes next."""
        document = self._status()
        counts, cost = document["counts"], document["cost"]
        row = {"sweep": self.id, **counts, "gpu_hours": cost["gpu_hours"], "price": cost["price"]}
        return tables.frame([{**row, "seconds_left": document["seconds_left"], "next": document["next"]}])

    @property
    def failures(self) -> pd.DataFrame:
        """One row for each failed run: its class, and what it said."""
        return tables.frame(self._status()["failures"], ("run_id", "class", "message"))

    @property
    def runs(self) -> pd.DataFrame:
        """One row for each planned run: ids, a column a factor, state, attempts, seconds, MLflow's run."""
        names = ("run_id", "cell_id", "replicate", "state", "attempts", "seconds", "tracking_run_id")
        rows = [{**row["levels"], **{name: row.get(name) for name in names}} for row in self._status()["runs"]]
        made = tables.frame(rows, names)
        return made[["run_id", *(name for name in made.columns if name != "run_id")]]

    @property
    def curves(self) -> pd.DataFrame:
        """One row for each point of a training curve, of running runs too: run, metric, step, value."""
        from maineffect.ledger.sweep.collect import read_curves
        from maineffect.ledger.sweep.ledger import find_sweep

        ledger = find_sweep(self._place.uri(), self.id)
        rows = [
            {"run_id": run_id, "metric": metric, "step": step, "value": value}
            for run_id, metrics in read_curves(ledger, self._place.home / "cache", underway=True).items()
            for metric, points in metrics.items()
            for step, value in zip(points["steps"], points["values"], strict=True)
        ]
        return tables.frame(rows, ("run_id", "metric", "step", "value"))

    @property
    def items(self) -> pd.DataFrame:
        """One row for each evaluation item of each finished run that kept them: ``run_id``, then the item's columns."""
        import pandas as pd

        from maineffect.ledger.sweep.curves import read_items
        from maineffect.ledger.sweep.ledger import find_sweep

        ledger = find_sweep(self._place.uri(), self.id).snapshot()
        found = []
        for row in self._status()["runs"]:
            items = read_items(ledger, row["run_id"]) if row["state"] == "finished" else None
            if items is not None:
                items.insert(0, "run_id", row["run_id"])
                found.append(items)
        return pd.concat(found, ignore_index=True) if found else tables.frame((), ("run_id",))

    def analyse(self, *, look: bool = False, items: bool = False) -> Result:
        """Estimate effects and give verdicts.

        Args:
            look: Interim looks also where none were registered.
            items: Item-level variances too: every run's item table is read.

        Raises:
            MaineffectError: The sweep cannot be analysed; the message says why.
        """
        from maineffect.study import analyse_sweep

        return Result(analyse_sweep(self.id, self._place, look=look, items=items), self._place)

    def next(self, *, budget: float | None = None) -> pd.DataFrame:
        """What to run next, best first: one row a proposal.

        Args:
            budget: Hours that a follow-up may take (GPU-hours where its runs have GPUs, else core-hours).
        """
        from maineffect.study import propose_next

        return tables.frame(propose_next(self.id, self._place, budget=budget)["proposals"])

    def resubmit(self, *, runs: Sequence[str] = (), cells: Sequence[str] = (), progress: bool | None = None) -> Sweep:
        """Run the failed and missing runs again, or the chosen ones among them, and wait for them.

        Args:
            runs: Ids of runs.
            cells: Ids of cells.
            progress: Whether to show how far it is; None: at a terminal and in a notebook.
        """
        from maineffect.study import resubmit

        with shown(wanted=progress) as tell:
            resubmit(self.id, self._place, runs=runs, cells=cells, on_progress=tell)
        return self

    def cancel(self) -> None:
        """Stop it cleanly: nothing new starts, running runs stop at their next step."""
        from maineffect.study import cancel

        cancel(self.id, self._place)

    def _status(self) -> dict[str, Any]:
        from maineffect.study import status

        return status(self.id, self._place)

    def __repr__(self) -> str:
        counts = self._status()["counts"]
        return f"Sweep {self.id}: {', '.join(f'{count} {state}' for state, count in counts.items())}"

    def _repr_html_(self) -> str:
        """How far it is, for notebooks."""
        return str(self.status.to_html(index=False, escape=True))
