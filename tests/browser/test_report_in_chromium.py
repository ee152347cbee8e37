"""The report in a real headless Chromium: no error, no request, nothing overflows, dark mode is dark."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        shutil.which("chromium") is None or shutil.which("chromedriver") is None,
        reason="Debian's chromium and chromium-driver are not installed (apt-get install chromium chromium-driver)",
    ),
]


def _simulated() -> Any:
    path = Path(__file__).parents[1] / "report" / "conftest.py"
    spec = importlib.util.spec_from_file_location("report_samples", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["report_samples"] = module
    spec.loader.exec_module(module)
    return module.simulated()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    from maineffect.report.page import render_report

    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render_report(_simulated()), encoding="utf-8")
    return path.as_uri()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
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


@pytest.mark.parametrize("width", [390, 1440])
def test_no_error_no_request_no_overflow(browser: Any, address: str, width: int) -> None:
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    )
    browser.get_log("performance")
    browser.get(address)
    wide = browser.execute_script(
        "return [document.documentElement.scrollWidth, document.documentElement.clientWidth, window.innerWidth]"
    )
    assert wide[0] <= wide[1]
    assert wide[2] == width
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
    asked = [e["message"] for e in browser.get_log("performance") if "Network.requestWillBeSent" in e["message"]]
    assert [message for message in asked if '"url":"http' in message] == []
    outside = browser.execute_script(
        "return [...document.querySelectorAll('svg')].filter(s => s.getBoundingClientRect().right > window.innerWidth + 1).length"
    )
    assert outside == 0


def test_dark_mode_is_dark_and_charts_follow(browser: Any, address: str) -> None:
    seen = {}
    for mode in ("light", "dark"):
        browser.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": mode}]}
        )
        browser.get(address)
        seen[mode] = browser.execute_script(
            "const s = getComputedStyle(document.querySelector('.card'));"
            "const t = getComputedStyle(document.querySelector('.panel svg text'));"
            "return [s.backgroundColor, s.color, t.fill]"
        )
    assert seen["light"] != seen["dark"]
    assert all(a != b for a, b in zip(seen["light"], seen["dark"], strict=True))


def test_folded_sections_open_without_script(browser: Any, address: str) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(address)
        from selenium.webdriver.common.by import By

        summary = browser.find_element(By.CSS_SELECTOR, "#forest details summary")
        summary.click()
        assert browser.find_element(By.CSS_SELECTOR, "#forest details[open] table").is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
