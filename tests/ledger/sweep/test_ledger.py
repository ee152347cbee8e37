"""A sweep is made once, whoever asks and however many at a time, and is found again."""

from __future__ import annotations

import pickle
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any

import pytest

from maineffect.errors import LedgerError, UsageError
from maineffect.ledger.store.connection import client
from maineffect.ledger.store.registry import list_sweeps
from maineffect.ledger.sweep.ledger import MlflowLedger, find_sweep, load_sweep, log_file, open_sweep, stored_sweep

ONE = {"study_name": "known", "study_text": "name: known\n", "plan": {"runs": {"c1-r1": {}}}}


def _visible(uri: str, name: str) -> list[Any]:
    store = client(uri)
    return list(store.search_runs([store.get_experiment_by_name(name).experiment_id]))


def test_opening_again_gives_the_same_sweep(uri: str) -> None:
    first = open_sweep(uri, "known-1", **ONE)
    assert open_sweep(uri, "known-1", **ONE) == first
    assert len(_visible(uri, "known")) == 1


def test_six_drivers_at_the_same_moment_get_one_sweep(uri: str, pool: Pool) -> None:
    waiting = [pool.apply_async(open_sweep, (uri, "known-1"), ONE) for _ in range(6)]
    entries = {result.get(timeout=120).entry for result in waiting}
    assert len(entries) == 1
    assert [entry.sweep_id for entry in list_sweeps(uri)] == ["known-1"]
    assert len(_visible(uri, "known")) == 1, "what the losers made is gone"
    names = sorted(run.info.run_name for run in _visible(uri, "_maineffect"))
    assert names == ["control known-1", "ledger known-1", "registry", "results known-1"]
    assert {run.info.status for run in _visible(uri, "_maineffect")} == {"FINISHED"}, (
        "bookkeeping is no run in progress"
    )


def test_what_was_submitted_comes_back_word_by_word(sweep: MlflowLedger, plan: dict[str, Any]) -> None:
    stored = stored_sweep(sweep)
    assert stored.study_text == "name: known\n# a comment that must survive\n"
    assert stored.plan == plan
    assert stored.entry.runs == 8


def test_people_see_the_study_the_plan_and_the_design(uri: str, tmp_path: Path) -> None:
    rows = [{"run_id": "c1-r1", "hops": 1}, {"run_id": "c2-r1", "hops": 2}]
    ledger = open_sweep(
        uri, "known-1", **ONE, design_rows=rows, description="# What is asked", tags={"me.git.dirty": "no"}
    )
    (tmp_path / "report.html").write_text("<html></html>")
    log_file(ledger, tmp_path / "report.html")
    run = client(uri).get_run(ledger.entry.sweep_run)
    assert run.info.run_name == "sweep known-1"
    assert run.data.tags["mlflow.note.content"] == "# What is asked"
    assert run.data.tags["me.git.dirty"] == "no"
    kept = {file.path for file in client(uri).list_artifacts(ledger.entry.sweep_run)}
    assert kept == {"study.yaml", "plan.json", "design.csv", "report.html"}
    text = Path(client(uri).download_artifacts(ledger.entry.sweep_run, "design.csv")).read_text()
    assert text.split() == ["run_id,hops", "c1-r1,1", "c2-r1,2"]


def test_a_sweep_is_found_by_id_name_or_latest(uri: str) -> None:
    open_sweep(uri, "known-1", **ONE)
    open_sweep(uri, "other-1", **{**ONE, "study_name": "other"})
    newest = open_sweep(uri, "known-2", **ONE)
    assert find_sweep(uri, "known-1").sweep_id == "known-1"
    assert find_sweep(uri, "known").sweep_id == "known-2"
    assert find_sweep(uri, "other").sweep_id == "other-1"
    assert find_sweep(uri, "latest") == newest
    assert load_sweep(uri, "known-2") == newest
    assert load_sweep(uri, "known-3") is None


def test_an_unknown_sweep_is_a_usage_error_with_near_names(uri: str) -> None:
    open_sweep(uri, "known-1", **ONE)
    with pytest.raises(UsageError, match="'knowm'") as caught:
        find_sweep(uri, "knowm")
    assert "known" in caught.value.hint
    assert caught.value.exit_code == 2


def test_reading_where_nothing_is_makes_nothing(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/home/mlflow.db"
    assert list_sweeps(uri) == []
    assert load_sweep(uri, "x") is None
    with pytest.raises(UsageError, match="holds none"):
        find_sweep(uri, "latest")
    assert list(tmp_path.iterdir()) == []


def test_a_deleted_experiment_is_named_with_the_way_back(uri: str) -> None:
    ledger = open_sweep(uri, "known-1", **ONE)
    client(uri).delete_experiment(ledger.entry.experiment_id)
    with pytest.raises(LedgerError, match=r"'known' in .* is deleted") as caught:
        open_sweep(uri, "known-2", **ONE)
    assert f"--experiment-id {ledger.entry.experiment_id}" in caught.value.hint
    client(uri).restore_experiment(ledger.entry.experiment_id)
    assert open_sweep(uri, "known-2", **ONE).sweep_id == "known-2"


def test_a_ledger_travels_and_does_not_show_its_password(sweep: MlflowLedger) -> None:
    assert sweep.claim("c1-r1", 1, "me")
    other = pickle.loads(pickle.dumps(sweep))
    assert other.state() == sweep.state()
    assert other.owner("c1-r1", 1) == "me"
    secret = MlflowLedger("http://me:hunter22@host", sweep.entry)
    assert "hunter22" not in repr(secret)
    assert "hunter22" not in repr(secret.records)
