"""The card on optima and its contours, from real analyses."""

from __future__ import annotations

import math

import altair as alt
import numpy as np
import pandas as pd
import pytest

from maineffect.analyse.exploratory_report import add_exploratory
from maineffect.analyse.record.further_records import Contour
from maineffect.analyse.record.result import AnalysisResult
from maineffect.analyse.run import analyse
from maineffect.design.build import build_design
from maineffect.design.emit import design_rows
from maineffect.report.cards.optimum import optimum_card
from maineffect.report.charts.contours import contour_record, contour_spec, traced
from maineffect.report.content.blocks import Card, Figure, Say, Section, Table
from maineffect.report.content.wording import plain
from maineffect.report.markdown import render_markdown
from maineffect.report.page import render_report
from maineffect.spec.study import StudySpec

NAMES = ("<b>a</b>", "b", "c")
TOP = (0.3, -0.2, 0.1)


def analysed(curvature: float, noise: float, top: tuple[float, ...] = TOP, cubic: float = 0.0) -> AnalysisResult:
    """A planted maximum of height 5."""
    study = StudySpec.model_validate(
        {
            "schema_version": 1,
            "name": "surface",
            "factors": {n: {"name": n, "levels": [-1.0, 0.0, 1.0]} for n in NAMES},
            "design": {"kind": "box_behnken", "replicates": 2},
            "responses": {"y": {"name": "y", "unit": "share"}},
            "analysis": {"terms": "second_order"},
        }
    )
    design = build_design(study)
    table = pd.DataFrame(design_rows(design))
    rng = np.random.default_rng(7)
    away = sum((table[n] - t) ** 2 for n, t in zip(NAMES, top, strict=True))
    table["y"] = 5 - curvature * away + noise * rng.normal(size=len(table))
    table["y"] += cubic * table["b"] * table["c"] ** 2
    return add_exploratory(analyse(study, table, design=design, draws=19), study, table, design=design)


@pytest.fixture(scope="module")
def clear() -> AnalysisResult:
    return analysed(2.0, 0.05)


def _section(card: Card) -> Section:
    (section,) = card.blocks
    assert isinstance(section, Section)
    return section


def _said(result: AnalysisResult) -> str:
    return " ".join(plain(b.phrase) for b in _section(optimum_card(result)).blocks if isinstance(b, Say))


def test_the_card_says_where_the_planted_maximum_is(clear: AnalysisResult) -> None:
    said = _said(clear)
    assert "Best within the runs: <b>a</b> = 0.3" in said
    assert "a maximum within the runs" in said
    assert "rule out any other nature" in said
    points = next(b for b in _section(optimum_card(clear)).blocks if isinstance(b, Table))
    for row, top in zip(points.rows, TOP, strict=True):
        assert float(str(row[3]).replace("−", "-")) == pytest.approx(top, abs=0.05)
        low, high = (float(end.replace("−", "-")) for end in str(row[4]).split(" to "))
        assert low < top < high


def test_what_the_runs_do_not_know_is_said() -> None:
    noise = analysed(0.05, 1.0)
    assert "do not establish it" in _said(noise)
    points = next(b for b in _section(optimum_card(noise)).blocks if isinstance(b, Table))
    assert {row[4] for row in points.rows} == {"not bounded"}
    outside = _said(analysed(0.5, 0.05, top=(3.0, 0.0, 0.0)))
    assert "lies on the edge" in outside
    assert "outside the runs" in outside
    assert "not of second order" in _said(analysed(2.0, 0.05, cubic=2.0))


def test_contours_pass_through_points_of_their_height(clear: AnalysisResult) -> None:
    (optimum,) = clear.optima
    assert [(c.across, c.up) for c in optimum.contours] == [NAMES[:2], (NAMES[0], "c"), ("b", "c")]
    record = contour_record(clear, optimum, optimum.contours[0])
    assert len(record.lines) >= 4
    for line in record.lines:
        for x, y in line.points:
            planted = 5 - 2 * ((x - TOP[0]) ** 2 + (y - TOP[1]) ** 2)
            assert planted == pytest.approx(line.height, abs=0.2)
            assert math.hypot(x, y) <= 2**0.5
    assert record.runs == tuple(sorted({(float(a), float(b)) for a in (-1, 0, 1) for b in (-1, 0, 1)}))
    assert alt.Chart.from_dict(contour_spec(record), validate=True).to_dict(validate=True)


def test_a_circle_is_traced_as_one_closed_line() -> None:
    axis = np.linspace(-1, 1, 33).tolist()
    values = [x * x + y * y for x in axis for y in axis]
    contour = Contour(across="x", up="y", x=axis, y=axis, height=values)
    (line,) = traced(contour, values, 0.36)
    assert line.points[0] == line.points[-1]
    assert np.hypot(*np.array(line.points).T) == pytest.approx(0.6, abs=0.005)
    length = np.linalg.norm(np.diff(line.points, axis=0), axis=1).sum()
    assert length == pytest.approx(2 * math.pi * 0.6, rel=0.01)
    # A quarter of the plane without values leaves three quarters of the line, open.
    some = [
        None if x > 0 and y > 0 else v for v, (x, y) in zip(values, [(x, y) for x in axis for y in axis], strict=True)
    ]
    (open_line,) = traced(contour, some, 0.36)
    assert open_line.points[0] != open_line.points[-1]
    part = np.linalg.norm(np.diff(open_line.points, axis=0), axis=1).sum()
    assert part == pytest.approx(0.75 * 2 * math.pi * 0.6, rel=0.05)
    assert traced(contour, values, 9.0) == []


def test_page_markdown_and_figure_data_hold_it(clear: AnalysisResult) -> None:
    page = render_report(clear)
    assert "Where is the optimum?" in page
    assert "could not be made" not in page
    assert "<b>a</b>" not in page.split("<script")[0]
    assert "## Where is the optimum?" in render_markdown(clear)
    figure = next(b for b in _section(optimum_card(clear)).blocks if isinstance(b, Figure))
    assert len(figure.panels) == 3
    heights = [row["prediction"] for row in figure.records]
    assert max(heights) == pytest.approx(5, abs=0.1)


def test_without_quadratics_it_does_not_apply(clear: AnalysisResult) -> None:
    card = optimum_card(clear.model_copy(update={"optima": []}))
    assert "second_order" in card.not_applicable
