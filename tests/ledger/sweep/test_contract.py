"""Every store is held to its promise before anything rests on it, and one that breaks it is named."""

from __future__ import annotations

from multiprocessing.pool import Pool
from pathlib import Path

import pytest

from maineffect.errors import LedgerError
from maineffect.ledger.store.connection import client
from maineffect.ledger.store.records import Records
from maineffect.ledger.sweep.contract import check_store, race
from maineffect.ledger.sweep.ledger import scratch_run


def test_sqlite_keeps_the_promise_and_nothing_is_left(uri: str) -> None:
    check_store(uri)
    experiment = client(uri).get_experiment_by_name("_maineffect")
    assert [run.info.run_name for run in client(uri).search_runs([experiment.experiment_id])] == []


def test_a_store_that_nobody_made_is_not_made(tmp_path: Path) -> None:
    check_store(f"sqlite:///{tmp_path}/home/mlflow.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.live
def test_a_server_keeps_the_promise_among_processes(server, pool: Pool) -> None:
    check_store(server.uri)
    records = Records(server.uri, scratch_run(server.uri, "race"))
    keys = [f"claim.run{k}.a1" for k in range(20)]
    pool.map(Records.read, [records] * 12, chunksize=1)
    waiting = [pool.apply_async(race, (records, keys, f"owner {owner}")) for owner in range(6)]
    wins = [result.get(timeout=120) for result in waiting]
    standing = records.read()
    for number, key in enumerate(keys):
        winners = [owner for owner in range(6) if wins[owner][number]]
        assert len(winners) == 1, key
        assert standing[key] == f"owner {winners[0]}"


def test_a_store_that_overwrites_is_refused(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a file store or a lax server would do: the last writer wins."""
    store = client(uri)

    def lax(run: str, key: str, value: str, synchronous: bool = True) -> None:
        store.set_tag(run, key, value)

    monkeypatch.setattr(store, "log_param", lax)
    with pytest.raises(LedgerError, match="cannot keep a sweep's records apart"):
        check_store(uri)
