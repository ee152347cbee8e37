"""The card on seeds and items, from real analyses."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy import special

from maineffect.analyse.exploratory_report import add_exploratory
from maineffect.analyse.record.result import AnalysisResult
from maineffect.analyse.run import analyse
from maineffect.report.cards.precision import precision_card
from maineffect.report.content.blocks import Say, Table
from maineffect.report.content.wording import plain
from maineffect.report.markdown import render_markdown
from maineffect.report.page import render_report
from maineffect.spec.study import StudySpec


@pytest.fixture(scope="module")
def measured() -> AnalysisResult:
    rng = np.random.default_rng(3)
    study = StudySpec.model_validate(
        {
            "schema_version": 1,
            "name": "items",
            "factors": {n: {"name": n, "levels": [0, 1]} for n in ("<b>A</b>", "C")},
            "design": {"kind": "full", "replicates": 3},
            "responses": {"y": {"name": "y"}},
            "analysis": {"terms": "main", "covariates": ["base"]},
        }
    )
    table = pd.DataFrame(list(product([0, 1], repeat=2)) * 3, columns=["<b>A</b>", "C"])
    table = table.assign(
        replicate=np.repeat([1, 2, 3], 4), run_id=[f"r{i}" for i in range(12)], base=rng.normal(size=12)
    )
    hard = rng.normal(size=40)
    items = {
        run: pd.DataFrame(
            {"item": range(40), "score": (rng.random(40) < special.expit(a + 0.3 * rng.normal() + hard)) * 1.0}
        )
        for run, a in zip(table["run_id"], table["<b>A</b>"], strict=True)
    }
    table["y"] = [own["score"].mean() for own in items.values()] + 0.02 * table["base"]
    return add_exploratory(analyse(study, table, draws=99), study, table, items=items)


def _tables(result: AnalysisResult) -> dict[str, Table]:
    return {block.caption: block for block in precision_card(result).blocks if isinstance(block, Table)}


def test_the_card_says_what_the_analysis_found(measured: AnalysisResult) -> None:
    card = precision_card(measured)
    (advice,) = [block for block in card.blocks if isinstance(block, Say)]
    assert measured.item_variances[0].sentence in plain(advice.phrase)
    tables = _tables(measured)
    effects = tables["Main effects on item scores, runs and items crossed"]
    first = measured.item_models[0].effects[0]
    assert first.log_odds is not None
    assert float(str(effects.rows[0][3]).replace("−", "-")) == pytest.approx(first.log_odds, abs=0.006)
    assert len(effects.rows) == 2
    seeds = tables["Does an effect differ between blocks (seeds)?"]
    assert ["boundary" in str(row[4]) for row in seeds.rows] == [one.on_boundary for one in measured.seed_variances]
    use = measured.responses["y"].covariates[0]
    row = tables["Covariates fitted beside the design"].rows[0]
    assert float(str(row[2]).replace("−", "-")) == pytest.approx(use.slope, rel=0.05)


def test_page_and_markdown_hold_it_with_hostile_names(measured: AnalysisResult) -> None:
    page = render_report(measured)
    assert "More seeds or more items?" in page
    assert "could not be made" not in page
    assert "<b>A</b>" not in page.split("<script")[0]
    assert "## More seeds or more items?" in render_markdown(measured)


def test_without_items_or_blocks_it_does_not_apply(measured: AnalysisResult) -> None:
    responses = {n: r.model_copy(update={"covariates": []}) for n, r in measured.responses.items()}
    bare = measured.model_copy(
        update={"item_variances": [], "item_models": [], "seed_variances": [], "responses": responses}
    )
    assert precision_card(bare).not_applicable
