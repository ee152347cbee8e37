"""The file that a search begins with: what it adds to the finished sweep that it starts from, and nothing else."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from maineffect.errors import Problem, SpecError
from maineffect.spec.factors import StrictModel
from maineffect.spec.phases.optimise import OptimiseRequest
from maineffect.spec.problems import Finding
from maineffect.spec.study import Budget, Resources
from maineffect.spec.translate import translate
from maineffect.spec.yaml_lines import Sources, read_yaml

__all__ = ["OptimiseFile", "SearchFile", "is_optimisation", "load_optimisation"]


class OptimiseFile(StrictModel):
    """A validated file. Trainable, settings, responses and factors are the sweep's."""

    schema_version: Literal[1] = Field(description="Version of this format.")
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$", description="Short name of the search.")
    question: str = Field(default="", description="What is looked for, in words.")
    optimise: OptimiseRequest = Field(description="Where to look, for what, and what the result is confirmed against.")
    resources: Resources | None = Field(default=None, description="What one run needs; default: the sweep's.")
    budget: Budget = Field(default_factory=Budget, description="What search and confirmation may spend.")
    seed: int | None = Field(
        default=None, ge=0, description="Root of the seed tree; default: derived from the sweep's."
    )


@dataclass(frozen=True)
class SearchFile:
    """A file that was read, and where everything in it is written."""

    asked: OptimiseFile
    sources: Sources

    def refuse(self, findings: list[Finding]) -> None:
        """Say what is wrong with it.

        Raises:
            SpecError: There are findings; each has file and line.
        """
        if findings:
            problems = [self.sources.place(finding) for finding in findings]
            raise SpecError(sorted(dict.fromkeys(problems), key=lambda p: p.line or 0))


def is_optimisation(path: Path) -> bool:
    """Whether a file is one of these; what cannot be read at all is left to whoever loads it."""
    try:
        # Most files are none: they are read once, by whoever loads them.
        value = read_yaml(path).value if b"optimise" in path.read_bytes() else None
    except (OSError, SpecError):
        return False
    return isinstance(value, dict) and "optimise" in value


def load_optimisation(path: Path) -> SearchFile:
    """Read and validate such a file by itself, without its sweep.

    Raises:
        SpecError: Everything that is wrong in it, with file and line.
    """
    located = read_yaml(path)
    sources = Sources(located)
    if not isinstance(located.value, dict) or "optimise" not in located.value:
        hint = "write optimise: {from: SWEEP, factors: …, objectives: …, runs: …, confirm: …}"
        raise SpecError([*located.problems, Problem("the file has no section `optimise`", "", str(path), 1, hint)])
    try:
        asked = OptimiseFile.model_validate_json(json.dumps(located.value), strict=True)
    except ValidationError as error:
        findings = [_inside(finding, error) for finding in translate(error.errors(), located.value)]
        raise SpecError([*located.problems, *(sources.place(finding) for finding in findings)]) from None
    if located.problems:
        raise SpecError(located.problems)
    return SearchFile(asked, sources)


def _inside(finding: Finding, error: ValidationError) -> Finding:
    """A finding at the place that its message begins with: ``fixed.a: …`` is about optimise.fixed.a."""
    if finding.path != ("optimise",):
        return finding
    said = next(e["msg"] for e in error.errors() if tuple(e["loc"]) == ("optimise",))
    where, _, rest = said.removeprefix("Value error, ").partition(": ")
    return Finding(("optimise", *where.split(".")), rest, finding.hint) if rest else finding
