"""D-efficiency and time of optimal designs beside other packages, in one run: ``make bench``.

The other packages live in an environment of their own (``make peers``), because pyoptex pins other versions; without it
only our own column is printed. Every design is scored from its rows by the same definition.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from maineffect.design.build import build_design
from maineffect.design.search.efficiency import d_efficiency
from maineffect.spec.study import StudySpec

MIXED: dict[str, list[Any]] = {
    **{name: [-1, 1] for name in "ABCD"},
    "E": ["low", "mid", "high"],
    "F": ["low", "mid", "high"],
}
PROBLEMS: dict[str, dict[str, Any]] = {
    "2^7, two-factor interactions, n = 32": {
        "factors": {n: [-1, 1] for n in "ABCDEFG"},
        "runs": 32,
        "terms": "two_way",
    },
    "2^4 x 3^2, main effects, n = 18": {"factors": MIXED, "runs": 18, "terms": "main"},
    "2^4 x 3^2, two forbidden pairs, n = 20": {
        "factors": MIXED,
        "runs": 20,
        "terms": "main",
        "forbid": [{"A": 1, "E": "mid"}, {"B": -1, "F": "low"}],
    },
    "split plot, 8 whole plots x 4": {
        "factors": {n: [-1, 1] for n in "ABCDEF"},
        "runs": 32,
        "terms": "two_way",
        "hard": ["A", "B"],
        "plots": [i // 4 for i in range(32)],
    },
    "2^11, main effects, n = 12": {"factors": {n: [-1, 1] for n in "ABCDEFGHIJK"}, "runs": 12, "terms": "main"},
}


def peers_python() -> str | None:
    """Interpreter with the other packages, if there is one."""
    named = os.environ.get("MAINEFFECT_PEERS", str(Path(__file__).parents[2] / ".venv-peers" / "bin" / "python"))
    return named if Path(named).exists() else None


def study(problem: dict[str, Any]) -> StudySpec:
    request: dict[str, Any] = {"kind": "optimal", "runs": problem["runs"], "forbid": problem.get("forbid", [])}
    if problem.get("hard"):
        request |= {"hard_to_change": problem["hard"], "whole_plots": len(set(problem["plots"]))}
    return StudySpec.model_validate(
        {
            "schema_version": 1,
            "name": "bench",
            "factors": {name: {"name": name, "levels": levels} for name, levels in problem["factors"].items()},
            "design": request,
            "responses": {"y": {"name": "y"}},
            "analysis": {"terms": problem["terms"]},
        }
    )


def score(problem: dict[str, Any], rows: list[dict[str, Any]], plots: list[Any] | None) -> float:
    """Efficiency of any package's rows; a broken promise (forbidden cell, changing whole plot) scores nothing."""
    asked = study(problem)
    for entry in problem.get("forbid", []):
        if any(all(row[k] == v for k, v in entry.items()) for row in rows):
            return float("nan")
    design = build_design(asked)
    columns = {name: [row[name] for row in rows] for name in problem["factors"]}
    return d_efficiency(design.factors, columns, design.terms, whole_plots=plots)


@pytest.mark.benchmark
@pytest.mark.parametrize("name", PROBLEMS)
def test_optimal_designs_beside_other_packages(name: str) -> None:
    problem = PROBLEMS[name]
    asked = study(problem)
    begin = time.perf_counter()
    design = build_design(asked)
    seconds = time.perf_counter() - begin
    print(f"\n{name}: bound {design.d_bound:.3f}")
    print(f"  {'maineffect':16} {design.d_efficiency:8.3f} %  {seconds:8.3f} s")
    python = peers_python()
    if python is None:
        pytest.skip("no other package to compare with: run `make peers`")
    sent = {"hard": [], "plots": None, "forbid": [], "seed": 1, "starts": 100, **problem}
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [python, str(Path(__file__).with_name("design_peers.py"))],
        input=json.dumps(sent),
        capture_output=True,
        text=True,
        env=env,
        timeout=500,
        check=False,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert answers, done.stderr[-2000:]
    for answer in answers:
        if "failed" in answer:
            print(f"  {answer['package']:16} no answer: {answer['failed'][:110]}")
            continue
        rows = answer["rows"]
        plots = [row.get("whole_plot", i // 4) for i, row in enumerate(rows)] if problem.get("hard") else None
        try:
            efficiency = score(problem, rows, plots)
        except Exception as error:
            print(f"  {answer['package']:16} answers with rows we cannot read: {error}", file=sys.stderr)
            continue
        print(
            f"  {answer['package']:16} {efficiency:8.3f} %  {answer['seconds']:8.3f} s (first call {answer['first']:.2f} s)"
        )


LARGE = {
    "2^13, two-factor interactions": (2, 13, 1),
    "2^15, two-factor interactions": (2, 15, 1),
    "8^5, two-factor interactions": (8, 5, 1),
    "10^4 x 3 replicates, two-factor interactions": (10, 4, 3),
}
_DESIGN = """
import resource, sys, time
from maineffect.analyse.simulation.planned import planned_model
from maineffect.design.build import build_design
from maineffect.design.power.analytic import power_document
from maineffect.spec.study import StudySpec
levels, factors, replicates = map(int, sys.argv[1:])
names = [f"x{i}" for i in range(factors)]
study = StudySpec.model_validate({
    "schema_version": 1, "name": "large", "responses": {"y": {"name": "y", "smallest_effect": 1}},
    "factors": {name: {"name": name, "levels": list(range(levels))} for name in names},
    "design": {"kind": "full", "replicates": replicates}, "analysis": {"terms": "two_way"},
})
begin = time.perf_counter()
design = build_design(study)
model = planned_model(study, design)
power_document(study, design, terms=model.terms, extra=model.extra)
megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(len(design.runs), time.perf_counter() - begin, megabytes)
"""


@pytest.mark.benchmark
@pytest.mark.parametrize("name", LARGE)
def test_thirty_thousand_runs_are_designed_in_ten_seconds_and_half_a_gigabyte(name: str) -> None:
    arguments = [str(number) for number in LARGE[name]]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", _DESIGN, *arguments], capture_output=True, text=True, env=env, timeout=300, check=True
    )
    runs, seconds, megabytes = map(float, done.stdout.split())
    print(f"\n{name}: {runs:,.0f} runs  {seconds:6.2f} s  {megabytes:5.0f} MB")
    assert seconds < 10
    assert megabytes < 500
