"""Two analyses of the same question set side by side: differences, agreement, pooled estimates, what changed.

For independent estimates a, b with variances v_a, v_b the difference has variance v_a + v_b and Welch's degrees of
freedom (Welch 1947, Biometrika 34:28); the pooled estimate weights by 1/v and has variance 1/(1/v_a + 1/v_b)
(Cochran 1954, Biometrics 10:101), its degrees of freedom after Satterthwaite with the weights taken as known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from scipy import stats

from maineffect.analyse.inference.multiplicity import adjust
from maineffect.analyse.record.result import AnalysisResult, Effect

__all__ = ["Change", "Compared", "Comparison", "compare"]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Compared(_Record):
    """One effect in both sweeps.

    ``agreement`` is ``differ`` when the difference is not zero after Holm's adjustment over all effects, ``same`` when
    both intervals exclude zero on the same side, ``compatible`` otherwise, ``unknown`` without error estimates.
    """

    response: str
    term: str
    contrast: str
    unit: str = ""
    first: float
    first_low: float | None = None
    first_high: float | None = None
    second: float
    second_low: float | None = None
    second_high: float | None = None
    difference: float
    difference_low: float | None = None
    difference_high: float | None = None
    p_value: float | None = None
    p_adjusted: float | None = None
    pooled: float | None = None
    pooled_low: float | None = None
    pooled_high: float | None = None
    agreement: Literal["same", "compatible", "differ", "unknown"] = "unknown"


class Change(_Record):
    """Something that is not the same in both sweeps."""

    what: str
    first: str
    second: str


class Comparison(_Record):
    """Two sweeps side by side.

    Attributes:
        names: Of the two sweeps.
        effects: Those that both estimated on the same levels.
        changes: Plan, factors, design, code and versions that differ.
        apart: Why an effect of one sweep is not compared.
        warnings: What makes the numbers mean less than they seem.
    """

    schema_version: Literal[1] = 1
    names: tuple[str, str]
    effects: list[Compared] = Field(default_factory=list)
    changes: list[Change] = Field(default_factory=list)
    apart: list[str] = Field(default_factory=list)
    warnings: list[str] = Field(default_factory=list)
    alpha: float = 0.05


def compare(first: AnalysisResult, second: AnalysisResult) -> Comparison:
    """Set two analyses side by side.

    Args:
        first: The earlier one, by custom.
        second: A replication or follow-up: its factors and responses may be others.
    """
    alpha = max(first.alpha, second.alpha)
    apart: list[str] = []
    pairs = list(_pairs(first, second, apart))
    compared = [_compared(name, a, b, first.responses[name].unit_of_effects, alpha) for name, a, b in pairs]
    adjusted = adjust([c.p_value for c in compared], "holm")
    effects = [
        c.model_copy(update={"p_adjusted": p, "agreement": _agreement(c, p, alpha)})
        for c, p in zip(compared, adjusted, strict=True)
    ]
    return Comparison(
        names=(_name(first), _name(second)),
        effects=effects,
        changes=list(_changes(first, second)),
        apart=list(dict.fromkeys(apart)),
        warnings=list(_warnings(first, second)),
        alpha=alpha,
    )


def _name(result: AnalysisResult) -> str:
    return result.facts.sweep_id or result.study


def _pairs(first: AnalysisResult, second: AnalysisResult, apart: list[str]) -> Iterator[tuple[str, Effect, Effect]]:
    levels = [_levels(first), _levels(second)]
    for name in [*first.responses, *(n for n in second.responses if n not in first.responses)]:
        if name not in first.responses or name not in second.responses:
            apart.append(f"{name} is a response of {_name(first if name in first.responses else second)} only")
            continue
        if first.responses[name].unit_of_effects != second.responses[name].unit_of_effects:
            units = [r.responses[name].unit_of_effects or "no unit" for r in (first, second)]
            apart.append(f"{name} has other units: {units[0]} and {units[1]}")
            continue
        others = {(e.term, e.contrast): e for e in second.responses[name].effects}
        for effect in first.responses[name].effects:
            factors = [part.removesuffix("^2") for part in effect.term.split(":")]
            changed = [f for f in factors if f in levels[1] and levels[0].get(f) != levels[1].get(f)]
            other = others.get((effect.term, effect.contrast))
            if changed:
                apart.append(f"{effect.term}: {', '.join(changed)} has other levels, so its contrast is another")
            elif other is None:
                apart.append(f"{effect.term} is not estimated in {_name(second)}")
            else:
                yield name, effect, other
        first_contrasts = {(e.term, e.contrast) for e in first.responses[name].effects}
        apart += [
            f"{term} is not estimated in {_name(first)}"
            for term, contrast in others
            if (term, contrast) not in first_contrasts
        ]


def _levels(result: AnalysisResult) -> dict[str, list[Any]]:
    declared = {str(f["name"]): list(f["levels"]) for f in result.facts.factors if f.get("levels")}
    if declared:
        return declared
    met: dict[str, set[Any]] = {}
    for run in result.runs:
        for factor, value in run.levels.items():
            met.setdefault(factor, set()).add(value)
    return {factor: sorted(values, key=str) for factor, values in met.items()}


def _compared(name: str, a: Effect, b: Effect, unit: str, alpha: float) -> Compared:
    base = Compared(
        response=name, term=a.term, contrast=a.contrast, unit=unit,
        first=a.estimate, first_low=a.ci_low, first_high=a.ci_high,
        second=b.estimate, second_low=b.ci_low, second_high=b.ci_high,
        difference=b.estimate - a.estimate,
    )  # fmt: skip
    if not (a.std_error and b.std_error and a.df and b.df):
        return base
    va, vb = a.std_error**2, b.std_error**2
    spread = (va + vb) ** 0.5
    df = _satterthwaite(va, a.df, vb, b.df)
    half = float(stats.t.isf(alpha / 2, df)) * spread
    share = vb / (va + vb)
    pooled, pooled_se = share * a.estimate + (1 - share) * b.estimate, (va * vb / (va + vb)) ** 0.5
    pooled_df = _satterthwaite(share**2 * va, a.df, (1 - share) ** 2 * vb, b.df)
    wide = float(stats.t.isf(alpha / 2, pooled_df)) * pooled_se
    return base.model_copy(
        update={
            "difference_low": base.difference - half,
            "difference_high": base.difference + half,
            "p_value": float(2 * stats.t.sf(abs(base.difference) / spread, df)),
            "pooled": pooled,
            "pooled_low": pooled - wide,
            "pooled_high": pooled + wide,
        }
    )


def _satterthwaite(va: float, dfa: float, vb: float, dfb: float) -> float:
    return (va + vb) ** 2 / (va**2 / dfa + vb**2 / dfb)


def _agreement(c: Compared, p: float | None, alpha: float) -> str:
    if p is None:
        return "unknown"
    if p <= alpha:
        return "differ"
    sides = [_side(c.first_low, c.first_high), _side(c.second_low, c.second_high)]
    return "same" if sides[0] == sides[1] != 0 else "compatible"


def _side(low: float | None, high: float | None) -> int:
    if low is None or high is None:
        return 0
    return 1 if low > 0 else -1 if high < 0 else 0


_DESIGN = ("kind", "n_cells", "n_runs", "resolution", "generators", "terms")


def _changes(first: AnalysisResult, second: AnalysisResult) -> Iterator[Change]:
    yield from _differences(
        "", {"study": first.study, "plan": first.plan_hash}, {"study": second.study, "plan": second.plan_hash}
    )
    yield from _differences("settings.", *(dict(_leaves(r.facts.settings)) for r in (first, second)))
    yield from _differences("levels of ", _levels(first), _levels(second))
    designs = [{key: r.facts.design.get(key) for key in _DESIGN} for r in (first, second)]
    yield from _differences("design: ", *designs)
    goals = [
        {n: f"{r.goal}, {r.unit or 'no unit'}, matters from {r.smallest_effect}" for n, r in s.responses.items()}
        for s in (first, second)
    ]
    yield from _differences("response ", *goals)
    kept = [
        {k.removeprefix("me."): v for k, v in r.facts.provenance.items() if k.startswith("me.")}
        for r in (first, second)
    ]
    yield from _differences("", *kept)


def _differences(kind: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[Change]:
    for key in [*a, *(k for k in b if k not in a)]:
        if a.get(key) != b.get(key):
            yield Change(what=f"{kind}{key}", first=_text(a.get(key)), second=_text(b.get(key)))


def _leaves(settings: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted path and value of every single setting."""
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def _text(value: Any) -> str:
    if value is None:
        return "none"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _warnings(first: AnalysisResult, second: AnalysisResult) -> Iterator[str]:
    ids = [{run.tracking_run_id for run in r.runs if run.tracking_run_id} for r in (first, second)]
    if shared := len(ids[0] & ids[1]):
        yield f"{shared} runs count in both sweeps: the estimates are not independent, and pooling counts them twice"
    seeds = [
        {(run.seed, tuple(sorted(map(str, run.levels.items())))) for run in r.runs if run.seed is not None}
        for r in (first, second)
    ]
    if not shared and (same := len(seeds[0] & seeds[1])):
        yield f"{same} runs have the same levels and seed in both sweeps: their noise is shared"
    for result in (first, second):
        if result.facts.registered_hash is None:
            yield f"no registration stands behind {_name(result)}"
