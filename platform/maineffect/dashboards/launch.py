"""Start the dashboard: Streamlit on this machine only, which asks nothing of any other."""

from __future__ import annotations

import importlib.util
import os
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

import psutil

from maineffect.dashboards.reading import TOKEN, TRACKING
from maineffect.errors import UsageError
from maineffect.journey.plan.place import Place
from maineffect.process_family import end_processes

__all__ = ["command", "new_token", "serve"]

_ENDING = (signal.SIGTERM, signal.SIGHUP)


def command(port: int) -> list[str]:
    """Words that start Streamlit bound to loopback, without telemetry, file watching or a browser of its own."""
    options = {
        "server.address": "127.0.0.1",
        "server.port": str(port),
        "server.headless": "true",
        "server.fileWatcherType": "none",
        "server.enableXsrfProtection": "true",
        "browser.gatherUsageStats": "false",
        "browser.serverAddress": "127.0.0.1",
        "client.toolbarMode": "minimal",
        "client.showErrorDetails": "none",
    }
    app = Path(__file__).with_name("app.py")
    return [sys.executable, "-m", "streamlit", "run", str(app), *(f"--{key}={value}" for key, value in options.items())]


def new_token() -> str:
    """A token that nobody can guess."""
    return secrets.token_urlsafe(16)


def serve(place: Place, *, port: int, token: str | None) -> int:
    """Serve until interrupted, or told to end; Streamlit ends with it. What was started from the pages goes on.

    Args:
        place: Home and store.
        port: Port on this machine.
        token: What the pages ask for; empty or None: nothing.

    Returns:
        Streamlit's exit code.

    Raises:
        UsageError: Streamlit is not installed.
    """
    if importlib.util.find_spec("streamlit") is None:
        raise UsageError("the dashboard needs Streamlit", "pip install 'maineffect[dashboard]'")
    environment = {**os.environ, "MAINEFFECT_HOME": str(place.home)}
    if place.tracking_uri is not None:
        environment[TRACKING] = place.tracking_uri
    if token is not None:
        environment[TOKEN] = token
    return _call(command(port), environment)


def _call(words: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run to its end; a SIGTERM or SIGHUP meanwhile ends the process that was started, then this one."""
    told: list[int] = []
    child: subprocess.Popen[bytes] | None = None

    def end(number: int, _frame: FrameType | None) -> None:
        told.append(number)
        if child is not None:  # while it is being started, nobody could end it yet
            raise SystemExit(128 + number)

    in_main = threading.current_thread() is threading.main_thread()
    before = {number: signal.signal(number, end) for number in _ENDING} if in_main else {}
    try:
        child = subprocess.Popen(words, env=environment)
        if told:
            raise SystemExit(128 + told[0])
        return child.wait()
    finally:
        for number in before:  # a second one must not interrupt what follows
            signal.signal(number, signal.SIG_IGN)
        if child is not None and child.poll() is None:
            end_processes([psutil.Process(child.pid)])
        for number, handler in before.items():
            signal.signal(number, handler)
