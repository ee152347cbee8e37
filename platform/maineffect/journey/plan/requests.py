"""A checked study → its work orders, what each needs, and which of them a user names."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from maineffect.contracts import RunRequest
from maineffect.errors import Problem, SpecError, UsageError
from maineffect.journey.plan.place import Checked, Place
from maineffect.seeds import derive_seed

if TYPE_CHECKING:
    from maineffect.design.model.model import Design
    from maineffect.execute.cluster.needs import Needs
    from maineffect.spec.study import StudySpec

__all__ = ["chosen_runs", "needs_of", "packages_of", "plan_requests", "require_trainable", "sweep_id_of"]


def require_trainable(checked: Checked) -> str:
    """The trainable of a study that is to be run.

    Raises:
        SpecError: The study names none (it can only be designed and analysed).
    """
    if not checked.study.trainable:
        raise SpecError(
            [Problem("the study names no trainable", "trainable", str(checked.path))],
            "add `trainable: maineffect.lab:train_search_agent` or your own `module:object`",
        )
    return checked.study.trainable


def plan_requests(checked: Checked, sweep_id: str) -> list[RunRequest]:
    """The work orders of a sweep, in run order.

    Raises:
        OtherCodeError: This driver was sent to a cluster by somebody whose code of the trainable is another.
    """
    from maineffect.code_version import CODE_VARIABLE, code_version, require_code
    from maineffect.spec.binding import bound_settings

    study, design = checked.study, checked.design
    trainable = require_trainable(checked)
    sent_for, _, sent = os.environ.get(CODE_VARIABLE, "").rpartition("@")
    if sent_for == trainable:
        require_code(trainable, checked.path.parent, sent, study.settings)
    version = code_version(trainable, checked.path.parent, study.settings)
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
            trainable=trainable,
            code_version=version,
            block=run.block,
            whole_plot=run.whole_plot,
            base_seed=checked.plan.get("base_seed"),
        )
        for run in design.runs
    ]


def packages_of(checked: Checked, place: Place) -> tuple[Path, ...]:
    """Code that the cluster is sent beside the study's folder, as far as this was asked for.

    Raises:
        PluginError: The trainable cannot be imported.
    """
    from maineffect.code_version import packages_to_send

    return packages_to_send(require_trainable(checked), checked.path.parent) if place.send_code else ()


def sweep_id_of(checked: Checked) -> str:
    """A sweep is a study with one plan: the same plan is the same sweep."""
    return f"{checked.study.name}-{checked.plan_hash[:8]}"


def needs_of(study: StudySpec) -> Needs:
    """What one run needs and what the sweep may spend, as the scheduler reads it."""
    from maineffect.execute.cluster.needs import Needs
    from maineffect.spec.study import parse_duration

    resources, budget = study.resources, study.budget
    return Needs(
        cpus=resources.cpus,
        gpus=resources.gpus,
        memory_gb=resources.memory_gb,
        timeout=resources.timeout_seconds,
        retries=resources.retries,
        wait=parse_duration(resources.wait),
        custom=dict(resources.custom),
        bundles=tuple(dict(bundle) for bundle in resources.bundles),
        gpu_hour_price=resources.gpu_hour_price,
        cpu_hour_price=resources.cpu_hour_price,
        most_gpu_hours=budget.gpu_hours,
        most_cpu_hours=budget.cpu_hours,
        most_price=budget.price,
        most_wall_seconds=budget.wall_seconds,
        priority=resources.priority,
    )


def chosen_runs(design: Design, runs: Sequence[str], cells: Sequence[str]) -> list[str] | None:
    """Run ids that ``--run`` and ``--cell`` name; None when neither is given."""
    known_runs = [run.run_id for run in design.runs]
    known_cells = {run.cell_id for run in design.runs}
    for word, choices in [*((run, known_runs) for run in runs), *((cell, known_cells) for cell in cells)]:
        if word not in choices:
            close = difflib.get_close_matches(word, list(choices), n=1)
            hint = f"did you mean {close[0]!r}?" if close else "`maineffect status` lists them"
            raise UsageError(f"the sweep has no run or cell {word!r}", hint)
    if not runs and not cells:
        return None
    return [run.run_id for run in design.runs if run.run_id in runs or run.cell_id in cells]
