"""A cluster that takes no job is told by what answered: nobody, somebody who asks for a token, or another server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from maineffect.errors import MaineffectError
from maineffect.execute.cluster.connect import TOKEN_HINT, _not_joined
from maineffect.execute.cluster.jobs import job_of


@contextmanager
def _server(code: int, body: bytes) -> Iterator[str]:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(code)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

    server = HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def _hint(address: str) -> str:
    with pytest.raises(MaineffectError) as caught:
        job_of(address, "s-1")
    assert caught.value.message.startswith(f"the Ray cluster at {address} does not take jobs: ")
    assert caught.value.hint is not None
    return caught.value.hint


def test_nobody_listens() -> None:
    assert _hint("http://127.0.0.1:9") == "check that the cluster's dashboard runs, and its address (http://head:8265)"


@pytest.mark.parametrize(
    ("code", "body", "hint"),
    [
        (401, b"Unauthorized: authentication token is missing", TOKEN_HINT),
        (404, b"<html>another server</html>", "check that it is the dashboard's address (http://head:8265)"),
        (500, b"out of order", "check that it is the dashboard's address (http://head:8265)"),
    ],
)
def test_somebody_else_listens(code: int, body: bytes, hint: str) -> None:
    with _server(code, body) as address:
        assert _hint(address) == hint


def test_a_cluster_that_asks_for_a_token_is_not_looked_up_by_its_address() -> None:
    refused = _not_joined("head:6379", RuntimeError("InvalidAuthToken: Unauthenticated\nat line 3"))
    assert (refused.message, refused.hint) == (
        "the Ray cluster head:6379 cannot be joined: InvalidAuthToken: Unauthenticated",
        TOKEN_HINT,
    )
