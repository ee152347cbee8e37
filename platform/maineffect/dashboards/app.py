"""The dashboard's pages, run by Streamlit: sweeps, one sweep live, findings, a run, failed runs."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import Any

import streamlit as st

from maineffect.dashboards import reading
from maineffect.dashboards.markup import STYLE, paragraph, run_grid, table, transcript
from maineffect.errors import MaineffectError
from maineffect.journey.plan.place import Place
from maineffect.journey.read.sweeps import counts_by_sweep, sweeps
from maineffect.report.content.wording import number, seconds, signed

__all__ = ["main"]

VIEWS = ("Live", "Findings", "A run", "Failed runs")
_REFRESH = 3.0
_MOST_SIDE_BY_SIDE = 4
_CURVE = 560
_STATES = ("finished", "running", "failed")


def main() -> None:
    """Draw the page that the address asks for."""
    st.set_page_config(page_title="maineffect", layout="wide")
    st.html(STYLE)
    if not _admitted():
        return
    place = reading.place_of_environment()
    try:
        sweep_records = sweeps(place)
        asked = st.query_params.get("sweep", "")
        names = ["all sweeps", *(sweep["sweep"] for sweep in sweep_records)]
        at = names.index(asked) if asked in names else 0
        chosen = st.sidebar.selectbox("Sweep", names, index=at, key="sweep")
        if chosen == names[0]:
            st.query_params.clear()
            _sweeps(sweep_records, place)
            return
        st.query_params["sweep"] = chosen
        asked_view = st.query_params.get("view", VIEWS[0])
        view = st.sidebar.radio("Page", VIEWS, index=VIEWS.index(asked_view) if asked_view in VIEWS else 0, key="view")
        st.query_params["view"] = view
        pages: dict[str, Callable[[str, Place], None]] = dict(
            zip(VIEWS, (_live, _findings, _run, _failed), strict=True)
        )
        pages[view](chosen, place)
    except MaineffectError as error:
        st.html(paragraph(f"{error}"))


def _admitted() -> bool:
    # Streamlit forgets a field that is no longer drawn, so what was typed into it is kept apart.
    given = st.session_state.get("token") or st.session_state.get("given", "") or st.query_params.get("token", "")
    if reading.admitted(given):
        st.session_state["given"] = given
        st.query_params.pop("token", None)  # what is copied from the address bar gives nothing away
        return True
    st.header("maineffect")
    st.text_input("Token", type="password", key="token", help="The one that `maineffect dash` was started with.")
    if given:
        st.error("This token is not the one that the dashboard was started with.")
    return False


def _sweeps(sweep_records: list[dict[str, Any]], place: Place) -> None:
    st.header("Which sweeps are there?")
    if not sweep_records:
        st.html(paragraph("None yet: maineffect submit STUDY"))
        return
    counts = counts_by_sweep(sweep_records, place)
    rows = [
        (s["sweep"], s["study"], s["begun"], s["runs"], *(counts[s["sweep"]].get(state, 0) for state in _STATES))
        for s in sweep_records
    ]
    columns = ("sweep", "study", "begun", "planned", *_STATES)
    st.html(table("Sweeps, newest first, and their runs by state", columns, rows, numeric=(3, 4, 5, 6)))
    st.caption("Choose one at the left.")


def _status(sweep: str, place: Place) -> dict[str, Any]:
    from maineffect.study import status

    return status(sweep, place)


@st.fragment(run_every=_REFRESH)  # type: ignore[untyped-decorator]
def _live(sweep: str, place: Place) -> None:
    status = _status(sweep, place)
    st.header(f"How far is {status['study']}?")
    counts = status["counts"]
    st.progress(counts["finished"] / max(1, status["planned"]), f"{counts['finished']} of {status['planned']} finished")
    for column, (name, count) in zip(st.columns(len(counts)), counts.items(), strict=True):
        column.metric(name, count)
    cost = status["cost"]
    left = seconds(status["seconds_left"]) if status["seconds_left"] is not None else "nothing is left"
    summary = f"{number(cost['gpu_hours'], 2)} GPU-hours, price {number(cost['price'], 2)}; time left: {left}"
    st.html(paragraph(f"{seconds(cost['run_seconds'])} of runs, {summary}"))
    if status["failure_classes"]:
        rows = [(c["class"], c["runs"], c["message"]) for c in status["failure_classes"]]
        st.html(table("Failures by class", ("class", "runs", "first line of the first"), rows, numeric=(1,)))
    if status["failed_at"] is not None:
        st.html(paragraph(f"{status['failed_at']['sentence']}."))
    st.html(run_grid(status["runs"]))
    _curves(sweep, place, status)
    every = [
        (r["run_id"], r["state"], r["attempts"], seconds(r["seconds"]), _levels(r["levels"])) for r in status["runs"]
    ]
    with st.expander("Every run"):
        st.html(table("Runs in order", ("run", "state", "attempts", "time", "levels"), every, numeric=(2, 3)))


def _levels(levels: dict[str, Any]) -> str:
    return ", ".join(f"{factor} = {value}" for factor, value in levels.items())


def _curves(sweep: str, place: Place, status: dict[str, Any]) -> None:
    from maineffect.report.charts.curves import curves_record, curves_spec
    from maineffect.report.charts.drawing import draw_svg

    partial_result = reading.curves_so_far(sweep, place, status)
    metrics = sorted({curve.metric for curve in partial_result.curves})
    if not metrics:
        st.caption("No run has logged a curve yet.")
        return
    left, right = st.columns(2)
    metric = left.selectbox("Curve", metrics, index=metrics.index("reward") if "reward" in metrics else 0)
    factor = right.selectbox("Split by", list(status["runs"][0]["levels"]))
    record = curves_record(partial_result, metric, factor)
    st.image(draw_svg(curves_spec(record)), width=_CURVE)
    rows = [(mean.name, number(mean.values[0]), number(mean.values[-1])) for mean in record.means]
    st.html(table(f"{metric}, mean over runs so far", (factor, "first", "last"), rows, numeric=(1, 2)))


def _analysed(sweep: str, place: Place) -> Any:
    from maineffect.study import analyse_sweep

    counts = _status(sweep, place)["counts"]
    kept = st.session_state.setdefault("analyses", {})
    key = (sweep, tuple(counts.values()))
    if key not in kept:
        kept.clear()
        kept[key] = analyse_sweep(sweep, place)
    return kept[key]


def _findings(sweep: str, place: Place) -> None:
    from maineffect.report.page import render_report

    st.header("What does it say so far?")
    with st.spinner("Analysing"):
        result = _analysed(sweep, place)
        rows = [
            (
                h.id,
                h.term,
                h.response,
                h.label or h.verdict,
                signed(h.estimate, 4),
                signed(h.ci_low, 4),
                signed(h.ci_high, 4),
            )
            for h in result.hypotheses
        ]
        columns = ("claim", "term", "response", "verdict", "effect", "from", "to")
        st.html(table("Registered hypotheses", columns, rows, numeric=(4, 5, 6)))
        page = render_report(result)
    if result.what_next is not None and any(proposal.runs for proposal in result.what_next.proposals):
        st.caption(f"What next? {result.what_next.proposals[0].title}: {result.what_next.proposals[0].why}.")
        st.code(shlex.join(["maineffect", "next", sweep, "--write", "follow-up.yaml"]), language=None)
    st.download_button("The report as one file", page, f"{sweep}.html", "text/html")
    st.components.v1.html(page, height=1400, scrolling=True)


def _run(sweep: str, place: Place) -> None:
    status = _status(sweep, place)
    runs = {run["run_id"]: run for run in status["runs"]}
    names = list(runs)
    asked = st.query_params.get("run", names[0])
    chosen = st.selectbox("Run", names, index=names.index(asked) if asked in names else 0)
    st.query_params["run"] = chosen
    run = runs[chosen]
    st.html(table(f"Levels of {chosen}", ("factor", "level"), list(run["levels"].items())))
    tries = "1 attempt" if run["attempts"] == 1 else f"{run['attempts']} attempts"
    st.html(paragraph(f"{run['state']}, {tries}, {seconds(run['seconds'])}"))
    _transcripts(runs, chosen, place)
    _logs(sweep, chosen, place)


def _transcripts(runs: dict[str, Any], chosen: str, place: Place) -> None:
    st.header("What did the policy do?")
    chosen_lines = _kept(runs[chosen], place)
    if not chosen_lines:
        st.caption("This run keeps no transcripts.")
        return
    items = {str(line.get("item_id", i)): line for i, line in enumerate(chosen_lines)}
    item = st.selectbox("Item", list(items))
    others = [run for run in runs.values() if run["run_id"] != chosen and run["state"] == "finished"]
    beside = st.multiselect(
        "The same item in", [run["run_id"] for run in others], max_selections=_MOST_SIDE_BY_SIDE - 1
    )
    shown = [chosen, *beside]
    for column, run_id in zip(st.columns(len(shown)), shown, strict=True):
        lines = {str(line.get("item_id", i)): line for i, line in enumerate(_kept(runs[run_id], place))}
        with column:
            st.html(paragraph(f"{run_id}: {_levels(runs[run_id]['levels'])}"))
            if item in lines:
                _one_transcript(lines[item])
            else:
                st.caption("This run did not keep the item.")


def _kept(run: dict[str, Any], place: Place) -> list[dict[str, Any]]:
    return reading.transcripts(run["tracking_run_id"], place) if run["tracking_run_id"] else []


def _one_transcript(line: dict[str, Any]) -> None:
    st.html(transcript(line.get("turns", [])))
    fields = [(key, value) for key, value in line.items() if key not in ("turns", "reward")]
    st.html(table("Answer and score", ("what", "value"), fields))
    parts = line.get("reward")
    if isinstance(parts, dict):
        st.html(table("Score by component", ("component", "points"), list(parts.items()), numeric=(1,)))


def _logs(sweep: str, run: str, place: Place) -> None:
    from maineffect.study import logs

    with st.expander("What it printed"):
        for attempt in logs(sweep, run, place)["attempts"]:
            st.html(paragraph(f"attempt {attempt['attempt']}: {attempt['state']}, {attempt['message'] or ''}"))
            st.code(attempt["traceback"] or attempt["output"] or "nothing", language=None)


def _failed(sweep: str, place: Place) -> None:
    status = _status(sweep, place)
    st.header("What failed, and why?")
    failures = status["failures"]
    if not failures:
        st.success("No run failed.")
        return
    if status["failed_at"] is not None:
        st.html(paragraph(f"{status['failed_at']['sentence']}."))
    rows = [(f["run_id"], _levels(f["levels"]), f["class"], f["attempts"], f["message"]) for f in failures]
    columns = ("run", "levels", "class", "attempts", "first line of the error")
    st.html(table("Failed runs", columns, rows, numeric=(3,)))
    chosen = st.multiselect("Only these (none chosen: all)", [f["run_id"] for f in failures])
    st.code(shlex.join(reading.resubmit_command(sweep, chosen)), language=None)
    count = len(chosen) or len(failures)
    sure = st.checkbox(f"Yes, run {count} of them again on this machine", key="sure")
    if st.button("Resubmit", disabled=not sure, key="resubmit") and sure:
        log = reading.start_resubmit(sweep, chosen or [f["run_id"] for f in failures], place)
        st.success("Started. The page Live shows how far it is.")
        st.html(paragraph(f"What it says goes to {log}"))


if __name__ == "__main__":
    main()
