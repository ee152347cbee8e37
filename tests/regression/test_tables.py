"""A table is confronted with its plan: formats, identity, strata, copies, limits."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from maineffect.analyse.record.result import AnalysisResult, HypothesisResult
from maineffect.cli.render import analysis_text
from maineffect.errors import AnalysisError
from maineffect.journey.read.analyse import analyse_table
from maineffect.report.markdown import render_markdown
from maineffect.report.page import render_report
from maineffect.spec.yaml_lines import read_yaml

Analysed = Callable[[str], AnalysisResult]
Judged = Callable[[str, str], HypothesisResult]
Case = Callable[[str], Path]
SIX_MEANS = 0.704392250945049
"""p of the two-sample t test of the six trainings' means, by SciPy."""


def _row(result: AnalysisResult, response: str, term: str) -> tuple[float, float, float]:
    row = next(row for row in result.responses[response].anova if row.term == term)
    assert row.F is not None
    assert row.df_error is not None
    assert row.p_value is not None
    return row.F, row.df_error, row.p_value


def _again(
    case: Case, name: str, folder: Path, change: Callable[[pd.DataFrame], pd.DataFrame], **study: object
) -> AnalysisResult:
    """A case with another table, read as text and written as text."""
    table = pd.read_csv(case(name).with_suffix(".csv"), dtype=str, keep_default_na=False)
    change(table).to_csv(folder / "runs.csv", index=False)
    (folder / "study.yaml").write_text(json.dumps({**read_yaml(case(name)).value, **study}))
    return analyse_table(folder / "study.yaml", folder / "runs.csv")


# ---------------------------------------------------------------- formats


@pytest.mark.parametrize("name", ["fmt_semicolon_comma", "fmt_trailing"])
def test_a_table_is_the_same_in_every_spelling(name: str, judged: Judged) -> None:
    plain, other = judged("fmt_plain", "H1"), judged(name, "H1")
    assert (other.estimate, other.p_value) == (plain.estimate, plain.p_value)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_encodings_and_separators(case: Case, judged: Judged, tmp_path: Path, encoding: str, separator: str) -> None:
    table = pd.read_csv(case("fmt_plain").with_suffix(".csv"), dtype=str).assign(note="größer")
    table.to_csv(tmp_path / "runs.csv", index=False, sep=separator, encoding=encoding)
    result = analyse_table(case("fmt_plain"), tmp_path / "runs.csv")
    assert result.hypotheses[0].p_value == judged("fmt_plain", "H1").p_value


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "sep=;\n" + text.replace(",", ";"),
        lambda text: "# exported, yesterday\n" + text,
        lambda text: text.replace("\n", "\r"),
        lambda text: text.replace("\n", "\r\n\r\n"),
        lambda text: text + ",,,\n,,,\n",
        lambda text: text.replace(",", " , "),
        lambda text: text.replace("0.001", "0.1%").replace("0.01,", "1%,"),
        lambda text: text.replace(",", "\t").replace(".", ","),
        lambda text: "\n".join(f"{line},," for line in text.splitlines()),
    ],
)
def test_what_spreadsheets_write(case: Case, judged: Judged, tmp_path: Path, change: Callable[[str], str]) -> None:
    text = case("fmt_plain").with_suffix(".csv").read_text()
    (tmp_path / "runs.csv").write_bytes(change(text).encode())
    result = analyse_table(case("fmt_plain"), tmp_path / "runs.csv")
    assert result.hypotheses[0].p_value == judged("fmt_plain", "H1").p_value


def test_two_columns_of_one_name_are_refused(case: Case) -> None:
    with pytest.raises(AnalysisError, match="two columns named 'acc': columns 4 and 5"):
        analyse_table(case("fmt_dupcol"), case("fmt_dupcol").with_suffix(".csv"))


def test_decimal_commas_between_commas_are_named(case: Case, tmp_path: Path) -> None:
    text = case("fmt_plain").with_suffix(".csv").read_text()
    lines = text.splitlines()
    (tmp_path / "runs.csv").write_text("\n".join([lines[0], *(line.replace(".", ",") for line in lines[1:])]))
    with pytest.raises(AnalysisError, match=r"runs.csv:2 has 6 fields and the header names 4") as caught:
        analyse_table(case("fmt_plain"), tmp_path / "runs.csv")
    assert "decimal commas" in caught.value.hint


def test_a_number_that_could_be_two_is_refused(case: Case, tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match=r"runs.csv:2: acc is '1,234', which may be 1.234 or 1234"):
        _again(case, "fmt_plain", tmp_path, lambda t: t.assign(acc="1,234"))
    with pytest.raises(AnalysisError, match=r"decimal commas .* and decimal points"):
        _again(case, "fmt_plain", tmp_path, lambda t: t.assign(acc=["0,5", *t["acc"][1:]]))


def test_per_cent_need_a_meaning(case: Case, judged: Judged, tmp_path: Path) -> None:
    def signed(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(acc=[f"{100 * float(value):g}%" for value in table["acc"]])

    with pytest.raises(AnalysisError, match="does not say whether it counts per cent or shares"):
        _again(case, "fmt_plain", tmp_path, signed)
    shares = _again(case, "fmt_plain", tmp_path, signed, responses={"acc": {"limits": [0, 1]}})
    assert shares.hypotheses[0].estimate == pytest.approx(judged("fmt_plain", "H1").estimate)
    cents = _again(case, "fmt_plain", tmp_path, signed, responses={"acc": {"unit": "%"}})
    assert cents.hypotheses[0].estimate == pytest.approx(100 * (judged("fmt_plain", "H1").estimate or 0))


# ---------------------------------------------------------------- identity


def test_episodes_of_six_trainings_are_six_runs(analysed: Analysed, judged: Judged) -> None:
    """t test of the six means in SciPy: t 0.40767 on 4 df, p .704."""
    result, h1 = analysed("pseudo"), judged("pseudo", "H1")
    assert (result.n_runs, h1.df, h1.verdict) == (6, 4, "inconclusive")
    assert h1.p_value == pytest.approx(SIX_MEANS)
    assert any("300 measurements averaged within 6 runs" in warning for warning in result.warnings)


@pytest.mark.parametrize("name", ["run", "seed"])
def test_runs_nested_in_cells_with_labels_of_their_own(case: Case, tmp_path: Path, name: str) -> None:
    def renamed(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(**{name: table["arm"] + table["seed"]}).drop(columns={"seed"} - {name})

    result = _again(case, "pseudo", tmp_path, renamed)
    assert result.hypotheses[0].p_value == pytest.approx(SIX_MEANS)
    assert not any("likely a block" in warning for warning in result.warnings)


def test_one_training_per_arm_is_no_replication(case: Case, tmp_path: Path) -> None:
    result = _again(case, "pseudo", tmp_path, lambda t: t[t["seed"] == "0"])
    assert (result.n_runs, result.n_missing, result.hypotheses[0].p_value) == (2, 4, None)


def test_rows_without_a_run_are_named(case: Case, tmp_path: Path) -> None:
    result = _again(case, "pseudo", tmp_path, lambda t: t.drop(columns="seed"))
    assert any("294 more than planned" in w and "add a column `run` or `seed`" in w for w in result.warnings)


def test_replicates_that_count_measurements_of_one_seed_are_refused(case: Case, tmp_path: Path) -> None:
    numbered = lambda t: t.assign(replicate=[str(i % 50 + 1) for i in range(len(t))])  # noqa: E731
    with pytest.raises(AnalysisError, match="one cell and one seed, and several replicates"):
        _again(case, "pseudo", tmp_path, numbered)


def test_run_ids_or_blocks_make_no_runs_of_measurements(case: Case, tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match="150 rows with own run ids, 3 seeds and 3 planned runs"):
        _again(case, "pseudo", tmp_path, lambda t: t.assign(run_id=[f"e{i}" for i in range(len(t))]))
    with pytest.raises(AnalysisError, match="50 rows in block 0, and the plan 1 in each replicate"):
        _again(case, "pseudo", tmp_path, lambda t: t.rename(columns={"seed": "block"}))
    with pytest.raises(AnalysisError, match="are run_id 'A0': one row is one run"):
        _again(case, "pseudo", tmp_path, lambda t: t.assign(run_id=t["arm"] + t["seed"]).drop(columns="seed"))


def test_columns_of_any_case_have_their_role(case: Case, tmp_path: Path) -> None:
    result = _again(case, "pseudo", tmp_path, lambda t: t.rename(columns={"seed": "Seed"}))
    assert result.hypotheses[0].p_value == pytest.approx(SIX_MEANS)


def test_a_seed_that_crosses_the_cells_is_a_likely_block(analysed: Analysed, judged: Judged) -> None:
    assert any("column seed crosses the cells" in warning for warning in analysed("seed_seedcol").warnings)
    assert judged("seed_seedcol", "H1").p_value == pytest.approx(0.2298, abs=1e-4)
    assert judged("seed_replicate", "H1").p_value == pytest.approx(3.755e-7, rel=1e-3)


def test_labels_are_texts(analysed: Analysed) -> None:
    assert analysed("ids").n_runs == 24
    assert {"1_11", "11_1"} <= {run.run_id for run in analysed("ids").runs}


def test_a_file_four_times_over_is_refused(case: Case, tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match=r"all 8 runs stand in the table 4 times.*csv:10 is .*csv:2 again"):
        analyse_table(case("dup_four_times"), case("dup_four_times").with_suffix(".csv"))
    once = case("fmt_plain").with_suffix(".csv").read_text()
    (tmp_path / "runs.csv").write_text(once + once)
    with pytest.raises(AnalysisError, match=r"runs.csv:14 is the header again"):
        analyse_table(case("fmt_plain"), tmp_path / "runs.csv")
    with pytest.raises(AnalysisError, match=r"8 row\(s\) are copies of others"):
        _again(case, "e2", tmp_path, lambda t: pd.concat([t, t[:8]]))


def test_coarse_values_that_agree_are_no_copies(case: Case, tmp_path: Path) -> None:
    solved = lambda t: t.assign(y=[str(i % 3) for i in range(len(t))])  # noqa: E731
    assert _again(case, "e2", tmp_path, solved).n_runs == 12


def test_a_run_id_with_other_levels_than_planned_is_refused(case: Case, tmp_path: Path) -> None:
    swap = {"small": "large", "large": "small"}
    with pytest.raises(
        AnalysisError, match=r"runs.csv:2: run c0a16c4584a-r1 has base = large, and the plan says small"
    ):
        _again(case, "wp_straight", tmp_path, lambda t: t.assign(base=t["base"].map(swap)))


# ---------------------------------------------------------------- strata


def test_plots_numbered_within_blocks_are_told_apart(analysed: Analysed) -> None:
    """lmerTest 3.1-3 on Yates' oats: variety F 1.48534 on (2, 10), p .272."""
    for name in ("oats_nested_labels", "oats_unique"):
        f, df, p = _row(analysed(name), "yield", "variety")
        assert (f, df, p) == (pytest.approx(1.48534, abs=1e-5), pytest.approx(10), pytest.approx(0.27239, abs=1e-4))


def test_the_randomisation_test_of_whole_plots_is_there(judged: Judged) -> None:
    """All 46,656 arrangements of the plot means within blocks: .287; nitro's columns cancel in them."""
    p = judged("oats_unique", "H1").p_permutation
    assert p is not None
    assert p == pytest.approx(0.287, abs=0.014)


def test_a_label_that_a_spreadsheet_changed_is_restored_by_run_id(analysed: Analysed, judged: Judged) -> None:
    straight, changed = judged("wp_straight", "H1"), judged("wp_pandas_roundtrip", "H1")
    assert straight.p_value == pytest.approx(0.563, abs=5e-4)
    assert changed.p_value == straight.p_value
    assert any("1.10 were taken for numbers" in warning for warning in analysed("wp_pandas_roundtrip").warnings)


@pytest.mark.parametrize("also", [[], ["seed", "cell_id", "order", "replicate", "block"]])
def test_without_run_ids_a_label_of_two_plots_is_refused(case: Case, tmp_path: Path, also: list[str]) -> None:
    with pytest.raises(AnalysisError, match=r"whole plot 1\.1 has") as caught:
        _again(case, "wp_pandas_roundtrip", tmp_path, lambda t: t.drop(columns=["run_id", *also]))
    assert "a spreadsheet turns 1.10 into 1.1" in caught.value.hint


def test_planned_runs_in_other_plots_than_planned_are_refused(case: Case, tmp_path: Path) -> None:
    moved = lambda t: t.assign(whole_plot=["1.2", *t["whole_plot"][1:]])  # noqa: E731
    with pytest.raises(AnalysisError, match="groups the runs in another way than the plan"):
        _again(case, "wp_straight", tmp_path, moved)


def test_lost_runs_of_a_split_plot(analysed: Analysed) -> None:
    """lmerTest with Kenward–Roger: guards of what was right."""
    for name, term, f, df in (
        ("oats_lost", "variety", 3.00147, 7.98),
        ("oats_lost", "nitro", 28.984, 37.217),
        ("oats_lost_random", "variety", 3.61037, 8.416),
        ("gum_lost", "past", 10.962, 1.952),
    ):
        response = "y" if name == "gum_lost" else "yield"
        found = _row(analysed(name), response, term)
        assert found[:2] == (pytest.approx(f, rel=2e-5), pytest.approx(df, abs=6e-3))


# ---------------------------------------------------------------- counts and limits


@pytest.mark.parametrize(("name", "runs", "missing"), [("fewer", 8, 24), ("e2", 12, 4)])
def test_missing_runs_are_missing(analysed: Analysed, name: str, runs: int, missing: int) -> None:
    result = analysed(name)
    assert (result.n_runs, result.n_missing) == (runs, missing)
    assert any(f"{missing} planned run(s) have no value" in warning for warning in result.warnings)


def test_a_cell_that_was_lost_takes_the_balance(analysed: Analysed) -> None:
    """HC2 where planned cells have different numbers of runs, ordinary errors where all have the same."""
    said = "HC2 standard errors with Bell–McCaffrey degrees of freedom"
    assert any(said in warning for warning in analysed("e2").warnings)
    assert not any(said in warning for warning in analysed("fewer").warnings)


def test_what_is_lost_names_the_empty_cell(analysed: Analysed, judged: Judged) -> None:
    assert "A:B can no longer be estimated (no runs with A = a2, B = b2)" in analysed("e2").warnings
    assert "no runs with A = a2, B = b2" in (judged("e2", "H2").reason or "")


def test_values_outside_the_limits_are_refused_by_row(case: Case) -> None:
    with pytest.raises(AnalysisError, match=r"ceil_pct.csv:2: acc is 98, outside its limits \[0, 1\]") as caught:
        analyse_table(case("ceil_pct"), case("ceil_pct").with_suffix(".csv"))
    assert "per cent" in caught.value.hint


# ---------------------------------------------------------------- scales


def test_three_orders_of_magnitude_ask_for_a_scale(case: Case, analysed: Analysed, tmp_path: Path) -> None:
    """With logarithms M has p 1.24e-4 (statsmodels OLS on log y with all two-factor interactions)."""
    assert any("spread grows with the mean" in w and "scale: log" in w for w in analysed("doe1").warnings)
    logs = _again(case, "doe1", tmp_path, lambda t: t, responses={"y": {"smallest_effect": 0.2, "scale": "log"}})
    assert not any("spread grows" in warning for warning in logs.warnings)
    (h1, *_) = logs.hypotheses
    assert h1.p_value == pytest.approx(1.2417e-4, rel=1e-3)
    assert h1.ratio == pytest.approx(0.59722, abs=1e-5)
    text, page, markdown = analysis_text(logs), render_report(logs), render_markdown(logs)
    assert "ratio 0.5972 [0.4732, 0.7538]" in text
    assert "y (log ratio)" in text
    assert all("ratio 0.597 (0.473 to 0.754)" in written for written in (page, markdown))


def test_shares_at_their_ceiling_need_items(case: Case, tmp_path: Path) -> None:
    """16 shares of which one half is 1: with 100 items a full score has the odds 100.5 to 0.5."""

    def shares(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(acc=[f"{float(value) / 100:g}" for value in table["acc"]])

    scaled = {"acc": {"scale": "logit", "smallest_effect": 0.1}}
    with pytest.raises(AnalysisError, match=r"runs.csv:4: acc is 1, which has no logit"):
        _again(case, "ceil_pct", tmp_path, shares, responses=scaled)
    result = _again(case, "ceil_pct", tmp_path, shares, responses={"acc": {**scaled["acc"], "items": 100}})
    table = shares(pd.read_csv(case("ceil_pct").with_suffix(".csv")))
    y = table["acc"].astype(float)
    logits = np.log(y.where(y < 1, 100.5 / 101) / (1 - y.where(y < 1, 100.5 / 101)))
    difference = logits[table["A"] == 1].mean() - logits[table["A"] == 0].mean()
    assert result.hypotheses[0].estimate == pytest.approx(difference)
    assert result.hypotheses[0].ratio == pytest.approx(np.exp(difference))
