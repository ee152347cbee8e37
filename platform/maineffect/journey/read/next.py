"""A finished sweep → what would decide the rest, at what price; and the study file of one of the proposals."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from maineffect.errors import UsageError
from maineffect.journey.plan.place import Checked, Place
from maineffect.journey.read.analyse import analyse_sweep
from maineffect.journey.run.earlier import results_digest
from maineffect.journey.run.submission import stored_submission

if TYPE_CHECKING:
    from maineffect.analyse.follow_up.propose import Planned
    from maineffect.analyse.record.proposals import WhatNext
    from maineffect.spec.study import StudySpec

__all__ = ["propose_next"]


def propose_next(
    reference: str, place: Place, *, budget: float | None = None, write: Path | None = None, choice: int = 1
) -> dict[str, Any]:
    """What to run after a sweep, best first; with ``write`` the study file of one line too.

    Args:
        reference: The sweep.
        place: Where it is kept.
        budget: Hours that the follow-up may take (GPU-hours where its runs have GPUs, else core-hours).
        write: File to write.
        choice: 1-based line of the table that is written.

    Returns:
        The table as a document: questions, proposals, ``file`` where one was written.

    Raises:
        UsageError: No such sweep or line, or a file that exists or cannot be written.
        MaineffectError: The sweep cannot be analysed.
    """
    from maineffect.analyse.follow_up.propose import what_next
    from maineffect.ledger.sweep.reuse import finished_runs

    if write is not None and write.exists():
        raise UsageError(f"{write} exists", "name another file, or remove it")
    checked, ledger = stored_submission(reference, place)
    if checked.study.optimise is not None:
        raise UsageError(
            f"{ledger.sweep_id} is a search, which ends in its confirmation",
            f"maineffect confirm {ledger.sweep_id}, or maineffect next {checked.study.optimise.sweep}",
        )
    result = analyse_sweep(reference, place)
    running = [run.run_id for run in result.runs if run.status == "running"]
    if running:
        raise UsageError(
            f"{len(running)} run(s) of {ledger.sweep_id} still run, such as {running[0]}: what follows depends on them",
            f"wait for them (maineffect status {ledger.sweep_id} --watch), or cancel the sweep",
        )
    if write is not None and checked.study.tuning is not None:
        names = ", ".join(checked.study.tuning.nuisance)
        raise UsageError(
            f"{ledger.sweep_id} tuned {names} before its runs, and a study that follows another does not tune",
            "leave --write out for the table; a new study can have the chosen value (in the report) among its settings",
        )
    table, planned = what_next(checked.study, result, checked.design, ledger.sweep_id, budget=budget)
    document = {"schema_version": 1, "study": checked.study.name, "sweep": ledger.sweep_id, "file": None}
    if write is None:
        return {**document, **_table(table)}
    if not 1 <= choice <= len(planned):
        raise UsageError(f"there is no line {choice}: the table has {len(planned)}", "--choice counts from 1")
    from maineffect.analyse.follow_up.written import Followed, follow_up_study

    finished = finished_runs(ledger)
    followed = Followed(ledger.sweep_id, checked.plan_hash, results_digest(finished), frozenset(finished))
    study = follow_up_study(checked.study, checked.design, planned[choice - 1], followed, budget=budget)
    _write(write, study, planned[choice - 1], checked)
    return {**document, **_table(table), "file": str(write)}


def _table(table: WhatNext) -> dict[str, Any]:
    return table.model_dump(mode="json")


def _write(path: Path, study: StudySpec, planned: Planned, checked: Checked) -> None:
    """Write a study file and read it back: what was meant is what it says."""
    import yaml

    from maineffect.analyse.follow_up.written import study_document
    from maineffect.errors import SpecError
    from maineffect.spec.load import load_study

    proposal = planned.proposal
    head = [f"# What follows {study.follow_up.sweep if study.follow_up else checked.study.name}: {proposal.title}."]
    head += [f"# Why: {proposal.why}.", "# Change what you like but settings, trainable and seed, then: submit."]
    text = yaml.safe_dump(
        study_document(study), sort_keys=False, allow_unicode=True, width=110, default_flow_style=None
    )
    try:
        path.write_text("\n".join(head) + "\n" + text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}", "name another file with --write") from None
    try:
        load_study(path)
    except SpecError:
        path.unlink()
        raise
