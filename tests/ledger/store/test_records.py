"""Write-once records: exactly one owner wins, and a sweep's state follows from them alone."""

from __future__ import annotations

from multiprocessing.pool import Pool

import pytest

from maineffect.contracts import AttemptEnd, FailureClass, RunState
from maineffect.errors import LedgerError
from maineffect.ledger.store.records import MOST_VALUE, Records, join_result, split_result
from maineffect.ledger.store.state import end_value, parse
from maineffect.ledger.sweep.contract import race
from maineffect.ledger.sweep.ledger import MlflowLedger, scratch_run


def test_the_first_value_stands(uri: str) -> None:
    records = Records(uri, scratch_run(uri, "test"))
    assert records.put("k", "a")
    assert records.put("k", "a"), "one's own value may be repeated"
    assert not records.put("k", "b")
    assert records.read() == {"k": "a"}


def test_values_are_kept_to_the_last_character(uri: str) -> None:
    records = Records(uri, scratch_run(uri, "test"))
    value = "ü" + "x" * (MOST_VALUE - 2) + "é"
    assert records.put("long", value)
    assert records.read()["long"] == value
    with pytest.raises(ValueError, match="characters"):
        records.put("longer", value + "x")
    with pytest.raises(ValueError, match="characters"):
        records.put("empty", "")


def test_six_processes_race_for_forty_claims(uri: str, pool: Pool) -> None:
    records = Records(uri, scratch_run(uri, "race"))
    keys = [f"claim.run{k}.a1" for k in range(40)]
    pool.map(Records.read, [records] * 12, chunksize=1)  # every process has its connection before the race
    waiting = [pool.apply_async(race, (records, keys, f"owner {owner}")) for owner in range(6)]
    wins = [result.get(timeout=120) for result in waiting]
    standing = records.read()
    for number, key in enumerate(keys):
        winners = [owner for owner in range(6) if wins[owner][number]]
        assert len(winners) == 1, key
        assert standing[key] == f"owner {winners[0]}"


def test_state_follows_from_the_records() -> None:
    state = parse(
        {
            "claim.c1-r1.a1": "me",
            "start.c1-r1.a1": "t1:1700000000500",
            "claim.c2-r1.a1": "me",
            "end.c2-r1.a1": "oom-host:12.500:worker died: out of memory",
            "claim.c2-r1.a2": "me",
            "claim.c3-r1.a1": "me",
            "start.c3-r1.a1": "t3:1700000000000",
            "end.c3-r1.a1": "user-error:1.000:boom",
            "claim.c4-r1.a1": "me",
            "end.c4-r1.a1": "lost:0.000:gone",
            "claim.c4-r1.a2": "me",
            "start.c4-r1.a2": "t4:1700000001000",
            "commit.c4-r1": "a2:t4:abc:33.250",
        },
        {},
    )
    runs = state.runs
    assert runs["c1-r1"].state is RunState.RUNNING
    assert runs["c1-r1"].tracking_run_id == "t1"
    assert runs["c1-r1"].started_at == 1700000000.5
    assert runs["c2-r1"].state is RunState.RUNNING, "the second attempt is open"
    assert runs["c2-r1"].ends == (AttemptEnd(1, FailureClass.OOM_HOST, "worker died: out of memory", 12.5),)
    assert runs["c2-r1"].attempts == 2
    assert runs["c3-r1"].state is RunState.FAILED
    assert runs["c3-r1"].tracking_run_id == "t3"
    finished = runs["c4-r1"]
    assert (finished.state, finished.committed_attempt, finished.tracking_run_id) == (RunState.FINISHED, 2, "t4")
    assert finished.seconds == 33.25
    assert state.cancelled_by is None


def test_a_commit_stands_above_a_lost_end() -> None:
    records = {"claim.r.a1": "me", "end.r.a1": "lost:0.000:no heartbeat", "commit.r": "a1:t:abc:1.000"}
    assert parse(records, {}).runs["r"].state is RunState.FINISHED


def test_records_of_another_version_are_named() -> None:
    with pytest.raises(LedgerError, match="cannot be read"):
        parse({"end.r.a1": "no-such-class:1:x"}, {})


def test_a_cancel_holds_until_it_is_lifted(sweep: MlflowLedger) -> None:
    assert not sweep.cancelled()
    sweep.cancel("ann")
    sweep.cancel("bob")
    assert sweep.state().cancelled_by == "ann"
    assert not sweep.claim("c1-r1", 1, "me"), "no new claims"
    sweep.reopen("ann")
    assert not sweep.cancelled()
    assert sweep.claim("c1-r1", 1, "me")
    sweep.cancel("bob")
    assert sweep.state().cancelled_by == "bob"
    sweep.reopen("ann")
    sweep.reopen("ann")
    assert not sweep.cancelled()


def test_ends_are_one_line_without_secrets() -> None:
    value = end_value(FailureClass.USER_ERROR, 1.23456, "cannot reach\n  postgresql://me:hunter22@db " + "x" * 5000)
    assert value.startswith("user-error:1.235:cannot reach postgresql://me:***@db xxx")
    assert len(value) < MOST_VALUE
    assert end_value(FailureClass.LOST, 0, "").endswith(":lost")


@pytest.mark.parametrize("length", [1, MOST_VALUE, MOST_VALUE + 1, 3 * MOST_VALUE])
def test_a_long_result_is_kept_in_parts(length: int) -> None:
    text = "".join(chr(97 + k % 26) for k in range(length))
    parts = split_result("c1-r1", 2, text)
    assert all(len(part) <= MOST_VALUE for part in parts.values())
    assert join_result(parts, "c1-r1", 2) == text
    assert join_result(parts, "c1-r1", 1) == ""
