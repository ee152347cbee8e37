"""The dashboard's pages by Streamlit's AppTest: their numbers are the ledger's and the analysis's."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("streamlit", reason="the dashboard extra is not installed")

import maineffect.dashboards
from maineffect.dashboards.launch import command
from maineffect.dashboards.markup import table, transcript
from maineffect.dashboards.reading import TOKEN, admitted
from maineffect.report.content.wording import signed

pytestmark = pytest.mark.ray
APP = Path(maineffect.dashboards.__file__).with_name("app.py")


def _page(**query: str) -> Any:
    from streamlit.testing.v1 import AppTest

    app = AppTest.from_file(str(APP), default_timeout=60)
    for key, value in query.items():
        app.query_params[key] = value
    app.run()
    assert not app.exception
    return app


def _html(app: Any) -> str:
    return "\n".join(element.proto.body for element in app.get("html"))


@pytest.fixture(autouse=True)
def _environment(watched: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAINEFFECT_HOME", str(watched.home))
    monkeypatch.delenv(TOKEN, raising=False)
    monkeypatch.delenv("MAINEFFECT_TRACKING_URI", raising=False)


@pytest.fixture(scope="module")
def sweep(watched: Any) -> str:
    return str(watched.document("status", "latest")["sweep"])


def test_texts_of_users_are_escaped() -> None:
    made = table("<c>", ["<h>"], [["<script>x</script>", None]]) + transcript([{"by": "<x>", "text": "<img src=y>"}])
    assert "<script" not in made
    assert "<img" not in made
    assert "<h>" not in made
    assert '<th scope="row">&lt;script&gt;' in made


def test_token(monkeypatch: pytest.MonkeyPatch) -> None:
    assert admitted("")
    monkeypatch.setenv(TOKEN, "sesame")
    assert not admitted("")
    assert not admitted("sesam")
    assert admitted("sesame")


def test_only_this_machine_is_served_and_nothing_is_told() -> None:
    words = command(8787)
    assert "--server.address=127.0.0.1" in words
    assert "--browser.gatherUsageStats=false" in words


def test_a_wrong_token_sees_nothing(monkeypatch: pytest.MonkeyPatch, sweep: str) -> None:
    monkeypatch.setenv(TOKEN, "sesame")
    app = _page(sweep=sweep)
    assert sweep not in _html(app)
    assert not app.sidebar.selectbox
    app.text_input(key="token").input("wrong").run()
    assert "not the one" in app.error[0].value
    assert not app.sidebar.selectbox
    app.text_input(key="token").input("sesame").run()
    assert app.sidebar.selectbox(key="sweep").value == sweep
    app.sidebar.radio(key="view").set_value("Failed runs").run()
    app.sidebar.radio(key="view").set_value("Live").run()
    assert app.sidebar.selectbox(key="sweep").value == sweep, "the token holds for the whole session"


def test_the_token_of_the_address_opens_the_pages_and_leaves_it(monkeypatch: pytest.MonkeyPatch, sweep: str) -> None:
    monkeypatch.setenv(TOKEN, "sesame")
    assert not _page(token="wrong").sidebar.selectbox
    app = _page(token="sesame", sweep=sweep)
    assert app.sidebar.selectbox(key="sweep").value == sweep
    assert "token" not in app.query_params
    app.sidebar.radio(key="view").set_value("Live").run()
    assert app.sidebar.selectbox(key="sweep").value == sweep, "it holds for the whole session"


def test_sweeps_and_live_page(watched: Any, sweep: str) -> None:
    app = _page()
    assert sweep in _html(app)
    app.sidebar.selectbox(key="sweep").select(sweep).run()
    status = watched.document("status", sweep)
    assert {m.label: int(m.value) for m in app.metric} == status["counts"]
    assert status["counts"]["failed"] == 1
    assert "planned &lt;b&gt;failure&lt;/b&gt;" in _html(app)
    assert "reward, mean over runs so far" in _html(app)
    app.sidebar.radio(key="view").set_value("Findings").run()
    assert app.get("iframe")
    assert app.query_params["view"] in ("Findings", ["Findings"])


def test_findings_are_the_analysis(watched: Any, sweep: str) -> None:
    app = _page(sweep=sweep, view="Findings")
    result = watched.document("analyse", sweep)
    hypothesis = result["hypotheses"][0]
    html = _html(app)
    for number in (hypothesis["estimate"], hypothesis["ci_low"], hypothesis["ci_high"]):
        assert signed(number, 4) in html
    assert hypothesis["verdict"] in html
    assert "What does this study say?" in app.get("iframe")[0].proto.srcdoc


def test_a_run_with_its_transcript(watched: Any, sweep: str) -> None:
    run = next(run for run in watched.document("status", sweep)["runs"] if run["state"] == "finished")
    app = _page(sweep=sweep, view="A run", run=run["run_id"])
    html = _html(app)
    assert "Who &lt;i&gt;did&lt;/i&gt; it?" in html
    assert f"search {run['levels']['a']}" in html
    assert "&lt;img src=http://example.org/x&gt;" in html
    assert "<img" not in html
    assert "-0.25" in html
    other = next(name for name in app.multiselect[0].options if name != run["run_id"])
    app.multiselect[0].select(other).run()
    assert _html(app).count("Who &lt;i&gt;did&lt;/i&gt; it?") == 2


@pytest.mark.slow  # a real resubmission behind the button
def test_a_failed_run_is_found_and_resubmitted_after_confirmation(watched: Any, sweep: str) -> None:
    (watched.folder / "mended").touch()
    app = _page(sweep=sweep, view="Failed runs")
    failed = watched.document("status", sweep)["failures"][0]
    assert failed["run_id"] in _html(app)
    assert "planned &lt;b&gt;failure&lt;/b&gt;" in _html(app)
    app.multiselect[0].select(failed["run_id"]).run()
    assert app.code[0].value == f"maineffect resubmit {sweep} --run {failed['run_id']}"
    assert app.button(key="resubmit").disabled
    app.checkbox(key="sure").check().run()
    app.button(key="resubmit").click().run()
    assert app.success[0].value.startswith("Started")
    deadline = time.monotonic() + 120
    while (counts := watched.document("status", sweep)["counts"])["finished"] < 8 and time.monotonic() < deadline:
        time.sleep(1)
    logs = "".join(path.read_text() for path in (watched.home / "resubmits").glob("*.log"))
    assert counts["finished"] == 8, logs
