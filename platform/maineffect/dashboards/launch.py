"""Start the dashboard: Streamlit on this machine only, which asks nothing of any other."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

from maineffect.dashboards.reading import TOKEN, TRACKING
from maineffect.errors import UsageError
from maineffect.journey.plan.place import Place

__all__ = ["command", "serve"]


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


def serve(place: Place, *, port: int, token: str | None) -> int:
    """Serve until interrupted.

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
    return subprocess.call(command(port), env=environment)
