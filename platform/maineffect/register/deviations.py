"""Where a sweep left its plan, in sentences: none of them hides, none of them stops the analysis."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from maineffect.contracts import FailureClass, RunState, RunStatus

__all__ = ["deviations"]


def deviations(
    planned: Sequence[str], states: Mapping[str, RunStatus], earlier: Iterable[Mapping[str, Any]]
) -> list[str]:
    """Sentences about replaced registrations, runs without a result, and outcomes that were tried again.

    Args:
        planned: Run ids of the plan.
        states: What the ledger knows of them.
        earlier: Registrations that the present one replaced.
    """
    sentences = [
        f"an earlier plan, registered {entry['registered_at']}, was replaced; changes: {'; '.join(entry['changes'])}"
        for entry in earlier
    ]
    missing = [run for run in planned if run not in states or states[run].state is not RunState.FINISHED]
    if missing:
        sentences.append(f"{len(missing)} of {len(planned)} planned runs have no result: {_some(missing)}")
    again = [
        run
        for run, status in states.items()
        if status.state is RunState.FINISHED and any(end.failure is FailureClass.DIVERGED for end in status.ends)
    ]
    if again:
        sentences.append(
            f"{len(again)} diverged run(s) were tried again and then counted: {_some(again)}; this favours stability"
        )
    planned_runs = set(planned)
    strangers = [run for run in states if run not in planned_runs]
    if strangers:
        sentences.append(f"{len(strangers)} run(s) are not of the plan and were left out: {_some(strangers)}")
    return sentences


def _some(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (" …" if len(names) > most else "")
