"""Looks are written once; the first that was written is the one that stands."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from maineffect.errors import LedgerError
from maineffect.ledger.store.records import Records
from maineffect.ledger.sweep.ledger import MlflowLedger, open_sweep
from maineffect.ledger.sweep.looks import MadeLook, continued, go_on, made_looks, record_look, stopped_at


@pytest.fixture
def ledger(tmp_path: Path) -> MlflowLedger:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    return open_sweep(uri, "looked-12345678", study_name="looked", study_text="{}", plan={"runs": {}})


GO = MadeLook(1, 3, stop=False, said="interim look 1 of 3: H1 continue", finished=8)
JUDGED = tuple({"hypothesis": f"H{n}", "estimate": 0.1 * n, "reason": "x" * 200} for n in range(60))
STOP = MadeLook(2, 3, stop=True, said="interim look 2 of 3: H1 efficacy", finished=16, judged=JUDGED)


def test_looks_stand_as_they_were_first_written(ledger: MlflowLedger) -> None:
    assert made_looks(ledger) == {}
    assert stopped_at(ledger.control.read()) is None
    assert record_look(ledger, GO) == GO
    assert record_look(ledger, STOP) == STOP, "longer than one record holds"
    assert record_look(ledger, replace(GO, stop=True, said="another driver saw other runs")) == GO
    assert made_looks(ledger) == {1: GO, 2: STOP}
    assert stopped_at(ledger.control.read()) == 2
    assert ledger.state().runs == {}
    assert not ledger.cancelled()

    assert go_on(ledger, "me")
    assert (stopped_at(ledger.control.read()), continued(ledger)) == (None, "me")
    assert not go_on(ledger, "somebody else"), "there is no stop to lift any more"
    assert made_looks(ledger) == {1: GO, 2: STOP}


def test_a_look_that_was_changed_is_not_believed(ledger: MlflowLedger) -> None:
    ledger.control.put("look.1", "stop:0123456789abcdef:1")
    Records(ledger.uri, ledger.entry.results_run).put("look.1.0123456789abcdef.0", "{}")
    with pytest.raises(LedgerError, match="interim look 1 of looked-12345678 is not the one that was written"):
        made_looks(ledger)
