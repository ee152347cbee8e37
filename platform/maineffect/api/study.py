"""A study: from a file, from a mapping, or from Python objects with a function as trainable."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maineffect.api import tables
from maineffect.api.files import folder_of, named, write_study
from maineffect.api.progress import shown
from maineffect.api.sweep import Sweep, place_of

if TYPE_CHECKING:
    import pandas as pd

    from maineffect.contracts import Level

__all__ = ["Study"]


class Study:
    """Factors, a design, responses and claims, before and after they are registered.

    Attributes:
        path: The study file. A study in Python is written to one, so that it can be read, registered and kept.
    """

    def __init__(
        self,
        name: str,
        *,
        factors: Mapping[str, Sequence[Level] | Mapping[str, Any]],
        responses: Mapping[str, str | Mapping[str, Any]],
        trainable: str | Callable[..., Any] | None = None,
        design: Mapping[str, Any] | None = None,
        hypotheses: Sequence[Mapping[str, Any]] = (),
        settings: Mapping[str, Any] | None = None,
        folder: str | Path | None = None,
        **sections: Any,
    ) -> None:
        """Write the study's file and check it.

        Args:
            name: Of the study, and of its file.
            factors: Name → levels, or the mapping that a study file has.
            responses: Name → goal (``maximize``, ``minimize``, ``none``), or the mapping that a study file has.
            trainable: A function of (request, context) that other processes can import, or its name.
            design: Left out: a full factorial with two replicates.
            hypotheses: Mappings as in a study file.
            settings: What every run has in common.
            folder: Where the file is written; left out, beside the function's own, else the current folder.
            sections: Further sections of a study file: ``analysis``, ``resources``, ``budget``, ``seed``, ``tuning`` …

        Raises:
            SpecError: Everything that is wrong, at once.
            UsageError: The function cannot be imported by other processes, or somebody else's file has that name.
        """
        document: dict[str, Any] = {
            "schema_version": 1,
            "name": name,
            "factors": {
                key: dict(of) if isinstance(of, Mapping) else {"levels": list(of)} for key, of in factors.items()
            },
            "design": dict(design or {"kind": "full", "replicates": 2}),
            "responses": {key: {"goal": of} if isinstance(of, str) else dict(of) for key, of in responses.items()},
            **sections,
        }
        if trainable is not None:
            document["trainable"] = named(trainable)
        if hypotheses:
            document["hypotheses"] = [dict(claim) for claim in hypotheses]
        if settings:
            document["settings"] = dict(settings)
        self.path = write_study(document, folder_of(trainable) if folder is None else Path(folder))
        self.check()

    @classmethod
    def from_yaml(cls, path: str | Path) -> Study:
        """A study that is written already.

        Raises:
            SpecError: Everything that is wrong in the file, at once.
        """
        study = cls.__new__(cls)
        study.path = Path(path)
        study.check()
        return study

    @classmethod
    def from_dict(
        cls,
        document: Mapping[str, Any],
        *,
        trainable: str | Callable[..., Any] | None = None,
        folder: str | Path | None = None,
    ) -> Study:
        """A study as a mapping with the keys of a study file.

        Args:
            document: The mapping.
            trainable: In place of the mapping's own; may be a function.
            folder: As for :class:`Study`.
        """
        whole = {"schema_version": 1, **document}
        if trainable is not None:
            whole["trainable"] = named(trainable)
        return cls.from_yaml(write_study(whole, folder_of(trainable) if folder is None else Path(folder)))

    def check(self) -> list[str]:
        """Validate the file and return the warnings.

        Raises:
            SpecError: Everything that is wrong in the file, at once, each with its line and the way out.
            DesignError: No such design, or it cannot estimate a claim.
            PluginError: The trainable cannot be imported.
        """
        from maineffect.study import check

        return [str(problem) for problem in check(self.path).warnings]

    def design(self) -> pd.DataFrame:
        """One row a run, in the order in which they are run: ids, replicate, block, seed, a column a factor."""
        from maineffect.design.emit import design_document
        from maineffect.study import design

        checked, _ = design(self.path)
        rows = design_document(checked.design, checked.plan_hash)["runs"]
        levels = (checked.design.levels_of(run) for run in checked.design.runs)
        return tables.frame({**row, **of} for row, of in zip(rows, levels, strict=True))

    def power(self) -> pd.DataFrame:
        """One row a term: the smallest effect that is found with a chance of 80 %, in standard deviations of a run."""
        from maineffect.study import power

        rows = [{k: v for k, v in row.items() if not isinstance(v, dict)} for row in power(self.path)["terms"]]
        return tables.frame(rows)

    def try_run(
        self, *, cell: str = "", settings: Mapping[str, Any] | None = None, whole: bool = False
    ) -> dict[str, float]:
        """Run one cell in this process, record nothing, and return the declared responses.

        Args:
            cell: Id of a cell or a run, or how it begins; left out, the first run.
            settings: Dotted setting → value that this one run takes instead.
            whole: At full length, where the trainable would be shortened.

        Raises:
            BadResultError: A declared response is missing, or no number.
        """
        from maineffect.study import try_study

        return dict(try_study(self.path, cell=cell, settings=settings, whole=whole)["responses"])

    def register(self, *, anew: bool = False) -> str:
        """Freeze the plan beside the file and return its hash.

        Raises:
            PlanChangedError: Another plan is registered and ``anew`` was not asked for.
        """
        from maineffect.study import register

        return register(self.path, again=anew).plan_hash

    def submit(
        self,
        *,
        home: str | Path | None = None,
        tracking_uri: str | None = None,
        address: str | None = None,
        workers: int | None = None,
        progress: bool | None = None,
    ) -> Sweep:
        """Register the plan if it is not yet, run what is not yet done, and wait for it.

        Args:
            home: Where runs, caches and the default store are kept.
            tracking_uri: Another MLflow store.
            address: A Ray cluster; left out, Ray is started on this machine.
            workers: Most runs at a time; left out, one a core.
            progress: Whether to show how far it is; None: at a terminal and in a notebook.

        Returns:
            The sweep, whose failed runs are in :attr:`Sweep.failures`.

        Raises:
            PlanChangedError: The plan is not the registered one: register it anew, on purpose.
        """
        from maineffect.study import submit

        place = place_of(home, tracking_uri, address, workers)
        with shown(wanted=progress) as tell:
            document = submit(self.path, place, on_progress=tell)
        return Sweep(document["sweep"], place)

    def __repr__(self) -> str:
        return f"Study({str(self.path)!r})"
