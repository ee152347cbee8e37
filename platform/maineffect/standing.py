"""Where a sweep stands, as documents: what would run, what ended how, what is left."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from maineffect.contracts import RunRequest, RunState, RunStatus
from maineffect.errors import UsageError

if TYPE_CHECKING:
    from maineffect.design.model import Design
    from maineffect.ledger.sweep import MlflowLedger
    from maineffect.spec.study import StudySpec

__all__ = ["chosen_runs", "preview_document", "running", "status_document", "sweep_description"]


def _state(states: Mapping[str, RunStatus], run_id: str) -> RunState:
    return states[run_id].state if run_id in states else RunState.PLANNED


def _counts(planned: Sequence[str], states: Mapping[str, RunStatus]) -> dict[str, int]:
    counts = dict.fromkeys((state.value for state in RunState), 0)
    for run_id in planned:
        counts[_state(states, run_id).value] += 1
    return counts


def preview_document(
    sweep_id: str,
    requests: Sequence[RunRequest],
    states: Mapping[str, RunStatus],
    *,
    retry_failed: bool,
    only: Sequence[str] | None = None,
) -> dict[str, Any]:
    """What a submission would do, by the ledger's present state."""
    from maineffect.execute.schedule import to_run

    chosen = to_run(requests, states, retry_failed=retry_failed, only=only)
    counts = _counts([request.run_id for request in requests], states)
    starting = {request.run_id for request, _ in chosen}
    left = [r.run_id for r in requests if _state(states, r.run_id) is RunState.FAILED and r.run_id not in starting]
    return {
        "schema_version": 1,
        "sweep": sweep_id,
        "planned": len(requests),
        "finished": counts["finished"],
        "failed_left": len(left),
        "would_run": [
            {
                "run_id": request.run_id,
                "cell_id": request.cell_id,
                "replicate": request.replicate,
                "attempt": attempt,
                "order": order,
                "levels": dict(request.levels),
            }
            for order, (request, attempt) in enumerate(chosen)
        ],
    }


def status_document(study: StudySpec, design: Design, plan_hash: str, ledger: MlflowLedger) -> dict[str, Any]:
    """The document of ``status --json``."""
    state = ledger.state()
    planned = [run.run_id for run in design.runs]
    known = [state.runs[run] for run in planned if run in state.runs]
    spent = sum(s.seconds + sum(end.seconds for end in s.ends) for s in known)
    finished = [s.seconds for s in known if s.state is RunState.FINISHED]
    left = len(planned) - len(finished)
    resources = study.resources
    hours = spent / 3600 * resources.gpus
    return {
        "schema_version": 1,
        "sweep": ledger.sweep_id,
        "study": study.name,
        "plan_hash": plan_hash,
        "planned": len(planned),
        "counts": _counts(planned, state.runs),
        "cancelled": state.cancelled_by is not None,
        "failures": [
            {
                "run_id": s.run_id,
                "class": s.ends[-1].failure.value,
                "message": s.ends[-1].message,
                "attempts": s.attempts,
            }
            for s in known
            if s.state is RunState.FAILED and s.ends
        ],
        "cost": {"run_seconds": spent, "gpu_hours": hours, "price": hours * resources.gpu_hour_price},
        "seconds_left": left * sum(finished) / len(finished) / (os.cpu_count() or 1) if finished and left else None,
        "runs": [
            {
                "run_id": run.run_id,
                "cell_id": run.cell_id,
                "replicate": run.replicate,
                "levels": dict(design.levels_of(run)),
                "state": _state(state.runs, run.run_id).value,
                "attempts": state.runs[run.run_id].attempts if run.run_id in state.runs else 0,
                "seconds": state.runs[run.run_id].seconds if run.run_id in state.runs else 0.0,
                "tracking_run_id": state.runs[run.run_id].tracking_run_id if run.run_id in state.runs else None,
            }
            for run in design.runs
        ],
    }


def chosen_runs(design: Design, runs: Sequence[str], cells: Sequence[str]) -> list[str] | None:
    """Run ids that ``--run`` and ``--cell`` name; None when neither is given."""
    known_runs = [run.run_id for run in design.runs]
    known_cells = {run.cell_id for run in design.runs}
    for word, known in [*((run, known_runs) for run in runs), *((cell, known_cells) for cell in cells)]:
        if word not in known:
            close = difflib.get_close_matches(word, list(known), n=1)
            hint = f"did you mean {close[0]!r}?" if close else "`maineffect status` lists them"
            raise UsageError(f"the sweep has no run or cell {word!r}", hint)
    if not runs and not cells:
        return None
    return [run.run_id for run in design.runs if run.run_id in runs or run.cell_id in cells]


def sweep_description(study: StudySpec, design: Design, plan_hash: str) -> str:
    """What a person reads first on the sweep's page in MLflow."""
    factors = "\n".join(f"- `{name}`: {', '.join(map(str, f.levels))}" for name, f in study.factors.items())
    claims = "\n".join(f"- **{h.id}** `{h.term}` on `{h.response}`: {h.direction.value}" for h in study.hypotheses)
    return (
        f"**{study.question or study.name}**\n\n{design.kind}, {len(design.cells)} cells, {len(design.runs)} runs; "
        f"plan `{plan_hash[:12]}`\n\n{factors}\n\n{claims}"
    )


def running(design: Design, states: Mapping[str, RunStatus]) -> tuple[str, ...]:
    """Planned runs that have an open attempt."""
    return tuple(run.run_id for run in design.runs if _state(states, run.run_id) is RunState.RUNNING)
