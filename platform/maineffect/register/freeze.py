"""Registration: the plan frozen beside the study file, so that it can be committed with it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from maineffect.design.model.model import Design
from maineffect.errors import MaineffectError, PlanChangedError
from maineffect.register.claims import claims_of
from maineffect.register.difference import differences
from maineffect.register.plan import plan_document, plan_hash
from maineffect.spec.study import StudySpec

__all__ = [
    "Registration",
    "is_registered",
    "load_registration",
    "register",
    "registration_path",
    "require_beforehand",
    "require_registered",
]


@dataclass(frozen=True)
class Registration:
    """A frozen plan.

    Attributes:
        earlier: Plans that this one replaced, oldest first: hash, time, their claims, and what changed.
    """

    study: str
    plan_hash: str
    registered_at: str
    plan: dict[str, Any]
    path: Path
    git_commit: str | None = None
    earlier: tuple[dict[str, Any], ...] = field(default=())


def registration_path(study_path: Path) -> Path:
    """``study.yaml`` → ``study.registration.json`` in the same folder."""
    return study_path.with_name(f"{study_path.stem}.registration.json")


def load_registration(study_path: Path) -> Registration | None:
    """The registration beside a study, or None.

    Raises:
        PlanChangedError: The file was edited: its plan does not have the hash that it states.
    """
    path = registration_path(study_path)
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        registration = Registration(
            study=content["study"],
            plan_hash=content["plan_hash"],
            registered_at=content["registered_at"],
            plan=content["plan"],
            path=path,
            git_commit=content.get("git_commit"),
            earlier=tuple(content.get("earlier", ())),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PlanChangedError(
            f"{path} is not a registration: {error}",
            f"restore it from version control, or `maineffect register {study_path} --anew`",
        ) from None
    if plan_hash(registration.plan) != registration.plan_hash:
        raise PlanChangedError(
            f"{path} was edited: its plan does not have the hash that it states",
            f"restore it from version control, or `maineffect register {study_path} --anew`",
        )
    return registration


def register(study: StudySpec, design: Design, study_path: Path, *, again: bool, now: datetime) -> Registration:
    """Freeze the plan. Registering an unchanged plan again changes nothing.

    Raises:
        PlanChangedError: Another plan is registered and ``again`` is false.
        MaineffectError: The folder cannot be written.
    """
    plan = plan_document(study, design)
    digest = plan_hash(plan)
    earlier: tuple[dict[str, Any], ...] = ()
    try:
        existing = load_registration(study_path)
    except PlanChangedError as error:
        if not again:
            raise
        existing = None
        earlier = (_unreadable(error),)
    if existing is not None:
        if existing.plan_hash == digest:
            return existing
        changes = differences(existing.plan, plan)
        if not again:
            raise _changed(study_path, changes)
        replaced = {
            "plan_hash": existing.plan_hash,
            "registered_at": existing.registered_at,
            "changes": changes,
            "claims": claims_of(existing.plan.get("study", {})),
        }
        earlier = (*existing.earlier, replaced)
    registration = Registration(
        study=study.name,
        plan_hash=digest,
        registered_at=now.isoformat(timespec="seconds"),
        plan=plan,
        path=registration_path(study_path),
        git_commit=_commit(study_path),
        earlier=earlier,
    )
    _write(registration, study_path)
    return registration


def require_registered(
    study: StudySpec, design: Design, study_path: Path, *, again: bool, now: datetime
) -> Registration:
    """The registration that a submission stands on; a study without one is registered now.

    Raises:
        PlanChangedError: The study changed since it was registered; says what changed.
    """
    return register(study, design, study_path, again=again, now=now)


def is_registered(study_path: Path, digest: str) -> bool:
    """Whether the registration beside a study is of the plan with this hash.

    Raises:
        PlanChangedError: The registration was edited.
    """
    existing = load_registration(study_path)
    return existing is not None and existing.plan_hash == digest


def require_beforehand(digest: str, study_path: Path) -> None:
    """Refuse a submission whose plan nobody has registered.

    Raises:
        PlanChangedError: There is no registration, or it is another plan's.
    """
    if not is_registered(study_path, digest):
        raise PlanChangedError(
            f"{study_path} is not registered, and its team's standards ask for that before anything runs",
            f"maineffect register {study_path}, and commit the registration",
        )


def _unreadable(error: PlanChangedError) -> dict[str, Any]:
    """What is left of an earlier registration that cannot be trusted: that there was one."""
    return {"plan_hash": None, "registered_at": "at an unknown time", "changes": [f"unknown: {error.message}"]}


def _changed(study_path: Path, changes: list[str]) -> PlanChangedError:
    listed = "\n".join(f"  - {change}" for change in changes)
    return PlanChangedError(
        f"{study_path} is not the study that was registered:\n{listed}",
        f"undo the change, or register it openly: maineffect register {study_path} --anew",
    )


def _write(registration: Registration, study_path: Path) -> None:
    content = {
        "study": registration.study,
        "plan_hash": registration.plan_hash,
        "registered_at": registration.registered_at,
        "git_commit": registration.git_commit,
        "earlier": list(registration.earlier),
        "plan": registration.plan,
    }
    aside = registration.path.with_name(f".{registration.path.name}.{os.getpid()}")
    try:
        aside.write_text(json.dumps(content, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")
        aside.replace(registration.path)
    except OSError as error:
        with contextlib.suppress(OSError):  # on a disk that is mounted read-only even this is refused
            aside.unlink(missing_ok=True)
        raise MaineffectError(
            f"cannot write the registration {registration.path}: {error.strerror}",
            f"make {study_path.parent} writable, or copy the study to a folder of your own",
        ) from None


def _commit(study_path: Path) -> str | None:
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=study_path.resolve().parent, capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
