"""Other packages' answer to one design problem, run by an interpreter that has them (``make peers``).

Reads a problem as JSON on stdin, writes one JSON line per package: its runs, the time of its second call (the first one
may compile) and of its first. A package that is absent, or has no way to state the problem, says so.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

Problem = dict[str, Any]
Rows = list[dict[str, Any]]


def pyoptex(problem: Problem) -> Rows:
    from pyoptex.doe.constraints import parse_constraints_script
    from pyoptex.doe.fixed_structure import (
        Factor,
        RandomEffect,
        create_fixed_structure_design,
        create_parameters,
        default_fn,
    )
    from pyoptex.doe.fixed_structure.metric import Dopt
    from pyoptex.utils.model import model2Y2X, partial_rsm_names

    plots = problem["plots"]
    effect = RandomEffect(np.array(plots), ratio=1.0) if plots else None
    factors = []
    for name, levels in problem["factors"].items():
        hard = effect if name in problem["hard"] else None
        factors.append(Factor(name, hard, type="cat", levels=[str(level) for level in levels]))
    order = "tfi" if problem["terms"] == "two_way" else "lin"
    y2x = model2Y2X(partial_rsm_names(dict.fromkeys(problem["factors"], order)), factors)
    constraints = None
    if problem["forbid"]:
        parts = [" & ".join(f'(`{k}` == "{v}")' for k, v in entry.items()) for entry in problem["forbid"]]
        constraints = parse_constraints_script(" | ".join(f"({part})" for part in parts), factors, exclude=True)
    functions = default_fn(factors, Dopt(), y2x, constraints=constraints)
    parameters = create_parameters(factors, functions, problem["runs"])
    design, _ = create_fixed_structure_design(parameters, n_tries=problem["starts"])
    levels = {(name, str(level)): level for name, values in problem["factors"].items() for level in values}
    return [
        {k: levels[k, str(v)] for k, v in row.items() if k in problem["factors"]} for row in design.to_dict("records")
    ]


def process_improve(problem: Problem) -> Rows:
    from process_improve.experiments.designs import generate_design
    from process_improve.experiments.factor import Factor

    if problem["forbid"]:
        raise NotImplementedError("its constraints are inequalities of numbers, not forbidden combinations")
    factors = [
        Factor(name=name, type="categorical", levels=levels)
        if isinstance(levels[0], str)
        else Factor(name=name, low=-1, high=1)
        for name, levels in problem["factors"].items()
    ]
    model = "interactions" if problem["terms"] == "two_way" else "main_effects"
    if problem["hard"]:
        from process_improve.experiments.designs_split_plot import SplitPlotOptions, split_plot_design

        options = SplitPlotOptions(
            criterion="d_optimal",
            model_type=model,
            n_whole_plots=len(set(problem["plots"])),
            variance_ratio=1.0,
            n_starts=problem["starts"],
        )
        made = split_plot_design(factors, problem["hard"], problem["runs"], options, problem["seed"])
    else:
        made = generate_design(
            factors, "d_optimal", budget=problem["runs"], model_type=model, random_state=problem["seed"]
        )
    frame = made[0] if isinstance(made, tuple) else getattr(made, "design", made)
    if isinstance(frame, np.ndarray):
        return [dict(zip(problem["factors"], map(float, row), strict=True)) for row in frame]
    return frame[list(problem["factors"])].to_dict("records")


def dexpy(problem: Problem) -> Rows:
    if problem["forbid"] or problem["hard"] or any(len(levels) != 2 for levels in problem["factors"].values()):
        raise NotImplementedError("numeric factors without constraints or whole plots only")
    np.random.seed(problem["seed"])  # noqa: NPY002 — its only door to randomness
    from dexpy.model import ModelOrder, make_quadratic_model
    from dexpy.optimal import build_optimal

    count = len(problem["factors"])
    if problem["terms"] == "two_way":
        model = make_quadratic_model([f"X{i + 1}" for i in range(count)], include_squared=False)
        made = build_optimal(count, model=model, run_count=problem["runs"])
    else:
        made = build_optimal(count, order=ModelOrder.linear, run_count=problem["runs"])
    made.columns = list(problem["factors"])
    return made.to_dict("records")


def pydoe3(problem: Problem) -> Rows:
    if problem["terms"] != "main" or problem["hard"] or any(isinstance(v[0], str) for v in problem["factors"].values()):
        raise NotImplementedError("full polynomials of numeric factors only")
    from itertools import product

    from pyDOE3.doe_optimal import optimal_design

    names = list(problem["factors"])
    cells = np.array(list(product(*problem["factors"].values())), dtype=float)
    design, _ = optimal_design(cells, problem["runs"], degree=1, criterion="D", method="detmax")
    return [dict(zip(names, map(float, row), strict=True)) for row in design]


PEERS: dict[str, Callable[[Problem], Rows]] = {
    "pyoptex": pyoptex,
    "process-improve": process_improve,
    "dexpy": dexpy,
    "pyDOE3": pydoe3,
}


def main() -> None:
    """Answer the problem on stdin with every package."""
    problem = json.load(sys.stdin)
    for name, peer in PEERS.items():
        answer: dict[str, Any] = {"package": name}
        try:
            begin = time.perf_counter()
            peer(problem)
            answer["first"] = time.perf_counter() - begin
            begin = time.perf_counter()
            answer["rows"] = peer({**problem, "seed": problem["seed"] + 1})
            answer["seconds"] = time.perf_counter() - begin
        except Exception as error:  # a peer may fail in any way; that is its answer
            answer["failed"] = f"{type(error).__name__}: {error}"
        print(json.dumps(answer, default=float), flush=True)


if __name__ == "__main__":
    main()
