"""The page: one file, no network, every figure with a text alternative, the numbers those of the analysis."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from maineffect.analyse.result import AnalysisResult
from maineffect.report.blocks import Card
from maineffect.report.charts.forest import forest_record
from maineffect.report.charts.main_effects import main_effect_record
from maineffect.report.charts.pareto import pareto_record
from maineffect.report.markdown import render_markdown
from maineffect.report.page import CARDS, build_cards, render_report


class Page(HTMLParser):
    """What tests ask of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.tags: list[str] = []
        self.tables = self.captions = self.headers_without_scope = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
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
    assert "script" not in page.tags
    addresses = set(re.findall(r"https?://[^\s\"'<)]+", html))
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
    assert "script" not in page.tags
    assert "<script>alert" not in html
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
    import base64
    import csv
    import io

    link = next(link for link in page.links if link.startswith("data:text/csv"))
    rows = list(csv.DictReader(io.StringIO(base64.b64decode(link.split(",", 1)[1]).decode())))
    assert len(rows) == len(result.runs)
    assert {float(row["skill 0"]) for row in rows} == {run.responses["skill 0"] for run in result.runs}
