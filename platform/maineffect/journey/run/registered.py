"""The registrations behind a sweep: its own, those that it replaced, and those of the sweeps whose runs it counts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from maineffect.contracts import RunState, RunStatus

if TYPE_CHECKING:
    from maineffect.journey.plan.place import Checked
    from maineffect.register.claims import RegisteredClaims

__all__ = [
    "SUBMISSION_FILE",
    "first_start",
    "post_hoc_reasons",
    "registrations_at_hand",
    "registrations_of",
    "registrations_of_document",
]

SUBMISSION_FILE = "submission.json"


def registrations_of_document(submission: Mapping[str, Any], plan: Mapping[str, Any]) -> list[RegisteredClaims]:
    """What a sweep's own documents say: the registration that it was submitted under, and those before it."""
    from maineffect.register.claims import registered_claims

    earlier = [
        registered_claims(str(entry.get("registered_at")), None, entry.get("claims"))
        for entry in submission.get("earlier", ())
    ]
    return [*earlier, registered_claims(str(submission.get("registered_at")), plan.get("study", {}))]


def registrations_at_hand(checked: Checked) -> list[RegisteredClaims]:
    """What a submission would stand on now: the registration beside the study file, or a new one."""
    from maineffect.register.claims import claims_of
    from maineffect.register.freeze import load_registration

    existing = load_registration(checked.path)
    at = datetime.now(UTC).isoformat(timespec="seconds")
    if existing is None:
        return registrations_of_document({"registered_at": at}, checked.plan)
    if existing.plan_hash == checked.plan_hash:
        return registrations_of_document(
            {"registered_at": existing.registered_at, "earlier": existing.earlier}, checked.plan
        )
    replaced = {"registered_at": existing.registered_at, "claims": claims_of(existing.plan.get("study", {}))}
    return registrations_of_document({"registered_at": at, "earlier": [*existing.earlier, replaced]}, checked.plan)


def registrations_of(uri: str, sweeps: Iterable[str]) -> list[RegisteredClaims]:
    """Those of sweeps in a store; one that is gone from it counts as not registered."""
    from maineffect.errors import MaineffectError
    from maineffect.ledger.store.artifacts import read_text
    from maineffect.ledger.sweep.ledger import PLAN_FILE, load_sweep

    found = []
    for sweep in sorted(set(sweeps)):
        try:
            ledger = load_sweep(uri, sweep)
            if ledger is None:
                continue
            submission = read_text(uri, ledger.entry.sweep_run, SUBMISSION_FILE)
            plan = read_text(uri, ledger.entry.sweep_run, PLAN_FILE)
        except MaineffectError:
            continue
        if submission is not None and plan is not None:
            found += registrations_of_document(json.loads(submission), json.loads(plan))
    return found


def first_start(states: Iterable[RunStatus]) -> float | None:
    """When the first run that counts was started, in seconds since 1970."""
    starts = [s.started_at for s in states if s.state is RunState.FINISHED and s.started_at is not None]
    return min(starts, default=None)


def post_hoc_reasons(
    plan: Mapping[str, Any],
    own: Sequence[RegisteredClaims],
    others: Sequence[RegisteredClaims],
    *,
    first_run: float | None,
    first_new: float | None,
) -> dict[str, str]:
    """Claims that are judged post hoc, each with the reason.

    A claim that a follow-up judges on its new runs alone is a new registration: what counts for it is its own study's,
    and when the first new run was started. All others inherit the registrations of the sweeps whose runs they count.

    Args:
        plan: Of the study.
        own: Registrations behind the study itself.
        others: Those of the sweeps whose runs it counts.
        first_run: When the first run that counts was started, in seconds since 1970; None: none has been.
        first_new: The same of the runs that no earlier phase has made.
    """
    from maineffect.register.claims import claims_of, post_hoc

    study = plan.get("study", {})
    claims = claims_of(study)
    together = post_hoc(claims, [*own, *others], first_run)
    alone = _judged_alone(study)
    if not alone:
        return together
    by_itself = post_hoc(claims, own, first_new)
    return {name: chosen[name] for name in claims if name in (chosen := by_itself if name in alone else together)}


def _judged_alone(study: Mapping[str, Any]) -> set[str]:
    """Hypotheses that are judged on the new runs of a follow-up alone."""
    if not (study.get("follow_up") or {}).get("runs"):
        return set()
    kept = bool((study.get("analysis") or {}).get("follow_up"))
    return {str(h["id"]) for h in study.get("hypotheses") or () if not kept or h.get("suggested_by")}
