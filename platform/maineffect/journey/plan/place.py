"""Where a sweep runs and is kept, and a study that was checked: what every verb is given."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maineffect.errors import Problem, UsageError

if TYPE_CHECKING:
    from maineffect.design.model.model import Design
    from maineffect.spec.study import StudySpec

__all__ = ["Checked", "Place"]


@dataclass(frozen=True)
class Place:
    """Where a sweep runs and is kept: never part of what is studied.

    Attributes:
        home: Folder for runs, caches and the default ledger.
        tracking_uri: MLflow store; None: as the environment says, or SQLite in the home.
        address: Ray cluster to run on; None starts Ray on this machine.
        workers: Most runs at a time.
        takeover: Whether attempts on other machines that give no sign of life for a whole lease are given up.
        send_code: Whether the cluster is sent this machine's maineffect and the trainable's package.

    Raises:
        UsageError: Code is to be sent, and no cluster is named.
    """

    home: Path = field(default_factory=lambda: Path(os.environ.get("MAINEFFECT_HOME", ".maineffect")).absolute())
    tracking_uri: str | None = None
    address: str | None = None
    workers: int | None = None
    takeover: bool = False
    send_code: bool = False

    def __post_init__(self) -> None:
        if self.send_code and self.address is None:
            raise UsageError("--send-code sends code to a cluster, and none is named", "add its --address")

    def uri(self) -> str:
        """The tracking store in force."""
        from maineffect.ledger.store.tracking import tracking_uri

        return tracking_uri(self.tracking_uri, self.home)


@dataclass(frozen=True)
class Checked:
    """A study that can be run: its design, its plan and what the experimental standards say of it.

    Attributes:
        lacks: What this machine lacks of what runs need; among the warnings as well.
    """

    path: Path
    study: StudySpec
    design: Design
    plan: dict[str, Any]
    plan_hash: str
    warnings: tuple[Problem, ...] = ()
    lacks: tuple[Problem, ...] = ()
    submission: Mapping[str, Any] = field(default_factory=dict)
