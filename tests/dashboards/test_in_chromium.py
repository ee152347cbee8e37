"""The dashboard as people meet it: `maineffect dash` in a process of its own, looked at with a headless Chromium."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("streamlit", reason="the dashboard extra is not installed")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.ray,
    pytest.mark.skipif(
        shutil.which("chromium") is None or shutil.which("chromedriver") is None,
        reason="Debian's chromium and chromium-driver are not installed (apt-get install chromium chromium-driver)",
    ),
]


@pytest.fixture(scope="module")
def address(watched: Any, dashboard: Any) -> Iterator[str]:
    with dashboard(watched.home, "--token", "sesame") as url:
        yield url


def _until(browser: Any, words: str, seconds: float = 120.0) -> str:
    from selenium.webdriver.support.wait import WebDriverWait

    body = "return document.body.innerText"
    WebDriverWait(browser, seconds, poll_frequency=0.1).until(lambda b: words in b.execute_script(body))
    return str(browser.execute_script(body))


def _give_token(browser: Any, token: str) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    field = browser.find_element(By.CSS_SELECTOR, "input[type=password]")
    field.send_keys(Keys.CONTROL, "a")
    field.send_keys(token, Keys.ENTER)


@pytest.mark.live
def test_token_live_numbers_findings_and_no_request_elsewhere(browser: Any, watched: Any, address: str) -> None:
    status = watched.document("status", "latest")
    sweep = status["sweep"]
    browser.get_log("performance")
    browser.get_log("browser")
    browser.get(f"{address}/?sweep={sweep}")
    assert sweep not in _until(browser, "Token")
    _give_token(browser, "wrong")
    assert sweep not in _until(browser, "not the one")
    _give_token(browser, "sesame")
    shown = _until(browser, "How far is ")
    shown = _until(browser, "Every run")
    for state, count in status["counts"].items():
        assert f"{state}\n\n{count}\n" in shown
    browser.execute_script(
        "[...document.querySelectorAll('label')].find(l => l.innerText.trim() === 'Findings').click()"
    )
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.wait import WebDriverWait

    frame = WebDriverWait(browser, 120, poll_frequency=0.2).until(
        lambda b: b.find_element(By.CSS_SELECTOR, "iframe[data-testid=stIFrame]")
    )
    assert "allow-scripts" in frame.get_attribute("sandbox")
    browser.switch_to.frame(frame)
    try:
        ready = "return document.querySelector('.profiler')?.dataset.live === 'yes'"
        WebDriverWait(browser, 120, poll_frequency=0.1).until(lambda b: b.execute_script(ready))
        assert "What does this study say?" in browser.execute_script("return document.body.innerText")
    finally:
        browser.switch_to.default_content()
    asked = [e["message"] for e in browser.get_log("performance") if "Network.requestWillBeSent" in e["message"]]
    assert asked
    assert [m for m in asked if '"url":"http' in m and address not in m] == []
    assert [e for e in browser.get_log("browser") if e["level"] == "SEVERE" and "favicon" not in e["message"]] == []


@pytest.mark.live
def test_it_listens_on_this_machine_only(address: str) -> None:
    port = int(address.rpartition(":")[2])
    own = [line.split()[1] for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
           if int(line.split()[1].split(":")[1], 16) == port and line.split()[3] == "0A"]  # fmt: skip
    assert own == [f"0100007F:{port:04X}"]


def _choose(browser: Any, page: str) -> None:
    labels = "[...document.querySelectorAll('label')]"
    browser.execute_script(f"{labels}.find(l => l.innerText.trim().startsWith({page!r})).click()")


def _metric(browser: Any, name: str) -> int:
    """The number of runs in a state, as the page Live shows it."""
    shown = str(browser.execute_script("return document.body.innerText")).split("\n")
    return int(next((shown[i + 2] for i, line in enumerate(shown) if line == name), "-1"))


@pytest.mark.live
def test_a_live_sweep_is_watched_and_its_failed_run_resubmitted(
    browser: Any, watched: Any, dashboard: Any, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.wait import WebDriverWait

    going = type(watched)(tmp_path, watched.here)
    for name in ("study.yaml", "watched.py"):
        shutil.copy(watched.folder / name, tmp_path / name)
    request.addfinalizer((tmp_path / "seen").touch)  # what waits for it ends, however this ends
    words = [sys.executable, "-m", "maineffect", "submit", "study.yaml", "--json"]
    paced = {**os.environ, "MAINEFFECT_HOME": str(going.home), "WATCHED_UNTIL": str(tmp_path / "seen")}
    submitted = subprocess.Popen(words, cwd=tmp_path, env=paced, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with dashboard(going.home, "--token", "sesame") as url:
        WebDriverWait(browser, 180, poll_frequency=0.5).until(lambda _: _known(going))
        sweep = _known(going)
        browser.get(f"{url}/?sweep={sweep}")
        _until(browser, "Token")
        _give_token(browser, "sesame")
        _until(browser, "reward, mean over runs so far", 180)
        assert _metric(browser, "finished") < 8, "curves of runs that go on are shown while they go on"
        (tmp_path / "seen").touch()
        assert submitted.wait(timeout=300) == 5
        status = going.document("status", sweep)
        WebDriverWait(browser, 120, poll_frequency=0.2).until(
            lambda b: all(_metric(b, state) == count for state, count in status["counts"].items())
        )
        assert status["counts"]["failed"] == 1
        _choose(browser, "Failed runs")
        failed = status["failures"][0]
        shown = _until(browser, "What failed, and why?")
        shown = _until(browser, failed["run_id"])
        _until(browser, f"maineffect resubmit {sweep}")
        assert "planned <b>failure</b>" in shown
        (tmp_path / "mended").touch()
        browser.find_element(By.XPATH, "//label[contains(., 'Yes, run 1 of them again')]").click()
        button = "[...document.querySelectorAll('button')].find(b => b.innerText.trim() === 'Resubmit')"
        WebDriverWait(browser, 60).until(lambda b: b.execute_script(f"return {button}.disabled === false"))
        browser.execute_script(f"{button}.click()")
        _until(browser, "Started.")
        _choose(browser, "Live")
        WebDriverWait(browser, 300, poll_frequency=0.5).until(lambda b: _metric(b, "finished") == 8)
    result = going.document("analyse", sweep)
    assert result["n_runs"] == 8
    assert going.document("status", sweep)["counts"]["failed"] == 0


def _known(watched: Any) -> str:
    """The only sweep's id, empty before there is one."""
    from maineffect.journey.plan.place import Place
    from maineffect.journey.read.sweeps import sweeps

    return next((sweep["sweep"] for sweep in sweeps(Place(watched.home))), "")
