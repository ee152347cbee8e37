"""A driver that is stopped (Ctrl-Z) in the middle of an answer costs its runs one wait, not one for every call."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from maineffect.ledger.store import broker


def test_a_broker_that_does_not_answer_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(broker, "_ANSWER_SECONDS", 0.5)
    folder = broker.broker_folder()
    folder.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as stopped:
        stopped.bind(str(folder / f"{broker.stem_of('sqlite:///x')}-1"))
        stopped.listen()
        waits = []
        for _ in range(3):
            began = time.monotonic()
            with pytest.raises(broker._NoBrokerError):
                broker._carry("sqlite:///x", "anything", (), {})
            waits.append(time.monotonic() - began)
    assert waits[0] > 0.4
    assert max(waits[1:]) < 0.2
