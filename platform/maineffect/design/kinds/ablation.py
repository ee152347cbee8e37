"""Ablations: a baseline and every factor changed alone. What they cannot estimate, and at what cost, is said."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

from maineffect.design.algebra.hadamard import next_hadamard_order
from maineffect.design.algebra.regular import minimum_aberration
from maineffect.design.model.treatments import Treatments
from maineffect.errors import DesignError
from maineffect.spec.factors import Factor
from maineffect.spec.requests import AblationRequest
from maineffect.spec.study import StudySpec

__all__ = ["ablation"]


def ablation(study: StudySpec) -> Treatments:
    """The baseline (as often as asked) and one run per other level of every factor.

    The notes set the standard error of an effect, in units of the run standard deviation σ, beside that of the
    factorial of equal cost. The difference of a run and the mean of b baseline runs has σ·√(1 + 1/b); an effect in an
    orthogonal two-level design of N runs has 2σ/√N, a difference of two levels of s in a balanced one σ·√(2s/N)
    (Montgomery, Design and Analysis of Experiments, 8th ed., sec. 3.5 and 6.2).

    Raises:
        DesignError: Too few factors.
    """
    request = study.design
    assert isinstance(request, AblationRequest)
    if len(study.factors) < 2:
        raise DesignError("an ablation needs two factors at least", "use kind: full")
    baseline = {name: request.baseline[name] for name in study.factors}
    changed = [
        {**baseline, name: level}
        for name, factor in study.factors.items()
        for level in factor.levels
        if level != baseline[name]
    ]
    rows = [baseline] * request.baseline_repeats + changed
    factors = tuple(study.factors.values())
    what = "taken from" if request.mode == "leave_one_out" else "added to"
    error = sqrt((1 + 1 / request.baseline_repeats) / request.replicates)
    notes = (
        f"each factor is {what} the baseline alone: no interaction can be estimated, and an effect holds only where "
        "all other factors are at their baseline",
        f"{len(rows) * request.replicates} runs; standard error of an effect {error:.2f} σ",
        _factorial(factors, len(rows), request.replicates, error),
        *_contradictions(factors, request),
    )
    return Treatments(tuple(rows), notes=notes, model=tuple(study.factors))


def _factorial(factors: Sequence[Factor], runs: int, replicates: int, error: float) -> str:
    """The factorial for about the same runs, and what the ablation would cost for its standard error."""
    if any(len(factor.levels) > 2 for factor in factors):
        best = ", ".join(f"{f.name} {sqrt(2 * len(f.levels) / (runs * replicates)):.2f} σ" for f in factors)
        return (
            f"the same runs as a main-effects design (kind: optimal, model: main, runs: {runs}) use every run for "
            f"every effect; standard error of a difference of two levels at best: {best}"
        )
    k = len(factors)
    least = min(next_hadamard_order(k + 1), 1 << k.bit_length())
    size = next(n for n in (*range(runs - runs % 4, least, -4), least) if next_hadamard_order(n) == n)
    if size & (size - 1):
        kind, kept = f"kind: plackett_burman, runs: {size}", "main effects are partly aliased with interactions"
    else:
        size = min(size, 2**k)
        fraction = minimum_aberration(k, size.bit_length() - 1)
        kind = f"kind: fractional, runs: {size}" if fraction.q < k else "kind: full"
        kept = f"resolution {fraction.resolution}" if fraction.q < k else "all interactions estimable"
    smaller = 2 / sqrt(size * replicates)
    # m runs of every cell have √(2/m) σ; equal to 2/√N for m = N/2.
    same = (k + 1) * size * replicates // 2
    return (
        f"the factorial of equal cost ({kind}{f', replicates: {replicates}' if replicates > 1 else ''}) uses every run "
        f"for every effect: {size * replicates} runs; standard error of an effect {smaller:.2f} σ, against "
        f"{error:.2f} σ; {kept}; the ablation needs {same} runs for that"
    )


def _contradictions(factors: Sequence[Factor], request: AblationRequest) -> tuple[str, ...]:
    """Switches whose baseline is not what the mode says."""
    on = request.mode == "leave_one_out"
    wrong = [
        f.name for f in factors if all(isinstance(level, bool) for level in f.levels) and request.baseline[f.name] != on
    ]
    if not wrong:
        return ()
    state, other = ("on", "add_one_in") if on else ("off", "leave_one_out")
    return (
        f"mode {request.mode} starts from everything {state}, but the baseline has {', '.join(wrong)} the other way "
        f"round; is it mode: {other}?",
    )
