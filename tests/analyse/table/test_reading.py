"""Reading tables as people write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from maineffect.analyse.table.reading import is_outcome, read_table, tidy
from maineffect.errors import AnalysisError


def _write(folder: Path, text: str) -> Path:
    path = folder / "runs.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_levels_are_matched_as_numbers_or_words(make_study: Any, tmp_path: Path) -> None:
    factors = {
        "rate": {"levels": [0.0, 0.5]},
        "flag": {"levels": [False, True]},
        "name": {"levels": ["None", "NA"]},
        "code": {"levels": ["01", "1"]},
    }
    text = "rate,flag,name,code,y\n0,true,None,01,1e-3\n.5,FALSE,NA,1,2\n5e-1,1,NA,01,\n"
    table = read_table(_write(tmp_path, text), make_study(factors))
    assert table["rate"].tolist() == [0.0, 0.5, 0.5]
    assert table["flag"].tolist() == [True, False, True]
    assert table["name"].tolist() == ["None", "NA", "NA"]
    assert table["code"].tolist() == ["01", "1", "01"]
    assert table["y"].tolist()[:2] == [0.001, 2.0]
    assert pd.isna(table["y"].tolist()[2])


def test_parquet_is_read_like_csv(make_study: Any, make_table: Any, tmp_path: Path) -> None:
    table = make_table()
    table.to_parquet(tmp_path / "runs.parquet")
    table.to_csv(tmp_path / "runs.csv", index=False)
    study = make_study()
    pd.testing.assert_frame_equal(
        read_table(tmp_path / "runs.parquet", study), read_table(tmp_path / "runs.csv", study)
    )


def test_unknown_columns_are_named_and_missing_ones_hinted(make_study: Any, make_table: Any, tmp_path: Path) -> None:
    table = make_table().assign(note="x").rename(columns={"y": "Y"})
    table.to_csv(tmp_path / "runs.csv", index=False)
    with pytest.raises(AnalysisError) as caught:
        read_table(tmp_path / "runs.csv", make_study())
    assert "'y'" in caught.value.message
    assert caught.value.hint == "y: did you mean 'Y'?"
    tidied = tidy(make_table().assign(note="x"), make_study())
    assert tidied.attrs["warnings"] == ["columns that the study does not name were not used: note"]


def test_tidy_is_idempotent(make_study: Any, make_table: Any) -> None:
    study = make_study()
    once = tidy(make_table().assign(status="finished", run_id=range(16)), study)
    pd.testing.assert_frame_equal(once, tidy(once, study))


def test_a_missing_file(make_study: Any, tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match="there is no table"):
        read_table(tmp_path / "nothing.csv", make_study())


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("finished", False), ("", False), (None, False), ("diverged", True), ("oom-gpu", True), ("timeout", True),
        ("failed", True), ("collapsed", True), ("lost", False), ("cancelled", False), ("planned", False),
    ],
)  # fmt: skip
def test_which_endings_are_outcomes(status: str | None, outcome: bool) -> None:
    assert is_outcome(status) is outcome
