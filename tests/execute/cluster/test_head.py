"""The head of a cluster is watched from outside Ray, which would end this process when the head is gone."""

from __future__ import annotations

import socket
import threading

import pytest

from maineffect.errors import MaineffectError
from maineffect.execute.cluster.head import Head, in_time
from maineffect.execute.drive.notices import Notices


def listening(port: int = 0) -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("127.0.0.1", port))
    made.listen(50)
    return made


def test_a_head_that_is_away_is_waited_for_and_then_given_up() -> None:
    now, said = 0.0, []
    door = listening()
    port = door.getsockname()[1]
    head = Head(f"127.0.0.1:{port}", lambda: now)
    assert head.answers(said.append)
    door.close()
    away = f"the head of the Ray cluster at 127.0.0.1:{port} does not answer (connection refused): nothing new starts"
    now = 2.0
    assert not head.answers(said.append)
    now = 31.0
    assert not head.answers(said.append)
    assert said == [away], "said once"

    door = listening(port)
    now = 33.0
    assert head.answers(said.append)
    assert said == [away, f"the head of the Ray cluster at 127.0.0.1:{port} answers again"]
    door.close()
    now = 35.0
    assert not head.answers(said.append)
    now = 66.0
    with pytest.raises(MaineffectError, match=r"has not answered for 30 s \(connection refused\)") as gone:
        head.answers(said.append)
    assert "what is finished is recorded" in gone.value.hint


def test_what_a_driver_says_is_text_of_some_length() -> None:
    """A run may raise anything: half a character, or a megabyte."""
    notices = Notices()
    notices.append("r1 failed: \ud800")
    notices.once("r2", "x" * 10**6)
    assert [notice.encode() for notice in notices] == [
        b"r1 failed: \\ud800",
        b"x" * 2000 + " … (1000000 characters)".encode(),
    ]


def test_a_call_that_hangs_is_left_to_itself() -> None:
    assert in_time(lambda: 2, 5.0, 1) == 2
    hangs = threading.Event()
    assert in_time(lambda: hangs.wait(30) or 2, 0.1, 1) == 1
    hangs.set()
    with pytest.raises(ValueError, match="at once"):
        in_time(lambda: int("at once"), 5.0, 1)
