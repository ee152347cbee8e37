"""Learning curves, residuals, and what failed: can the numbers be trusted?"""

from __future__ import annotations

from collections import defaultdict
from statistics import mean, median, stdev

from maineffect.analyse.inference.where_failed import where_failed
from maineffect.analyse.record.result import AnalysisResult
from maineffect.report.cards.effects import panel_id
from maineffect.report.charts.curves import curves_record, curves_spec
from maineffect.report.charts.noise import residuals_record, residuals_spec
from maineffect.report.content.blocks import Block, Card, Cell, Figure, Panel, Say, Table
from maineffect.report.content.lookup import by_strength, factor_levels, ordered_responses
from maineffect.report.content.wording import code, decimals, name, number, say, seconds, signed

__all__ = ["curves_card", "diagnostics_card", "failures_card"]

# The collapse detector reads reward, abstained, entropy and positive_logp.
_PREFERRED = ("reward", "abstained", "entropy", "positive_logp", "kl", "grad_norm", "searches")
_FAR_RUNS = 8


def curves_card(result: AnalysisResult) -> Card:
    """How the runs learned."""
    question = "How did the runs learn?"
    metrics = [metric for metric in _PREFERRED if any(curve.metric == metric for curve in result.curves)]
    metrics = metrics or sorted({curve.metric for curve in result.curves})[:6]
    if not metrics:
        return Card("curves", "Curves", question, not_applicable="The table came without training curves.")
    factor = _strongest_factor(result)
    records = [record for metric in metrics if (record := curves_record(result, metric, factor)).means]
    panels = tuple(
        Panel(
            panel_id("curve", record.metric),
            curves_spec(record),
            f"{record.metric} over training steps by level of {factor}: "
            + "; ".join(f"{m.name}: from {number(m.values[0])} to {number(m.values[-1])}" for m in record.means),
            310,
        )
        for record in records
    )
    rows = tuple(
        {"metric": r.metric, factor: m.name, "step": step, "mean": value, "low": low, "high": high}
        for r in records
        for m in r.means
        for step, value, low, high in zip(m.steps, m.values, m.low, m.high, strict=True)
    )
    caption = say("Split by ", name(factor), ", the factor with the strongest effect. Grey lines are single runs.")
    return Card(
        "curves",
        "Curves",
        question,
        "Thick lines are means over runs at a level, bands hold the middle 80 % of them; a curve that falls back warns "
        "of collapse.",
        (Figure("f-curves", caption, panels, stem="curves", records=rows),),
    )


def _strongest_factor(result: AnalysisResult) -> str:
    first = [h.term for h in result.hypotheses if ":" not in h.term]
    if first:
        return first[0]
    mains = [e for r in result.responses.values() for e in by_strength(r.effects) if e.kind == "main"]
    return mains[0].term if mains else next(iter(factor_levels(result)))


def diagnostics_card(result: AnalysisResult) -> Card:
    """Are the model's assumptions bearable?"""
    question = "Do the residuals look like noise?"
    records = [r for response in ordered_responses(result) if (r := residuals_record(result, response)) is not None]
    if not records:
        why = "No model left residuals: every run is fitted exactly."
        return Card("diagnostics", "Diagnostics", question, not_applicable=why)
    panels = tuple(
        Panel(
            panel_id("residuals", r.response),
            residuals_spec(r),
            f"Residuals of {r.response}; the largest, {number(r.largest)}, is of run {r.worst}",
            210,
        )
        for r in records
    )
    rows = tuple(
        {"response": r.response, "fitted": fitted, "residual": residual}
        for r in records
        for fitted, residual in r.points
    )
    figure = Figure(
        "f-residuals", say("Residual against fitted value, one dot per run."), panels, stem="residuals", records=rows
    )
    blocks: list[Block] = [figure]
    blocks += [table for table in (_far_runs(result), _by_block(result), _seed_spread(result)) if table is not None]
    return Card(
        "diagnostics",
        "Diagnostics",
        question,
        "A funnel or a bend means that intervals are not to be trusted; a lone dot is a run to look at.",
        tuple(blocks),
    )


def _far_runs(result: AnalysisResult) -> Table | None:
    run_by_id = {run.run_id: run for run in result.runs}
    far = [
        (abs(row["standardised"]), response, row)
        for response in ordered_responses(result)
        for row in result.responses[response].residuals
        if row.get("standardised") is not None
    ]
    far.sort(key=lambda entry: (-entry[0], entry[1], str(entry[2]["run_id"])))
    rows: list[tuple[Cell, ...]] = []
    for _, response, row in far[:_FAR_RUNS]:
        run = run_by_id.get(str(row["run_id"]))
        rows.append(
            (
                (code(row["run_id"]),),
                (name(response),),
                signed(row["residual"], decimals(None, row["residual"])),
                signed(row["standardised"], 1),
                str(run.block) if run is not None and run.block is not None else "",
            )
        )
    if not rows:
        return None
    columns = ("run", "response", "residual", "in standard errors", "block")
    return Table("Runs farthest from the fit", columns, tuple(rows), frozenset({2, 3}))


def _by_block(result: AnalysisResult) -> Table | None:
    block_of = {run.run_id: run.block for run in result.runs if run.block is not None}
    blocks = sorted(set(block_of.values()), key=str)
    if len(blocks) < 2:
        return None
    rows: list[tuple[Cell, ...]] = []
    for response in ordered_responses(result):
        at: dict[object, list[float]] = defaultdict(list)
        for run in result.runs:
            value = run.responses.get(response)
            if value is not None and run.block is not None:
                at[run.block].append(value)
        means = [mean(at[block]) if at[block] else None for block in blocks]
        places = decimals(None, max((abs(m) for m in means if m is not None), default=None))
        rows.append(((name(response),), *(number(m, places) for m in means)))
    columns = ("response", *(f"block {block}" for block in blocks))
    return Table("Mean of each block", columns, tuple(rows), frozenset(range(1, len(columns))), folded=True)


def _seed_spread(result: AnalysisResult) -> Table | None:
    rows: list[tuple[Cell, ...]] = []
    for response in ordered_responses(result):
        by_cell: dict[str, list[float]] = defaultdict(list)
        for run in result.runs:
            value = run.responses.get(response)
            if value is not None:
                by_cell[run.cell_id].append(value)
        spreads = {cell: stdev(values) for cell, values in by_cell.items() if len(values) > 1}
        if spreads:
            places = decimals(None, max(spreads.values()))
            widest = max(spreads, key=lambda cell: spreads[cell])
            summary = [min(spreads.values()), median(spreads.values()), max(spreads.values())]
            rows.append(((name(response),), *(number(v, places) for v in summary), (code(widest),)))
    if not rows:
        return None
    columns = ("response", "least", "median", "most", "widest cell")
    return Table(
        "Standard deviation between seeds of one cell", columns, tuple(rows), frozenset({1, 2, 3}), folded=True
    )


# Measure → row and decimals of the throughput table; a share is a percentage of the run's time or of the device's peak.
_RATES = (("tokens_per_second.rollout", "tokens/s, rollout", 0), ("tokens_per_second.train", "tokens/s, train", 0))
_USED = (("mfu.rollout", "model-FLOPs utilisation, rollout, %"), ("mfu.train", "model-FLOPs utilisation, train, %"))
_MEMORY = (("memory_gib", "memory at most, GiB", 2), ("gpu_memory_gib", "GPU memory at most, GiB", 2))


def _throughput(result: AnalysisResult) -> Table | None:
    """How fast runs were and where their time went, of those that measured it."""
    values: dict[str, list[float]] = defaultdict(list)
    for run in result.runs:
        for key, value in run.measures.items():
            if value is not None:
                values[key].append(value)
    shares = sorted((key for key in values if key.startswith("time_share.")), key=lambda key: -median(values[key]))
    shown_measures = [(key, label, places, 1.0) for key, label, places in (*_RATES, *_MEMORY)]
    shown_measures += [(key, label, 1, 100.0) for key, label in _USED]
    shown_measures += [(key, f"time in {key.partition('.')[2].replace('_', ' ')}, %", 1, 100.0) for key in shares]
    rows = [
        (label, *(number(scale * v, places) for v in (min(values[key]), median(values[key]), max(values[key]))))
        for key, label, places, scale in shown_measures
        if key in values
    ]
    if not shares:
        return None
    columns = ("throughput", "least", "median", "most")
    return Table("Throughput of runs", columns, tuple(rows), frozenset({1, 2, 3}), folded=True)


def failures_card(result: AnalysisResult) -> Card:
    """What failed, and what it cost."""
    cost = result.facts.cost
    failed = [run for run in result.runs if run.failure]
    blocks: list[Block] = []
    timed = [run.seconds for run in result.runs if run.seconds is not None]
    if timed:
        hours = cost.get("gpu_hours", 0.0)
        each = seconds(sum(timed) / len(timed))
        text = f"Runs took {seconds(sum(timed))} in all, {each} each; GPU-hours {number(hours, 2)}"
        blocks.append(Say(say(text + (f", price {number(cost['price'], 2)}." if cost.get("price") else "."))))
    throughput = _throughput(result)
    if throughput is not None:
        blocks.append(throughput)
    if failed:
        rows = tuple((run.run_id, run.failure or "", str(run.attempts), run.message or "") for run in failed)
        ended = [(run.levels, bool(run.failure)) for run in result.runs if run.failure or run.status == "finished"]
        if (place := where_failed(ended)) is not None:
            blocks.append(Say(say(f"{place.sentence}."), "warn"))
        blocks.append(
            Table("Failed runs", ("run", "class", "attempts", "first line of the error"), rows, frozenset({2}))
        )
        sweep = result.facts.sweep_id
        if sweep:
            blocks.append(Say(say("Run them again with ", code(f"maineffect resubmit {sweep}"))))
    elif result.runs:
        blocks.append(Say(say("No run failed."), "good"))
    if not blocks:
        return Card(
            "failures", "Failures, cost", "What failed, and what did it cost?", not_applicable="No runs are known."
        )
    return Card(
        "failures",
        "Failures, cost",
        "What failed, and what did it cost?",
        "Failures are outcomes: they may depend on a factor.",
        tuple(blocks),
    )
