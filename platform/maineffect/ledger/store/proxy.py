"""A proxy that the environment names, and that keeps a server away which would answer without it.

Nearly always the server is on this machine: ``http_proxy`` is set for the way out, and nobody has said that the
loopback is not out there.
"""

from __future__ import annotations

import os
import urllib.request
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from maineffect.ledger.store.texts import redact

__all__ = ["Proxy", "health_of", "proxy_in_between"]

_SECONDS = 4.0


@dataclass(frozen=True)
class Proxy:
    """A proxy that stands between this process and a server.

    Attributes:
        says: What was found.
        way_out: What to do about it.
    """

    says: str
    way_out: str


def health_of(uri: str) -> str:
    """Address at which an MLflow server says that it runs. Credentials travel in a header, and it asks for none."""
    parts = urlsplit(uri)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/") + "/health", "", ""))


def proxy_in_between(uri: str, seconds: float = _SECONDS) -> Proxy | None:
    """The proxy that requests to a server go through, if the server answers without it; None otherwise.

    Args:
        uri: ``http://…`` or ``https://…``.
        seconds: Longest wait for the answer.
    """
    parts = urlsplit(uri)
    host = parts.hostname or ""
    found = [name for name in _variables(parts.scheme) if os.environ.get(name)]
    if not found or urllib.request.proxy_bypass(host):
        return None
    proxy = os.environ[found[0]]
    direct = _answer(uri, {}, seconds)
    if proxy.startswith("socks") or direct is None or _answer(uri, {parts.scheme: proxy}, seconds) == direct:
        return None
    return Proxy(
        f"the MLflow server {redact(uri)} answers, but not through the proxy {redact(proxy)} of {found[0]}",
        f"set no_proxy={host} (and NO_PROXY, with what stands there already)",
    )


def _answer(uri: str, proxies: dict[str, str], seconds: float) -> bytes | None:
    """What the server says of its health; None where nothing does."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(proxies),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
    ):
        opener.add_handler(handler)
    try:
        with opener.open(health_of(uri), timeout=seconds) as answer:
            said: bytes = answer.read(100)
            return said
    except (OSError, ValueError):
        return None


def _variables(scheme: str) -> tuple[str, ...]:
    """Environment variables by which Python and MLflow choose a proxy, the first one first."""
    return f"{scheme}_proxy", f"{scheme}_proxy".upper(), "all_proxy", "ALL_PROXY"
