"""A proxy that swallows requests to a server of this machine is named, with the variable that names it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from maineffect.errors import LedgerError
from maineffect.ledger.store.connection import explain, probe
from maineffect.ledger.store.proxy import proxy_in_between


class Healthy(BaseHTTPRequestHandler):
    """Answers as an MLflow server does that is asked for its health."""

    code, says = 200, b"OK"

    def do_GET(self) -> None:
        self.send_response(self.code)
        self.end_headers()
        self.wfile.write(self.says)

    def log_message(self, *_: object) -> None:
        pass


class Swallows(Healthy):
    """A proxy of a company that knows nothing of this machine's loopback."""

    code, says = 503, b"<html>no such host"


class Portal(Healthy):
    """A proxy that answers every request with its own page."""

    says = b"<html>please log in"


@pytest.fixture
def serve() -> Iterator[object]:
    servers = []

    def start(handler: type[BaseHTTPRequestHandler]) -> str:
        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize("kind", [Swallows, None])
def test_a_proxy_that_keeps_a_server_away_is_named(serve, monkeypatch, kind) -> None:
    server = serve(Healthy)
    probe(server)
    proxy = serve(kind) if kind is not None else "http://127.0.0.1:1"
    monkeypatch.setenv("http_proxy", proxy.replace("http://", "http://me:hunter22@"))
    with pytest.raises(LedgerError) as caught:
        probe(server)
    assert caught.value.message.startswith(f"the MLflow server {server} answers, but not through the proxy http://")
    assert "of http_proxy (" in caught.value.message
    assert "hunter22" not in str(caught.value)
    assert caught.value.hint.startswith("set no_proxy=127.0.0.1 ")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    probe(server)


def test_a_proxy_that_says_yes_for_itself_is_named_by_the_first_real_call(serve, monkeypatch) -> None:
    server, portal = serve(Healthy), serve(Portal)
    monkeypatch.setenv("ALL_PROXY", portal)
    told = explain(server, ValueError("response is no JSON"))
    assert "does not answer as it should: response is no JSON" in told.message
    assert f"not through the proxy {portal} of ALL_PROXY; set no_proxy=127.0.0.1" in told.hint


def test_a_proxy_is_not_blamed_for_what_it_did_not_do(serve, monkeypatch) -> None:
    server = serve(Healthy)
    monkeypatch.setenv("http_proxy", serve(Healthy))  # it passes everything on
    assert proxy_in_between(server) is None
    assert explain(server, ValueError("failed with error code 500")).hint.startswith("see the server's own log")
    monkeypatch.setenv("http_proxy", serve(Swallows))
    assert proxy_in_between("http://127.0.0.1:1") is None, "nothing answers without it either"
