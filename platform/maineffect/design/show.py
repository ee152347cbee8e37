"""A design as text: what a person wants to see before paying for the runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from maineffect.design.model.model import Design

__all__ = ["design_text"]

_MOST_BIASES = 12
_MOST_LENGTHS = 4


def design_text(design: Design, detectable: Sequence[Mapping[str, Any]] = ()) -> str:
    """Size, promises, alternatives, smallest detectable effects, run order, aliases.

    Args:
        detectable: Rows with ``term``, ``df``, ``df_error`` and ``mde_sigma``, as
            :mod:`maineffect.design.power.analytic` makes.
    """
    sections = [list(_head(design)), _alternatives(design), _detectable(detectable), _order(design), _aliases(design)]
    return "\n\n".join("\n".join(lines) for lines in sections if lines)


def _head(design: Design) -> Iterator[str]:
    yield f"{design.study}: {design.kind}, {len(design.cells)} cells, {len(design.runs)} runs"
    if design.resolution is not None:
        pattern = list((design.word_length_pattern or {}).items())
        words = ", ".join(f"{count} of length {length}" for length, count in pattern[:_MOST_LENGTHS])
        words += ", and longer ones" if len(pattern) > _MOST_LENGTHS else ""
        yield f"resolution {design.resolution}; words: {words}; {'; '.join(design.generators or ())}".rstrip("; ")
    bound = "" if design.d_bound is None else f" (no design of this size exceeds {design.d_bound:.2f})"
    yield f"D-efficiency {design.d_efficiency:.2f}{bound} for {len(design.terms)} terms"
    if design.average_variance is not None:
        least = design.average_variance_bound
        beside = "" if least is None else f" (no design of this size goes below {least:.4f})"
        yield f"average prediction variance {design.average_variance:.4f} σ²{beside}"
    if design.hard_to_change:
        plots = len({run.whole_plot for run in design.runs})
        yield (
            f"{plots} whole plots, within which {', '.join(design.hard_to_change)} stay constant; "
            f"variance ratio {design.variance_ratio:g}"
        )
    if design.cost is not None:
        yield f"cost {design.cost.gpu_hours:g} GPU-hours" + (
            f"; information per GPU-hour {design.cost.information_per_gpu_hour:.4f}"
            if design.cost.information_per_gpu_hour is not None
            else ""
        )
    yield from (f"note: {note}" for note in design.notes)


def _alternatives(design: Design) -> list[str]:
    if not design.alternatives:
        return []
    rows = [["alternative", "runs", "GPU-hours", "resolution", "smallest detectable", "why"]]
    for alternative in design.alternatives:
        mde = "–" if alternative.mde is None else f"{alternative.mde:.3g}"
        resolution = "–" if alternative.resolution is None else str(alternative.resolution)
        rows.append(
            [
                alternative.label,
                str(alternative.runs or "–"),
                f"{alternative.gpu_hours:g}" if alternative.runs else "–",
                resolution,
                mde,
                alternative.why,
            ]
        )
    return ["what the budget could buy, best first", *_aligned(rows)]


def _detectable(detectable: Sequence[Mapping[str, Any]]) -> list[str]:
    if not detectable:
        return []
    rows = [["term", "df", "error df", "smallest detectable effect (run standard deviations)"]]
    for row in detectable:
        mde = row["mde_sigma"]
        testable = mde is not None and mde == mde
        rows.append(
            [row["term"], str(row["df"]), _number(row["df_error"]), f"{mde:.3f}" if testable else str(row["reason"])]
        )
    return ["found with power 80 %", *_aligned(rows)]


def _number(value: float | None) -> str:
    return "–" if value is None or value != value else f"{value:g}" if value == int(value) else f"{value:.1f}"


def _order(design: Design) -> list[str]:
    names = [factor.name for factor in design.factors]
    blocks = any(run.block is not None for run in design.runs)
    plots = any(run.whole_plot is not None for run in design.runs)
    rows = [["order", "run", *(["block"] if blocks else []), *(["whole plot"] if plots else []), *names]]
    for run in design.runs:
        strata = ([str(run.block)] if blocks else []) + ([str(run.whole_plot)] if plots else [])
        rows.append([str(run.order), run.run_id, *strata, *(str(design.levels_of(run)[name]) for name in names)])
    return ["run order", *_aligned(rows)]


def _aliases(design: Design) -> list[str]:
    lines = ["no two terms up to two-factor interactions share a column space"]
    if design.aliases:
        lines = ["cannot be told apart (up to two-factor interactions):"]
        lines += [f"  {' = '.join(chain)}" for chain in design.aliases]
    chained = {frozenset((a, b)) for chain in design.aliases for a in chain for b in chain}
    biases = sorted(
        (
            (abs(size), term, other, size)
            for term, row in design.alias_matrix.items()
            for other, size in row.items()
            if frozenset((term, other)) not in chained
        ),
        key=lambda bias: (-bias[0], bias[1], bias[2]),
    )
    if biases:
        lines.append("partly mixed: a left-out interaction adds this share of its coefficient to an estimate")
        lines += [f"  {term} ← {size:+.3f} × {other}" for _, term, other, size in biases[:_MOST_BIASES]]
        if len(biases) > _MOST_BIASES:
            lines.append(f"  and {len(biases) - _MOST_BIASES} smaller or equal ones (`design --json`: alias_matrix)")
    return lines


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
