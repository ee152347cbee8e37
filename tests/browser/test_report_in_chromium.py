"""The report in a real headless Chromium: no error, no request, nothing overflows, dark mode is dark."""

from __future__ import annotations

import importlib.util
import shutil
import sys
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
def page() -> Any:
    return _simulated()


@pytest.fixture(scope="module")
def address(page: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    from maineffect.report.page import render_report

    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render_report(page), encoding="utf-8")
    return path.as_uri()


@pytest.mark.parametrize("width", [390, 1440])
def test_no_error_no_request_no_overflow(browser: Any, address: str, width: int) -> None:
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    )
    browser.get_log("performance")
    browser.get(address)
    _live(browser)
    browser.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
    wide = browser.execute_script(
        "return [document.documentElement.scrollWidth, document.documentElement.clientWidth, window.innerWidth]"
    )
    assert wide[0] <= wide[1]
    assert wide[2] == width
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
    asked = [e["message"] for e in browser.get_log("performance") if "Network.requestWillBeSent" in e["message"]]
    assert [message for message in asked if '"url":"http' in message] == []
    outside = browser.execute_script(
        "return [...document.querySelectorAll('svg')].filter(s => !s.closest('.wide')).filter(s => s.getBoundingClientRect().right > window.innerWidth + 1).length"
    )
    assert outside == 0


def _set(browser: Any, selector: str, value: str, event: str = "input") -> None:
    browser.execute_script(
        "const e = document.querySelector(arguments[0]); e.value = arguments[1];"
        "e.dispatchEvent(new Event(arguments[2], {bubbles: true}))",
        selector, value, event,
    )  # fmt: skip


def _live(browser: Any) -> None:
    from selenium.webdriver.support.wait import WebDriverWait

    ready = "return document.querySelector('.profiler')?.dataset.live === 'yes'"
    WebDriverWait(browser, 120, poll_frequency=0.05).until(lambda b: b.execute_script(ready))


_CURVE = "return document.querySelectorAll('.panel.live')[1].querySelector('.mark-line path').getAttribute('d')"


def _wait_for_another(browser: Any, script: str, old: Any) -> Any:
    from selenium.webdriver.support.wait import WebDriverWait

    WebDriverWait(browser, 60, poll_frequency=0.05).until(lambda b: b.execute_script(script) != old)
    return browser.execute_script(script)


def test_sliders_move_the_curve_and_tell_the_analysis_numbers(browser: Any, page: Any, address: str) -> None:
    browser.get(address)
    _live(browser)
    result, profiler = page, page.profiler
    first = profiler.responses["skill 0"].estimate
    said = "return document.querySelector('.profiler .now').textContent"
    assert f"{first[0]:.2f}" in browser.execute_script(said)
    before = browser.execute_script(_CURVE)
    _set(browser, ".profiler input[data-name=conflict]", "1")
    after = _wait_for_another(browser, _CURVE, before)
    assert after.startswith("M")
    moved = first[len(first) // 2]  # the first factor runs slowest
    assert f"{moved:.2f}" in browser.execute_script(said)
    assert browser.execute_script("return document.querySelector('.profiler output').textContent") == "1"
    _set(browser, ".profiler select", "1", "change")
    _wait_for_another(browser, _CURVE, after)
    other = profiler.responses[list(result.responses)[1]].estimate[len(first) // 2]
    assert f"{other:.2f}" in browser.execute_script(said)
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_sliders_work_in_a_sandboxed_frame(browser: Any, address: str, tmp_path: Path) -> None:
    """MLflow shows HTML artifacts in a frame that may run scripts and nothing else."""
    frame = tmp_path / "frame.html"
    frame.write_text(f'<iframe sandbox="allow-scripts" src="{address}" width="1200" height="900"></iframe>')
    browser.get(frame.as_uri())
    browser.switch_to.frame(0)
    try:
        _live(browser)
        before = browser.execute_script(_CURVE)
        _set(browser, ".profiler input[data-name=conflict]", "1")
        _wait_for_another(browser, _CURVE, before)
    finally:
        browser.switch_to.default_content()


def test_a_click_on_a_head_sorts_the_table(browser: Any, page: Any, address: str) -> None:
    browser.get(address)
    column = (
        "return [...document.querySelectorAll('#forest table')[0].tBodies[0].rows].map(r => r.cells[2].textContent)"
    )
    click = "document.querySelectorAll('#forest table')[0].querySelectorAll('thead button')[2].click()"

    def numbers() -> list[float]:
        return [float(text.replace("\u2212", "-")) for text in browser.execute_script(column)]

    known = sorted(effect.estimate for effect in page.responses["skill 0"].effects)
    assert numbers() != sorted(numbers())
    browser.execute_script(click)
    assert numbers() == sorted(numbers())
    assert numbers() == pytest.approx(known, abs=0.01)
    head = (
        "return document.querySelectorAll('#forest table')[0].querySelectorAll('thead th')[2].getAttribute('aria-sort')"
    )
    assert browser.execute_script(head) == "ascending"
    browser.execute_script(click)
    assert numbers() == sorted(numbers(), reverse=True)


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_axe_finds_no_serious_violation(browser: Any, address: str, mode: str) -> None:
    axe = pytest.importorskip("axe_core_python", reason="axe-core-python is in the dev extra")
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": mode}]}
    )
    browser.get(address)
    _live(browser)
    browser.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
    browser.execute_script(Path(axe.__file__).with_name("axe.min.js").read_text(encoding="utf-8"))
    found = browser.execute_async_script("const done = arguments[0]; axe.run().then(r => done(r))")
    assert len(found["passes"]) > 15
    bad = [
        (v["id"], v["help"], [node["html"][:160] for node in v["nodes"][:3]])
        for v in found["violations"]
        if v["impact"] in ("serious", "critical")
    ]
    assert bad == []


def test_dark_mode_is_dark_and_charts_follow(browser: Any, address: str) -> None:
    seen = {}
    for mode in ("light", "dark"):
        browser.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": mode}]}
        )
        browser.get(address)
        browser.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
        seen[mode] = browser.execute_script(
            "const s = getComputedStyle(document.querySelector('.card'));"
            "const t = getComputedStyle(document.querySelector('#forest .panel svg text'));"
            "return [s.backgroundColor, s.color, t.fill]"
        )
    assert seen["light"] != seen["dark"]
    assert all(a != b for a, b in zip(seen["light"], seen["dark"], strict=True))


@pytest.mark.parametrize(("width", "screens"), [(1440, 6), (390, 12)])
def test_the_first_screen_decides_and_the_rest_is_folded(browser: Any, address: str, width: int, screens: int) -> None:
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    )
    browser.get(address)
    top = "return document.querySelector(arguments[0]).getBoundingClientRect().top"
    assert browser.execute_script(top, "#verdicts .strip") < 500
    if width == 1440:
        assert browser.execute_script(top, "#next") < 900
    assert browser.execute_script("return document.documentElement.scrollHeight") <= screens * 900
    folded = "return [...document.querySelectorAll('.card')].filter(c => c.querySelector(':scope > details:not([open])')).length"
    assert browser.execute_script(folded) >= 8


def test_a_link_unfolds_what_it_leads_to(browser: Any, address: str) -> None:
    browser.get(f"{address}#pareto")
    opened = "return document.querySelector(arguments[0]).open"
    assert browser.execute_script(opened, "#pareto > details")
    assert not browser.execute_script(opened, "#curves > details")
    browser.execute_script("location.hash = '#curves'")
    browser.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
    assert browser.execute_script(opened, "#curves > details")
    assert browser.execute_script("return document.getElementById('H1').classList.contains('verdict')")


def test_folded_sections_open_without_script(browser: Any, address: str) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(address)
        from selenium.webdriver.common.by import By

        browser.find_element(By.CSS_SELECTOR, "#forest details summary").click()
        assert not browser.find_element(By.CSS_SELECTOR, ".profiler .panel svg").is_displayed()
        browser.find_element(By.CSS_SELECTOR, "#profiler > details > summary").click()
        assert browser.find_element(By.CSS_SELECTOR, "#forest details[open] table").is_displayed()
        assert browser.find_element(By.CSS_SELECTOR, ".profiler .panel svg").is_displayed()
        assert not browser.find_element(By.CSS_SELECTOR, ".profiler .controls").is_displayed()
        assert browser.find_element(By.CSS_SELECTOR, ".profiler .still").is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
