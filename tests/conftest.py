"""Settings that every test needs before anything heavy is imported."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import traceback
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

with contextlib.suppress(ImportError):  # the environment of the language model has none
    from hypothesis import settings

    # The full number of examples is drawn by `make slow`, anew each time.
    settings.register_profile("few", max_examples=20, deadline=None, derandomize=True)
    settings.register_profile("full", max_examples=300, deadline=None)
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "few"))


def pytest_configure() -> None:
    """A shell tells what it starts in the background to ignore Ctrl-C, and processes hand that on: tests need it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["HF_HUB_OFFLINE"] = "1"
for _name in ("MLFLOW_TRACKING_URI", "MAINEFFECT_TRACKING_URI", "MAINEFFECT_HOME", "RAY_ADDRESS"):
    os.environ.pop(_name, None)


@pytest.fixture(scope="session")
def here() -> Callable[..., subprocess.CompletedProcess[str]]:
    """``here(*words, cwd=folder, expect=0)``: the command line called in this process, held to its exit code.

    A process of its own takes seconds to import what this one has: few tests need that.
    """
    return _here


def _here(
    *words: str, cwd: Path, environment: Mapping[str, str] | None = None, expect: int = 0
) -> subprocess.CompletedProcess[str]:
    from maineffect.cli.app import main

    before, argv, variables = Path.cwd(), sys.argv, dict(os.environ)
    said, told, code = io.StringIO(), io.StringIO(), 0
    sys.argv = ["maineffect", *words]
    os.chdir(cwd)
    os.environ.update(environment or {})
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(told):
            try:
                main()
            except SystemExit as left:
                code = left.code if isinstance(left.code, int) else int(left.code is not None)
            except Exception:  # what Python does with it in a process of its own
                code = 1
                traceback.print_exc()
    finally:
        sys.argv = argv
        os.chdir(before)
        os.environ.clear()
        os.environ.update(variables)
    done = subprocess.CompletedProcess(words, code, said.getvalue(), told.getvalue())
    assert code == expect, f"exit {code}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A headless Chromium that tells what it asked for and what went wrong."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
        f"--user-data-dir={tmp_path_factory.mktemp('profile')}",
    ):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    yield driver
    driver.quit()


@pytest.fixture(scope="session")
def dashboard() -> Callable[..., AbstractContextManager[str]]:
    """``with dashboard(home, *words) as url``: `maineffect dash` in a process of its own, on a free port."""
    return _served


@contextmanager
def _served(home: Path, *words: str) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "MAINEFFECT_HOME": str(home)}
    command = [sys.executable, "-m", "maineffect", "dash", "--port", str(port), *words]
    served = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"{url}/_stcore/health", timeout=1)
                break
            except OSError:
                time.sleep(0.2)
        yield url
    finally:
        os.killpg(served.pid, 15)
        served.wait(timeout=240)
