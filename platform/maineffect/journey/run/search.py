"""A file that asks for a search, and the finished sweep that it names → a complete study, checked to its settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maineffect.errors import PluginError, Problem, UsageError
from maineffect.journey.plan.check import said_of
from maineffect.journey.plan.place import Checked, Place
from maineffect.journey.plan.requests import needs_of
from maineffect.journey.plan.search_findings import box_findings, range_findings, settings_findings, size_findings
from maineffect.journey.plan.searched import costs_of
from maineffect.journey.run.earlier import results_digest
from maineffect.journey.run.submission import stored_submission
from maineffect.seeds import derive_seed
from maineffect.spec.problems import Finding

if TYPE_CHECKING:
    from maineffect.journey.plan.search_file import OptimiseFile, SearchFile
    from maineffect.ledger.sweep.ledger import MlflowLedger
    from maineffect.spec.phases.optimise import KnownRun
    from maineffect.spec.study import StudySpec

__all__ = ["check_search"]


@dataclass(frozen=True)
class _Sweep:
    """The finished sweep."""

    checked: Checked
    ledger: MlflowLedger
    known: tuple[KnownRun, ...]
    spent_df: int
    hours: dict[str, float]


def check_search(path: Path, place: Place) -> Checked:
    """Validate a search, against the sweep that it starts from too.

    Args:
        path: The file.
        place: Where the sweep is kept.

    Returns:
        The complete study: its registered runs are the confirmation, and `optimise` holds the search.

    Raises:
        SpecError: Everything that is wrong in the file, with its line.
        PluginError: The trainable cannot be imported from the file's folder.
        LedgerError: The store does not answer.
    """
    from maineffect.design.build import build_design
    from maineffect.journey.plan.search_file import load_optimisation
    from maineffect.plugins import hidden_beside
    from maineffect.register.plan import plan_document, plan_hash
    from maineffect.spec.binding import bound_settings

    file = load_optimisation(path)
    parent, ledger = _parent(file, place)
    file.refuse(box_findings(file.asked, parent.study, parent.design))
    sweep = _finished(file, parent, ledger)
    file.refuse(size_findings(file.asked, sweep.known, ledger.sweep_id))
    study = _study(file.asked, sweep)
    trainable = _trainable(study, path, parent)
    file.refuse([*range_findings(file.asked, parent.study), *settings_findings(study, trainable)])
    design = build_design(study)
    cells = [bound_settings(study, cell.levels) for cell in design.cells]
    file.refuse(
        [_placed(problem) for problem in said_of(trainable, "check_resources", cells, study.resources.model_dump())]
    )
    lacks = tuple(said_of(trainable, "lacks", cells))
    plan = plan_document(study, design)
    return Checked(
        path=path,
        study=study,
        design=design,
        plan=plan,
        plan_hash=plan_hash(plan),
        warnings=(*hidden_beside(study.trainable or "", path.parent), *lacks),
        lacks=lacks,
    )


def _placed(problem: Problem) -> Finding:
    """A trainable's complaint; what stands in the sweep's study and not in this file is said of the file as a whole."""
    return Finding(tuple(problem.path.split(".")), problem.message, problem.hint)


def _parent(file: SearchFile, place: Place) -> tuple[Checked, MlflowLedger]:

    here = ("optimise", "from")
    try:
        parent, ledger = stored_submission(file.asked.optimise.sweep, place)
    except UsageError as error:
        file.refuse([Finding(here, error.message, error.hint or "--home or --tracking-uri names the store")])
        raise
    study = parent.study
    if study.optimise is not None:
        way = f"name the sweep that it started from: {study.optimise.sweep}"
        file.refuse([Finding(here, f"{ledger.sweep_id} is a search itself", way)])
    if study.tuning is not None:
        way = "write the tuned values into the settings of a study without tuning, and start from its sweep"
        file.refuse([Finding(here, f"the runs of {ledger.sweep_id} have tuned settings of their own", way)])
    if study.name == file.asked.name:
        file.refuse([Finding(("name",), f"{study.name!r} is the name of the sweep's study", "choose another name")])
    if file.asked.seed is not None and file.asked.seed == study.seed:
        file.refuse([Finding(("seed",), "this is the sweep's seed: nothing would be fresh", "choose another, or none")])
    return parent, ledger


def _finished(file: SearchFile, parent: Checked, ledger: MlflowLedger) -> _Sweep:
    """The sweep's runs as the search sees them.

    Raises:
        SpecError: Runs of it have not ended yet.
    """
    from maineffect.analyse.follow_up.known_runs import known_runs
    from maineffect.ledger.sweep.collect import collect
    from maineffect.spec.phases.optimise import COST

    request = file.asked.optimise
    table = collect(ledger.snapshot(), parent.design, tuple(parent.study.responses)).table
    running = table.loc[table["status"] == "running", "run_id"].tolist()
    if running:
        message = f"{len(running)} run(s) of {ledger.sweep_id} still run, such as {running[0]}"
        way = f"wait for them: maineffect status {ledger.sweep_id} --watch"
        file.refuse([Finding(("optimise", "from"), message, way)])
    seconds = [float(value) for value in table["seconds"]]
    costs = {
        name: [costs_of(parent.study, one)[name] if one == one else float("nan") for one in seconds]
        for name in request.measured
        if name.startswith(COST)
    }
    known, spent_df = known_runs(parent.study, parent.design, table, request, costs)
    measured = [one for one in seconds if one == one]
    mean = sum(measured) / len(measured) if measured else 0.0
    hours = {kind: float(f"{amount:.4g}") for kind, amount in asdict(needs_of(parent.study).cost(mean)).items()}
    return _Sweep(parent, ledger, known, spent_df, hours)


def _study(asked: OptimiseFile, sweep: _Sweep) -> StudySpec:
    """The study whose registered runs are the confirmation."""
    from maineffect.ledger.sweep.reuse import finished_runs
    from maineffect.spec.factors import Factor, FactorKind
    from maineffect.spec.phases.optimise import ARMS, SETTING, Optimise
    from maineffect.spec.requests import FullRequest
    from maineffect.spec.study import AnalysisPlan, StudySpec

    parent = sweep.checked.study
    request = asked.optimise
    finished = finished_runs(sweep.ledger)
    filled: dict[str, Any] = {
        **request.model_dump(mode="json"),
        "sweep": sweep.ledger.sweep_id,
        "plan": sweep.checked.plan_hash,
        "results": results_digest(finished),
        "binds": {name: factor.setting for name, factor in parent.factors.items()},
        "known": [run.model_dump(mode="json") for run in sweep.known],
        "spent_df": sweep.spent_df,
        "evaluation_seed": derive_seed(parent.seed, "evaluation"),
        # Where the runs of a seed share a warm start, the search starts from the one of the first run's seed.
        "base_seed": sweep.checked.plan.get("base_seed", sweep.checked.design.runs[0].seed),
        "codes": sorted({finished[run.run].code for run in sweep.known}),
        "hours_per_run": sweep.hours,
    }
    return StudySpec(
        schema_version=1,
        name=asked.name,
        question=asked.question or "Which setting is best, and is it better than the one that it is compared with?",
        trainable=parent.trainable,
        factors={SETTING: Factor(name=SETTING, levels=ARMS, kind=FactorKind.CATEGORICAL)},
        design=FullRequest(kind="full", replicates=request.confirm.replicates, common_random_numbers=True),
        responses=parent.responses,
        optimise=Optimise.model_validate(filled),
        hypotheses=tuple(_claims(asked, parent)),
        analysis=AnalysisPlan(terms="main", alpha=parent.analysis.alpha, inference="seeds"),
        settings=parent.settings,
        resources=asked.resources or parent.resources,
        budget=asked.budget,
        seed=asked.seed if asked.seed is not None else derive_seed(parent.seed, "optimise", asked.name) % 2**31,
    )


def _claims(asked: OptimiseFile, parent: StudySpec) -> Sequence[Any]:
    """One claim for each objective that is a response: the recommended setting is better."""
    from maineffect.spec.phases.optimise import SETTING
    from maineffect.spec.responses import Direction, Hypothesis

    objectives = [(n, way) for n, way in asked.optimise.objectives.items() if n in parent.responses]
    return [
        Hypothesis(
            id=f"C{i}",
            term=SETTING,
            response=name,
            direction=Direction.INCREASE if way == "maximize" else Direction.DECREASE,
            statement=f"The recommended setting has {'more' if way == 'maximize' else 'less'} {name}.",
        )
        for i, (name, way) in enumerate(objectives, 1)
    ]


def _trainable(study: StudySpec, path: Path, parent: Checked) -> Any:
    from maineffect.plugins import load_trainable

    try:
        return load_trainable(study.trainable or "", path.parent)
    except PluginError as error:
        way = f"put {path.name} beside the sweep's study file, in {parent.path.parent}"
        raise PluginError(error.message, f"{error.hint}; or {way}" if error.hint else way) from error
