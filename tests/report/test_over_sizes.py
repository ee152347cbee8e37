"""The card on effects against size: what is run, what is extrapolated, and what must not be believed."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import pytest

from maineffect.analyse.record.result import AnalysisResult
from maineffect.analyse.run import analyse
from maineffect.report.cards.over_sizes import over_sizes_card
from maineffect.report.charts.over_sizes import over_sizes_spec
from maineffect.report.content.blocks import Card, Figure, Say, Section, Table
from maineffect.report.content.wording import plain
from maineffect.report.figures import figures_of
from maineffect.report.markdown import render_markdown
from maineffect.report.page import GROUPS, render_report
from maineffect.spec.study import StudySpec

NAME = "<b>noise</b>"


def analysed(widths: tuple[int, ...] = (16, 32, 64), bend: float = 0.0, **response: Any) -> AnalysisResult:
    """The effect is 1 at width 16 and grows by .5 a doubling."""
    study = StudySpec.model_validate(
        {
            "schema_version": 1,
            "name": "scaled",
            "factors": {NAME: {"name": NAME, "levels": [0, 1]}, "width": {"name": "width", "levels": list(widths)}},
            "design": {"kind": "full", "replicates": 3},
            "responses": {"y": {"name": "y", "unit": "share", "smallest_effect": 0.2, **response}},
            "hypotheses": [{"id": "H1", "term": f"{NAME}:width", "response": "y"}],
            "scaling": {"covariates": {"width": {"extrapolate": [8, 128]}}},
        }
    )
    rng = np.random.default_rng(3)
    rows = []
    for _, noise, width in product(range(3), (0, 1), widths):
        x = np.log2(width / 16)
        rows.append({NAME: noise, "width": width, "y": 3 + noise * (1 + 0.5 * x + bend * x**2) + rng.normal(0, 0.1)})
    return analyse(study, pd.DataFrame(rows), draws=19)


def blocks(card: Card) -> list[Any]:
    return [block for part in card.blocks for block in (part.blocks if isinstance(part, Section) else [part])]


def table(card: Card, caption: str) -> Table:
    return next(block for block in blocks(card) if isinstance(block, Table) and block.caption.startswith(caption))


def said(card: Card) -> str:
    return "\n".join(plain(block.phrase) for block in blocks(card) if isinstance(block, Say))


def test_what_is_extrapolated_is_called_so_and_no_verdict() -> None:
    result = analysed()
    card = over_sizes_card(result)
    points = table(card, "Effects on y at each size")
    assert [row[3] for row in points.rows] == ["run"] * 3 + ["extrapolation"] * 2
    assert [row[2] for row in points.rows] == [f"width = {size}" for size in (16, 32, 64, 8, 128)]
    (effect,) = result.over_sizes
    assert str(points.rows[4][4]).startswith(f"+{effect.beyond[1].estimate:.2f}")
    assert "Extrapolations are no verdicts" in said(card)
    assert "one at a time (95%)" in said(card)
    assert "Benjamini and Hochberg" in said(card)
    trend = table(card, "Trends").rows[0]
    assert "per doubling of width" in trend[2]
    assert trend[7] == "H1"
    assert str(trend[6]).startswith("F(1, 12) = ")
    assert "no straight line" not in said(card)


def test_the_figure_has_the_numbers_of_the_analysis_and_shades_what_was_not_run() -> None:
    result = analysed()
    (effect,) = result.over_sizes
    (figure,) = [figure for figure in figures_of(result) if figure.stem.startswith("sizes")]
    assert isinstance(figure, Figure)
    extrapolated = [row for row in figure.records if row["kind"] == "extrapolated"]
    assert [(row["width"], row["effect"]) for row in extrapolated] == [(p.size, p.estimate) for p in effect.beyond]
    assert all(row["extrapolated"] == (not 16 <= float(str(row["width"])) <= 64) for row in figure.records)
    spec = figure.panels[0].spec
    alt.LayerChart.from_dict({**spec, "$schema": "https://vega.github.io/schema/vega-lite/v5.json"})
    shaded, *_ = [layer["data"]["values"] for layer in spec["layer"] if layer["mark"]["type"] == "rect"]  # type: ignore[index, attr-defined]
    assert shaded == [{"from": 8, "to": 16}, {"from": 64, "to": 128}]
    assert "extrapolated to 128" in figure.panels[0].label


@pytest.mark.parametrize("where", [render_report, render_markdown])
def test_the_page_has_the_card(where: Callable[[AnalysisResult], str]) -> None:
    assert "sizes" in {title: ids for _, title, ids in GROUPS}["Evidence"]
    text = where(analysed())
    assert "Does the effect hold at other sizes?" in text
    assert NAME not in text, "names are no markup"


def test_a_line_that_the_runs_refuse_is_not_to_be_believed() -> None:
    text = said(over_sizes_card(analysed(bend=0.9)))
    assert "Not a line: " in text
    assert "is no straight line on the log2 scale (p < 0.001)" in text
    assert "Do not believe what it says beyond the sizes" in text


def test_two_sizes_and_far_ones_are_said() -> None:
    text = said(over_sizes_card(analysed(widths=(32, 64))))
    assert "Line not tested: " in text
    assert "Far away: " in text
    assert "8 is farther from the sizes that were run" in text


def test_ratios_on_a_log_scale() -> None:
    card = over_sizes_card(analysed(scale="log"))
    points = table(card, "Effects on y")
    assert points.columns[-1] == "as ratio"
    assert str(points.rows[0][-1]).startswith("ratio 1.3")


def test_without_scaling_the_card_says_why(result: AnalysisResult) -> None:
    assert "no covariate that is a size" in over_sizes_card(result).not_applicable


def test_without_a_line_there_is_a_reason_in_its_place() -> None:
    result = analysed()
    gone = result.over_sizes[0].model_copy(update={"slope": None, "reason": "cells without runs leave no effect at 64"})
    card = over_sizes_card(result.model_copy(update={"over_sizes": [gone]}))
    assert "could not be read: cells without runs leave no effect at 64" in said(card)


def test_a_linear_scale_is_drawn_as_one() -> None:
    (effect,) = analysed().over_sizes
    spec = over_sizes_spec(effect.model_copy(update={"scale": "linear"}), "share")
    assert "'type': 'linear'" in str(spec)
    assert "'type': 'log'" not in str(spec)
    assert "'type': 'log'" in str(over_sizes_spec(effect, "share"))
