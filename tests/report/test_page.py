"""The page: one file, no network, every figure with a text alternative, the numbers those of the analysis."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm

from maineffect.analyse.record.result import AnalysisResult
from maineffect.report.charts.baselines import baseline_record
from maineffect.report.charts.curves import curves_record
from maineffect.report.charts.forest import forest_record
from maineffect.report.charts.heatmap import heat_record
from maineffect.report.charts.main_effects import main_effect_record
from maineffect.report.charts.noise import half_normal_record
from maineffect.report.charts.pareto import pareto_record
from maineffect.report.charts.profile import grid_rows, profile_record
from maineffect.report.content.blocks import Card, Table
from maineffect.report.content.tabular import csv_text
from maineffect.report.content.wording import level
from maineffect.report.figures import figures_of, write_figures
from maineffect.report.markdown import render_markdown
from maineffect.report.page import CARDS, build_cards, render_report


class Page(HTMLParser):
    """What tests ask of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.tags: set[str] = set()
        self.scripts: list[str] = []
        self.tables = self.captions = self.headers_without_scope = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.add(tag)
        if tag == "script":
            self.scripts.append(given.get("type") or "text/javascript")
        if given.get("id"):
            self.ids.append(str(given["id"]))
        self.links += [str(given[name]) for name in ("href", "src", "xlink:href") if given.get(name)]
        if tag == "svg":
            self.images.append(given)
        self.tables += tag == "table"
        self.captions += tag == "caption"
        self.headers_without_scope += tag == "th" and "scope" not in given


@pytest.fixture(scope="module")
def html(result: AnalysisResult) -> str:
    return render_report(result)


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_nothing_is_loaded_from_anywhere(page: Page, html: str) -> None:
    assert all(link.startswith(("#", "data:")) for link in page.links)
    assert not page.tags & {"link", "iframe", "img", "object", "embed", "base"}
    outside_scripts = re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL)
    addresses = set(re.findall(r"https?://[^\s\"'<)]+", outside_scripts))
    assert addresses <= {"http://www.w3.org/2000/svg"}
    assert "url(http" not in html
    assert "@import" not in html


def test_ids_are_unique_and_anchors_lead_somewhere(page: Page) -> None:
    assert len(page.ids) == len(set(page.ids))
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)


def test_every_figure_has_a_text_alternative_and_every_table_a_caption(page: Page) -> None:
    assert len(page.images) > 12
    assert all(image.get("role") == "img" and len(str(image.get("aria-label"))) > 10 for image in page.images)
    assert page.tables == page.captions > 5
    assert page.headers_without_scope == 0


def test_rebuilding_gives_equal_bytes(result: AnalysisResult, html: str) -> None:
    again = AnalysisResult.model_validate_json(result.model_dump_json())
    assert render_report(again) == html


def test_no_card_failed_and_verdicts_come_first(result: AnalysisResult, html: str) -> None:
    cards = build_cards(result)
    assert [card.card_id for card in cards] == [card_id for card_id, _, _ in CARDS]
    assert [card.error for card in cards] == [""] * len(cards)
    assert cards[0].card_id == "verdicts"
    assert html.index("supported") < html.index("Which factor contributed what?")


def test_a_failing_card_leaves_the_others_alone(result: AnalysisResult, monkeypatch: pytest.MonkeyPatch) -> None:
    from maineffect.report import page as module

    def broken(_: AnalysisResult) -> Card:
        raise ValueError("no such thing")

    cards = tuple((c, q, broken if c == "forest" else make) for c, q, make in CARDS)
    monkeypatch.setattr(module, "CARDS", cards)
    html = render_report(result)
    assert "This card could not be made: ValueError: no such thing" in html
    assert "What does each level give?" in html


def test_records_hold_the_analysis_numbers(result: AnalysisResult) -> None:
    effects = {effect.term: effect for effect in result.responses["skill 0"].effects}
    rows = {row.term: row for row in forest_record(result, "skill 0").rows}
    assert set(rows) == set(effects)
    for term, row in rows.items():
        assert (row.estimate, row.low, row.high) == (
            effects[term].estimate,
            effects[term].ci_low,
            effects[term].ci_high,
        )
    assert rows["conflict"].estimate == pytest.approx(2.0, abs=0.3)
    assert rows["conflict"].finding == "active"
    assert pareto_record(result, "skill 0").bars[0].label == "conflict"
    panel = main_effect_record(result, "skill 0", "conflict")
    means = {mean.label: mean.estimate for mean in panel.means}
    assert means["1"] - means["0"] == pytest.approx(effects["conflict"].estimate)
    assert sorted(dot.value for dot in panel.dots) == sorted(run.responses["skill 0"] for run in result.runs)


def test_hostile_names_are_text_everywhere(hostile: AnalysisResult) -> None:
    html = render_report(hostile)
    page = Page(html)
    assert page.scripts == ["application/json", "text/javascript", "text/javascript"]
    assert "<script>alert" not in html
    script = html.split('<script type="application/json">')[1].split("</script>")[0]
    assert json.loads(script)["responses"][0]["name"] == "skill 0"
    assert "<" not in script
    assert "&lt;script&gt;" in html
    assert len(page.ids) == len(set(page.ids))
    assert not [card.error for card in build_cards(hostile) if card.error]
    assert "<script>" not in render_markdown(hostile)


def test_never_stars_and_never_a_p_value_without_its_effect(html: str, result: AnalysisResult) -> None:
    text = re.sub(r"<[^>]+>", " ", html)
    assert "***" not in text
    assert "p = " not in text.split("What does this study say?")[0]
    markdown = render_markdown(result)
    assert markdown.startswith("# simulated")
    assert "supported" in markdown


def test_the_data_is_inside_the_page(result: AnalysisResult, page: Page) -> None:
    tables = [link for link in page.links if link.startswith("data:text/csv")]
    rows = list(csv.DictReader(io.StringIO(base64.b64decode(tables[-1].split(",", 1)[1]).decode())))
    assert len(rows) == len(result.runs)
    assert {float(row["skill 0"]) for row in rows} == {run.responses["skill 0"] for run in result.runs}


ORDER = [
    "verdicts",
    "plan",
    "forest",
    "dissociation",
    "pareto",
    "main-effects",
    "interactions",
    "attribution",
    "target",
    "profiler",
    "half-normal",
    "aliases",
    "detectable",
    "diagnostics",
    "tuning",
    "provenance",
]


def test_the_fourteen_cards_stand_in_the_readers_order(result: AnalysisResult) -> None:
    cards = {card.card_id: card for card in build_cards(result)}
    assert [card_id for card_id in cards if card_id in ORDER] == ORDER
    assert {"capabilities", "baselines", "curves", "failures", "data"} <= set(cards)
    for card in cards.values():
        assert card.question.endswith("?")
        assert bool(card.how_to_read) != bool(card.not_applicable)
        assert bool(card.blocks) != bool(card.not_applicable)


def test_every_figure_gives_its_numbers_as_csv(result: AnalysisResult, html: str) -> None:
    figures = list(figures_of(result))
    assert len({figure.figure_id for figure in figures}) == len(figures) > 8
    assert all(figure.records for figure in figures)
    assert html.count('.csv" href="data:text/csv') == len(figures) + 1
    effects = next(figure for figure in figures if figure.stem == "effects_skill-0")
    rows = list(csv.DictReader(io.StringIO(csv_text(effects.records))))
    known = {effect.term: effect for effect in result.responses["skill 0"].effects}
    assert {row["term"]: float(row["estimate"]) for row in rows} == {t: e.estimate for t, e in known.items()}


def test_figures_are_written_for_papers(result: AnalysisResult, tmp_path: Path) -> None:
    few = result.model_copy(update={"responses": {"skill 0": result.responses["skill 0"]}, "profiler": None})
    written = write_figures(few, tmp_path / "figures")
    assert len(set(written)) == len(written)
    svgs = [path for path in written if path.suffix == ".svg"]
    pngs = [path for path in written if path.suffix == ".png"]
    assert len(svgs) == len(pngs) == sum(len(figure.panels) for figure in figures_of(few))
    assert all(path.read_text(encoding="utf-8").startswith("<svg") for path in svgs)
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in pngs)
    assert "var(--" not in "".join(path.read_text(encoding="utf-8") for path in svgs)


def test_a_spreadsheet_takes_no_name_for_a_formula() -> None:
    text = csv_text([{"=cmd()": '=HYPERLINK("x")', "y": -1.5}])
    assert list(csv.reader(io.StringIO(text))) == [["'=cmd()", "y"], ['\'=HYPERLINK("x")', "-1.5"]]


def test_heat_map_says_what_the_effects_say(result: AnalysisResult) -> None:
    record = heat_record(result)
    assert len(record.cells) == 4 * 3
    cell = next(c for c in record.cells if (c.response, c.factor) == ("skill 0", "conflict"))
    assert cell.finding == "active"
    assert cell.in_sd == pytest.approx(cell.estimate / result.responses["skill 0"].model.sigma)
    assert cell.text == f"+{cell.estimate:.3f}"


def test_half_normal_only_without_replicates(result: AnalysisResult, simulate: Callable[..., AnalysisResult]) -> None:
    assert half_normal_record(result, "skill 0") is None
    unreplicated = simulate(replicates=1)
    record = half_normal_record(unreplicated, "skill 0")
    assert record is not None
    assert record.slope == unreplicated.responses["skill 0"].lenth.pse
    assert record.points[-1].label == "conflict"
    assert record.points[-1].beyond
    # Φ⁻¹ of the middle of the last of m equal shares of the upper half (Daniel 1959).
    m = len(record.points)
    assert record.points[-1].quantile == pytest.approx(norm.ppf(0.5 + (m - 0.5) / (2 * m)))
    card = next(card for card in build_cards(unreplicated) if card.card_id == "half-normal")
    assert card.blocks


def test_shortcuts_are_set_against_the_runs(result: AnalysisResult) -> None:
    entry = {"name": "always abstain", "response": "skill 0", "value": 11.0, "ci_low": 10.8, "ci_high": 11.2}
    facts = result.facts.model_copy(update={"baselines": [entry]})
    told = result.model_copy(update={"facts": facts})
    record = baseline_record(told, "skill 0")
    assert record is not None
    assert record.beaten_by == (sum(run.responses["skill 0"] > 11.0 for run in result.runs),)
    assert 0 < record.beaten_by[0] < len(result.runs)
    html = render_report(told)
    assert "always abstain" in html
    assert f"{record.beaten_by[0]} of {len(result.runs)}" in html


def test_planned_and_achieved_sensitivity_stand_side_by_side(result: AnalysisResult) -> None:
    design = {
        **result.facts.design,
        "detectable": [{"term": "conflict", "stratum": "runs", "df_error": 8, "mde_sigma": 1.25}],
    }
    told = result.model_copy(update={"facts": result.facts.model_copy(update={"design": design})})
    card = next(card for card in build_cards(told) if card.card_id == "detectable")
    table = next(b for b in card.blocks if isinstance(b, Table))
    row = dict(zip(table.columns, table.rows[0], strict=True))
    analysed = result.responses["skill 0"]
    assert float(row["planned"].split("\u202f")[0]) == pytest.approx(1.25 * analysed.model.sigma, abs=0.001)
    assert float(row["achieved"].split("\u202f")[0]) == pytest.approx(analysed.smallest_detectable, abs=0.001)


def test_bands_hold_the_middle_of_the_runs(result: AnalysisResult) -> None:
    record = curves_record(result, "reward", "conflict")
    for line in record.means:
        own = [
            curve.values[1]
            for curve, run in zip(result.curves, sorted(result.runs, key=lambda r: r.run_id), strict=True)
            if level(next(r for r in result.runs if r.run_id == curve.run_id).levels["conflict"]) == line.name
        ]
        assert line.low[1] == pytest.approx(np.quantile(own, 0.1))
        assert line.high[1] == pytest.approx(np.quantile(own, 0.9))
        assert line.values[1] == pytest.approx(np.mean(own))


def test_profiler_shows_the_predictions_of_the_analysis(result: AnalysisResult) -> None:
    record = profile_record(result)
    assert record is not None
    rows = grid_rows(record, record.responses[0])
    trace = result.profiler.responses[record.responses[0].name]
    assert [row["e"] for row in rows] == trace.estimate
    assert [row["h"] - row["e"] for row in rows] == pytest.approx(trace.half_width)
    best = record.responses[0].best()
    assert trace.estimate[best] == max(trace.estimate)
    without = result.model_copy(update={"profiler": None})
    html = render_report(without)
    assert "vegaEmbed=" not in html
    assert "every combination is predicted alike" in html


@pytest.mark.parametrize("replicated", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_every_specification_is_valid_vega_lite(
    result: AnalysisResult, simulate: Callable[..., AnalysisResult], replicated: bool
) -> None:
    import altair as alt

    facts = result.facts.model_copy(update={"baselines": [{"name": "guess", "response": "skill 0", "value": 11.0}]})
    for figure in figures_of(result.model_copy(update={"facts": facts}) if replicated else simulate(replicates=1)):
        for panel in figure.panels:
            again = alt.Chart.from_dict(panel.spec, validate=True).to_dict(validate=True)
            assert again["layer"]
            assert "rows-" not in json.dumps(panel.spec)


def test_throughput_of_runs_is_beside_what_they_cost(result) -> None:
    """Least, median and most of what runs measured; without a known peak no utilisation is claimed."""
    from maineffect.report.cards.checks import failures_card

    assert not [
        block for block in failures_card(result).blocks if getattr(block, "caption", "") == "Throughput of runs"
    ]
    runs = [
        run.model_copy(update={"measures": {"tokens_per_second.train": 100.0 * (i + 1), "time_share.train": 0.25}})
        for i, run in enumerate(result.runs[:3])
    ]
    card = failures_card(result.model_copy(update={"runs": [*runs, *result.runs[3:]]}))
    (table,) = [block for block in card.blocks if getattr(block, "caption", "") == "Throughput of runs"]
    assert table.rows == (("tokens/s, train", "100", "200", "300"), ("time in train, %", "25.0", "25.0", "25.0"))


def test_interim_looks_are_shown_with_their_levels(result: AnalysisResult) -> None:
    from maineffect.analyse.record.further_records import Look
    from maineffect.report.cards.verdicts import plan_card

    common = {"hypothesis": "H1", "looks": 4, "spending": "pocock", "registered": True, "alpha": 0.05}
    look = Look(
        look=2, decision="efficacy", level=0.0183, p_value=0.004, estimate=2.0, ci_low=1.0, ci_high=3.0, **common
    )
    facts = result.facts.model_copy(update={"stopped": "stopped early, as registered: interim look 2 of 4"})
    runs = [
        *result.runs[:-3],
        *(r.model_copy(update={"status": "not needed (interim look 2 of 4)"}) for r in result.runs[-3:]),
    ]
    card = plan_card(result.model_copy(update={"looks": [look], "facts": facts, "runs": runs}))
    (table,) = [block for block in card.blocks if getattr(block, "caption", "").startswith("Interim looks")]
    assert table.rows[0][:3] == ("2 of 4", "H1", "efficacy")
    assert "0.0183" in table.rows[0]
    (tiles,) = [block for block in card.blocks if hasattr(block, "items") and "runs planned" in str(block)]
    assert ("3", "not needed", "") in tiles.items
    assert ("0", "failed", "") in tiles.items
    assert "Stopped early, as registered" in str(card.blocks)
