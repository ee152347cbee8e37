"""Records of what to run next: open questions, and proposals with what each is expected to decide at what price."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from maineffect.analyse.record.further_records import Record

__all__ = ["Chance", "OpenQuestion", "Proposal", "WhatNext"]

ProposalKind = Literal[
    "replicates", "de-alias", "interactions", "curvature", "drop and project", "confirm", "optimise", "stop"
]


class OpenQuestion(Record):
    """What a finished sweep leaves open.

    ``raw`` is the sweep's estimate, ``shrunk`` what is left of it where it was picked because it is large.
    """

    id: str
    kind: Literal["registered", "surprise", "alias", "interaction", "curvature"]
    response: str
    term: str
    text: str
    raw: float | None = None
    shrunk: float | None = None
    std_error: float | None = None
    level: float


class Chance(Record):
    """The chance that a proposal decides a question: its assurance."""

    question: str
    assurance: float


class Proposal(Record):
    """One thing to do next; ``hours`` is None where no run has a recorded time, ``per_hour`` is then per run."""

    kind: ProposalKind
    title: str
    runs: int
    hours: float | None = None
    decided: float = 0.0
    per_hour: float = 0.0
    chances: list[Chance] = Field(default_factory=list)
    why: str = ""


class WhatNext(Record):
    """Open questions and proposals, best first; ``rule`` says how the verdicts of a follow-up are reached.

    ``enough`` is the smallest number of further replicates after which every registered claim is decided with a chance
    of 80 %; None where there is none, or no such claim is open. ``left_out`` names open claims of which nothing can be
    said beforehand, and why.
    """

    questions: list[OpenQuestion] = Field(default_factory=list)
    proposals: list[Proposal] = Field(default_factory=list)
    unit: Literal["GPU-hours", "core-hours"] = "core-hours"
    hours_per_run: float | None = None
    budget: float | None = None
    enough: int | None = None
    rule: str = ""
    left_out: list[str] = Field(default_factory=list)
