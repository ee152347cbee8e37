"""The whole journey on one page: every verb of the command line is one function here.

    spec → design → register → execute (→ lab) → ledger → analyse → report

Stages are imported where they are used, so that ``--help`` and ``check`` stay light.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maineffect.contracts import RunRequest, RunState
from maineffect.errors import DesignError, Problem, SpecError, UsageError
from maineffect.seeds import derive_seed

if TYPE_CHECKING:
    from maineffect.analyse.result import AnalysisResult
    from maineffect.contracts import RunLedger
    from maineffect.design.model import Design
    from maineffect.execute.progress import SweepProgress
    from maineffect.register.freeze import Registration
    from maineffect.spec.study import StudySpec

__all__ = [
    "Checked",
    "Place",
    "Submitted",
    "analyse_sweep",
    "analyse_table",
    "cancel",
    "check",
    "plan_requests",
    "power",
    "register",
    "resubmit",
    "status",
    "submit",
    "write_report",
]


@dataclass(frozen=True)
class Place:
    """Where a sweep runs and is kept: never part of what is studied."""

    home: Path = field(default_factory=lambda: Path(os.environ.get("MAINEFFECT_HOME", ".maineffect")).absolute())
    tracking_uri: str | None = None
    address: str | None = None
    workers: int | None = None

    def uri(self) -> str:
        """The tracking store in force."""
        from maineffect.ledger.tracking import tracking_uri

        return tracking_uri(self.tracking_uri, self.home)


@dataclass(frozen=True)
class Checked:
    """A study that can be run: its design, its plan and what the experimental standards say of it."""

    path: Path
    study: StudySpec
    design: Design
    plan: dict[str, Any]
    plan_hash: str
    warnings: tuple[Problem, ...] = ()


@dataclass(frozen=True)
class Submitted:
    """How a submission ended."""

    sweep_id: str
    planned: int
    finished: int
    failed: tuple[str, ...]
    missing: tuple[str, ...]
    skipped: int

    @property
    def complete(self) -> bool:
        """Whether every planned run has its result."""
        return not self.failed and not self.missing


# ---------------------------------------------------------------- spec → design


def check(path: Path, *, plugins: bool = True) -> Checked:
    """Validate a study file down to its trainable's settings.

    Args:
        path: The study file.
        plugins: Whether the trainable must be importable (a study that is only designed need not have one).

    Raises:
        SpecError: Everything that is wrong in the file, at once.
        DesignError: No such design, or it cannot estimate a registered hypothesis.
        PluginError: The trainable cannot be imported.
    """
    from maineffect.design.build import build_design, check_estimable
    from maineffect.register.plan import plan_document, plan_hash
    from maineffect.spec.load import load_study
    from maineffect.spec.standards import standards

    study = load_study(path)
    design = build_design(study)
    check_estimable(design, study)
    if plugins and study.trainable:
        _check_trainable(path, study, design)
    plan = plan_document(study, design)
    return Checked(path, study, design, plan, plan_hash(plan), tuple(standards(study)))


def _check_trainable(path: Path, study: StudySpec, design: Design) -> None:
    """Every cell's settings must be valid for the trainable, and it must be able to return every response."""
    from maineffect.plugins import check_responses, check_settings, load_trainable
    from maineffect.spec.binding import bound_settings

    trainable = load_trainable(study.trainable or "", path.parent)
    problems = list(check_responses(trainable, tuple(study.responses)))
    for cell in design.cells:
        problems += check_settings(trainable, bound_settings(study, cell.levels))
    if problems:
        raise SpecError([Problem(p.message, p.path, str(path), p.line, p.hint) for p in dict.fromkeys(problems)])


def power(path: Path) -> dict[str, Any]:
    """Smallest detectable effect and power per term."""
    from maineffect.design.power import power_document

    checked = check(path, plugins=False)
    return power_document(checked.study, checked.design)


# ---------------------------------------------------------------- register


def register(path: Path, *, anew: bool = False) -> Registration:
    """Freeze the plan beside the study file.

    Raises:
        PlanChangedError: Another plan is registered and ``anew`` was not asked for.
    """
    from maineffect.register import freeze

    checked = check(path)
    return freeze.register(checked.study, checked.design, path, anew=anew, now=datetime.now(UTC))


# ---------------------------------------------------------------- execute → ledger


def plan_requests(checked: Checked, sweep_id: str) -> list[RunRequest]:
    """The work orders of a sweep, in run order."""
    from maineffect.plugins import code_version
    from maineffect.spec.binding import bound_settings

    study, design = checked.study, checked.design
    if not study.trainable:
        raise SpecError(
            [Problem("the study names no trainable", "trainable", str(checked.path))],
            "add `trainable: maineffect.lab:train_search_agent` or your own `module:object`",
        )
    version = code_version(study.trainable, checked.path.parent)
    evaluation_seed = derive_seed(study.seed, "evaluation")
    return [
        RunRequest(
            study=study.name,
            sweep_id=sweep_id,
            run_id=run.run_id,
            cell_id=run.cell_id,
            replicate=run.replicate,
            levels=dict(design.levels_of(run)),
            settings=bound_settings(study, design.levels_of(run)),
            seed=run.seed,
            evaluation_seed=evaluation_seed,
            responses=tuple(study.responses),
            trainable=study.trainable,
            code_version=version,
            block=run.block,
            whole_plot=run.whole_plot,
        )
        for run in design.runs
    ]


def sweep_id_of(checked: Checked) -> str:
    """A sweep is a study with one plan: the same plan is the same sweep."""
    return f"{checked.study.name}-{checked.plan_hash[:8]}"


def submit(
    path: Path,
    place: Place,
    *,
    anew: bool = False,
    on_progress: Callable[[SweepProgress], None] | None = None,
) -> Submitted:
    """Run what is not yet done: nothing that finished runs again, what still runs is adopted.

    Raises:
        PlanChangedError: The plan is not the registered one.
        LedgerError: The tracking store does not answer.
    """
    from maineffect.register import freeze

    checked = check(path)
    registration = freeze.require_registered(
        checked.study, checked.design, path, register_if_absent=True, anew=anew, now=datetime.now(UTC)
    )
    ledger = _open(checked, place, registration)
    return _execute(checked, ledger, place, only=None, retry_failed=False, on_progress=on_progress)


def preview(path: Path, place: Place) -> dict[str, Any]:
    """What ``submit`` would do: which runs, in which order, and which are done already. Writes nothing."""
    checked = check(path)
    requests = plan_requests(checked, sweep_id_of(checked))
    return _preview(checked, requests, _states(checked, place), place)
