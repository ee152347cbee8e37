"""Results as text for people. Numbers come from the documents; nothing is computed here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from maineffect.cli.console import table

if TYPE_CHECKING:
    from maineffect.analyse.record.result import (
        AnalysisResult,
        Effect,
        HypothesisResult,
        ItemModel,
        Optimum,
        Transported,
    )
    from maineffect.analyse.record.scaling import EffectOverSizes
    from maineffect.study import Checked

__all__ = [
    "analysis_text",
    "check_document",
    "check_text",
    "planned_sizes_document",
    "planned_sizes_text",
    "self_test_text",
    "verdict_sentence",
]


def check_document(checked: Checked) -> dict[str, Any]:
    """The document of ``check --json``."""
    return {
        "schema_version": 1,
        "study": checked.study.name,
        "valid": True,
        "plan_hash": checked.plan_hash,
        "n_cells": len(checked.design.cells),
        "n_runs": len(checked.design.runs),
        "warnings": [vars(warning) for warning in checked.warnings],
        **planned_sizes_document(checked),
    }


def planned_sizes_document(checked: Checked) -> dict[str, Any]:
    """The same as a part of a document."""
    if checked.study.scaling is None:
        return {}
    from maineffect.analyse.simulation.planned_sizes import planned_sizes, sizes_document

    return {"scaling": sizes_document(planned_sizes(checked.study, checked.design))}


def planned_sizes_text(checked: Checked) -> str:
    """How wide the intervals of effects against size will be; empty where the study asks for none."""
    if checked.study.scaling is None:
        return ""
    from maineffect.analyse.simulation.planned_sizes import planned_sizes, sizes_text

    return sizes_text(planned_sizes(checked.study, checked.design), checked.study.analysis.alpha)


def check_text(checked: Checked) -> str:
    """What ``check`` says when the file is valid."""
    from maineffect.analyse.follow_up.combination import offered_reserve

    design = checked.design
    head = f"{checked.study.name}: valid; {design.kind}, {len(design.cells)} cells, {len(design.runs)} runs"
    offer = offered_reserve(checked.study) if checked.study.optimise is None else None
    notes = [f"note: {note}" for note in (*design.notes, *([] if offer is None else [offer]))]
    sizes = planned_sizes_text(checked)
    return "\n".join(
        [head, *notes, *([sizes] if sizes else []), *(f"warning: {warning}" for warning in checked.warnings)]
    )


def interval(low: float | None, high: float | None, digits: int = 3) -> str:
    """``[low, high]``, or why there is none."""
    if low is None or high is None:
        return "no interval"
    return f"[{low:+.{digits}f}, {high:+.{digits}f}]"


def verdict_sentence(hypothesis: HypothesisResult) -> str:
    """What the registered rule says: one line, and one for each thing that must stand beside it."""
    from maineffect.analyse.confirmatory.answers import further_replicates

    head = f"{hypothesis.id} {hypothesis.label or hypothesis.verdict}: {hypothesis.term} on {hypothesis.response}"
    if hypothesis.estimate is None:
        return f"{head}: {hypothesis.reason or 'not estimable'}"
    text = f"{head} {hypothesis.estimate:+.3f} {interval(hypothesis.ci_low, hypothesis.ci_high)}"
    if hypothesis.scale is not None:
        text += f", {_ratio(hypothesis, hypothesis.scale)}"
    if hypothesis.p_adjusted is not None:
        text += f", adjusted p {hypothesis.p_adjusted:.3g}"
    if hypothesis.p_equivalence_adjusted is not None and hypothesis.direction == "negligible":
        text += f", equivalence p {hypothesis.p_equivalence_adjusted:.3g} (adjusted)"
    if hypothesis.p_permutation is not None:
        text += f", randomisation p {hypothesis.p_permutation:.3g}"
    if hypothesis.verdict == "inconclusive":
        text += f"; {further_replicates(hypothesis)}"
    lines = [text]
    if hypothesis.answer:
        lines.append(hypothesis.answer)
    if hypothesis.reason:
        lines.append(hypothesis.reason)
    if hypothesis.transported is not None:
        moved = hypothesis.transported
        shown = "" if moved.scale is None else f", {_ratio(moved, moved.scale)}"
        lines.append(f"on the registered target {moved.estimate:+.3f} {interval(moved.ci_low, moved.ci_high)}{shown}")
    if hypothesis.post_hoc:
        lines.append(f"post hoc: {hypothesis.post_hoc}")
    return "\n    ".join([*lines, *hypothesis.caveats])


def _ratio(record: Effect | HypothesisResult | Transported, scale: str) -> str:
    """An effect on a logarithmic or logit scale, as a reader wants it."""
    if record.ratio is None:
        return "no ratio"
    word = "odds ratio" if scale == "logit" else "ratio"
    known = record.ratio_low is not None and record.ratio_high is not None
    return f"{word} {record.ratio:.4g}" + (f" [{record.ratio_low:.4g}, {record.ratio_high:.4g}]" if known else "")


def _effect_row(effect: Effect, scale: str | None) -> list[object]:
    return [
        effect.term,
        effect.contrast,
        effect.estimate,
        interval(effect.ci_low, effect.ci_high),
        *([] if scale is None else [_ratio(effect, scale)]),
        effect.p_value,
        effect.p_adjusted,
        " ".join(effect.aliased_with) or "–",
    ]


def analysis_text(result: AnalysisResult) -> str:
    """Verdicts first, then one table of effects per response."""
    parts = [f"{result.study}: {result.n_runs} runs, {result.n_missing} missing"]
    parts += [result.facts.stopped] if result.facts.stopped is not None else []
    parts += [verdict_sentence(hypothesis) for hypothesis in result.hypotheses]
    for name, response in result.responses.items():
        header = ["term", "contrast", "estimate", f"{1 - result.alpha:.0%} interval", "p", "p adjusted", "aliased with"]
        if response.scale is not None:
            header.insert(4, "as ratio")
        rows = [_effect_row(effect, response.scale) for effect in response.effects]
        unit = response.unit_of_effects
        parts.append("\n" + table(header, rows, title=f"{name} {f'({unit})' if unit else ''}".strip()))
        parts += [f"not estimable: {gone.term}: {gone.reason}" for gone in response.not_estimable]
    parts += _further(result)
    parts += [f"warning: {warning}" for warning in result.warnings]
    return "\n".join(parts)


def _further(result: AnalysisResult) -> list[str]:
    """Looks, transported effects, curves, item variances and screened models, one line each."""
    lines = []
    for look in result.looks:
        kind = "registered" if look.registered else "not registered: verdicts do not heed it"
        head = f"look {look.look} of {look.looks}, {look.hypothesis}: {look.decision} ({look.spending}, {kind})"
        if look.p_value is None or look.level is None:
            lines.append(f"{head}; {look.reason}")
            continue
        power = "" if look.conditional_power is None else f", conditional power {look.conditional_power:.2f}"
        lines.append(
            f"{head}; p {look.p_value:.3g} against {look.level:.3g}, "
            f"repeated interval {interval(look.ci_low, look.ci_high)}{power}"
        )
    for moved in result.transported:
        where = f"transported: {moved.factor} on {moved.response} {moved.estimate:+.3f}"
        shown = "" if moved.scale is None else f", {_ratio(moved, moved.scale)}"
        lines.append(f"{where} {interval(moved.ci_low, moved.ci_high)}{shown} on the stated target")
    lines += [
        f"curve: {band.term} on {band.metric} differs from 0 from step {band.first_step:g} on"
        for band in result.curve_effects
        if band.first_step is not None
    ]
    lines += [f"items, {part.score}: {part.sentence}" for part in result.item_variances]
    lines += [line for model in result.item_models for line in _item_lines(model)]
    lines += [
        f"seeds, {variance.response}: the effect of {variance.term} ({variance.contrast}) differs between "
        f"{variance.blocks} blocks by "
        f"{variance.sd:.3g} (standard deviation{', on the boundary' if variance.on_boundary else ''})"
        for variance in result.seed_variances
    ]
    lines += [
        f"covariate {use.name} of {name}: slope {use.slope:+.3g} {interval(use.ci_low, use.ci_high)}"
        for name, response in result.responses.items()
        for use in response.covariates
    ]
    lines += [_optimum_line(optimum) for optimum in result.optima]
    lines += [_over_sizes_line(effect) for effect in result.over_sizes]
    for model in result.screening:
        terms = ", ".join(model.terms) or "nothing"
        lines.append(f"exploratory ({model.method}), {model.response}: {terms}")
    return lines


def _optimum_line(optimum: Optimum) -> str:
    """Best point within the runs, and what the stationary point is."""

    def at(point: list[float]) -> str:
        return ", ".join(f"{name} = {value:.4g}" for name, value in zip(optimum.factors, point, strict=True))

    parts = []
    if optimum.best is not None:
        edge = " (on the edge of the runs)" if optimum.best_on_edge else ""
        between = interval(optimum.best_low, optimum.best_high)
        parts.append(f"best at {at(optimum.best)}{edge}, predicted {optimum.best_predicted:.4g} {between}")
    if optimum.stationary is not None:
        sure = "" if optimum.established else ", which the runs do not establish"
        parts.append(f"stationary point at {at(optimum.stationary)}, a {optimum.nature}{sure}")
    return f"optimum, {optimum.response}: {'; '.join(parts) or 'none, the surface is a plane in some direction'}"


def _over_sizes_line(effect: EffectOverSizes) -> str:
    """Trend of one effect, what its line says beyond the sizes that were run, and whether it is a line."""
    head = f"over {effect.covariate}, {effect.response}: {effect.factor} ({effect.contrast})"
    if effect.slope is None:
        return f"{head}: {effect.reason}"
    per = {"log2": "doubling", "log10": "tenfold", "linear": "unit"}[effect.scale]
    parts = [f"{head} {effect.slope:+.3g} {interval(effect.slope_low, effect.slope_high)} per {per}"]
    parts += [
        f"extrapolated to {point.size:g}: {point.estimate:+.3f} {interval(point.ci_low, point.ci_high)}, no verdict"
        for point in effect.beyond
    ]
    if effect.linearity is not None:
        p, reason = effect.linearity.p_value, effect.linearity.reason
        parts.append(f"straight line: not tested, {reason}" if p is None else f"straight line: p {p:.3g}")
    return "; ".join(parts)


def _item_lines(model: ItemModel) -> list[str]:
    """Log-odds of one score's main effects."""
    what = f"items, {model.score}{f' of {model.part}' if model.part else ''}"
    spread = ", ".join(f"{name.replace('_', ' ')} {sd:.2f}" for name, sd in model.sd.items())
    lines = [f"{what}: {model.runs} runs × {model.items} items, deviations on the log-odds scale: {spread}"]
    return lines + [
        f"{what}: {effect.term} ({effect.contrast}) {effect.log_odds:+.3f} log-odds "
        f"{interval(effect.ci_low, effect.ci_high)}"
        for effect in model.effects
        if effect.log_odds is not None and ":" not in effect.term
    ]


_RATES = {
    "between_seeds": "error rate, effect differs between seeds",
    "wrong_verdicts": "any wrong verdict, no effects",
    "wrong_at_margin": "any wrong verdict, effects at their margins",
}


def self_test_text(document: dict[str, Any]) -> str:
    """Simulated rates with their Monte Carlo error, beside what they should be."""
    alpha = document["alpha"]
    wanted = {"error_rate": f"{alpha:.3f}", "coverage": f"{1 - alpha:.3f}"}
    new = document["inference"] == "seeds"
    wanted["between_seeds"] = f"{alpha:.3f}" if new else "– (verdicts are about these seeds)"
    limit = f"at most {alpha:.3f}" if document["together"] else "– (the correction does not hold several verdicts)"
    wanted |= dict.fromkeys(("family_error", "wrong_verdicts", "wrong_at_margin"), limit)
    shown = ("error_rate", "between_seeds", "family_error", "wrong_verdicts", "wrong_at_margin", "coverage", "power")
    rows = [
        [_RATES.get(name, name.replace("_", " ")), rate["value"], rate["std_error"], wanted.get(name, "–")]
        for name in shown
        if (rate := document[name]) is not None
    ]
    head = f"{document['study']}: {document['studies']} simulated studies of each kind through the same analysis"
    if document["looks"]:
        head += f"; verdicts after {document['looks']} interim looks"
    return head + "\n\n" + table(["rate", "simulated", "Monte Carlo error", "nominal"], rows)
