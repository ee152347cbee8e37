"""The saved views of MLflow's own pages: a real server is asked, and a real browser goes where it is told."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.ray]
SCRIPT = Path(__file__).parents[2] / "dashboards/mlflow/views.py"


@pytest.fixture(scope="module")
def server(watched: Any) -> Iterator[str]:
    """MLflow's own server on the store of a sweep in which one run has failed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    store = f"sqlite:///{watched.home / 'mlflow.db'}"
    words = ["server", "--workers", "1", "--host", "127.0.0.1", "--port", str(port), "--backend-store-uri", store]
    served = subprocess.Popen(
        [sys.executable, "-m", "mlflow", *words],
        env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"{url}/health", timeout=1).close()
                break
            except OSError:
                time.sleep(0.2)
        yield url
    finally:
        os.killpg(served.pid, 15)
        served.wait(timeout=240)


def _printed(*words: str, expect: int = 0) -> str:
    done = subprocess.run([sys.executable, str(SCRIPT), *words], capture_output=True, text=True, timeout=240)
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout if expect == 0 else done.stderr


@pytest.mark.live
def test_every_study_has_its_views_and_the_ledgers_own_records_have_none(server: str) -> None:
    text = _printed(server)
    assert re.findall(r"^\S.*", text, re.MULTILINE) == ["watched"]
    assert text.count(f"{server}/#/experiments/") == 6
    assert "knows no study unheard-of" in _printed(server, "unheard-of", expect=1)
    assert text.count("me.sweep") == 0
    assert _printed(f"{server}/", "watched", "--sweep", "watched-1").count("me.sweep%60%20%3D%20%27watched-1%27") == 6


@pytest.mark.skipif(
    shutil.which("chromium") is None or shutil.which("chromedriver") is None,
    reason="Debian's chromium and chromium-driver are not installed (apt-get install chromium chromium-driver)",
)
@pytest.mark.live
def test_the_address_shows_the_failed_attempt(server: str, browser: Any) -> None:
    from selenium.webdriver.support.wait import WebDriverWait

    lines = _printed(server, "watched").splitlines()
    at = next(number for number, line in enumerate(lines) if "Failed attempts" in line)
    browser.get(lines[at + 1].strip())
    body = "return document.body.innerText"
    # MLflow shows the sweep's own run with those of its runs that match.
    shown = re.compile(r"\b2\s+matching runs")
    WebDriverWait(browser, 60, poll_frequency=0.2).until(lambda b: shown.search(b.execute_script(body)))
