"""Sweeps as a user reads them: what would run, what ended how, and what to type next."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import typer

from maineffect.cli.console import output, table
from maineffect.preparation import is_preparatory

if TYPE_CHECKING:
    from maineffect.study import Place

__all__ = ["finish", "show_detached", "show_preview", "show_status", "status_text"]

_MOST_ROWS = 30
_MOST_NAMES = 5
_LOOK_SECONDS = 2.0
_QUIET_SECONDS = 60.0
_SETTLING_SECONDS = 10.0
_MOST_UNANSWERED = 10


def show_preview(document: dict[str, Any]) -> None:
    """Print what would run."""
    output.document(document)
    rows = [[row["order"], row["run_id"], row["replicate"], _levels(row["levels"])] for row in document["would_run"]]
    head = (
        f"{document['sweep']}: {len(rows)} of {document['planned']} runs would start, "
        f"{document['finished']} are finished, {document['failed_left']} failed ones are left to `resubmit`"
    )
    head = "\n".join([*document["notices"], head])
    output.result("\n".join([head, "", table(["order", "run", "replicate", "levels"], rows)]) if rows else head)


def finish(document: dict[str, Any]) -> None:
    """Print how a submission ended; exit 5 when runs failed or are missing."""
    output.document(document)
    output.result(document["sweep"])
    output.say(status_text(document))
    output.say(f"next: {document['next']}")
    if _undone(document):
        raise typer.Exit(5)


def show_detached(document: dict[str, Any]) -> None:
    """Print which job drives a sweep on the cluster now."""
    output.document(document)
    output.result(document["sweep"])
    state = "drives it" if document["created"] else "was driving it already"
    output.say(f"job {document['job']} at {document['address']} {state}; this machine is no longer needed")
    output.say(f"next: maineffect status {document['sweep']} --watch")
    output.say(f"what it says itself: maineffect logs --job {document['sweep']}")


def show_status(sweep: str, place: Place, *, watch: bool) -> None:
    """Print the state of a sweep; with ``watch``, when nothing runs any more, and meanwhile how far it is."""
    from maineffect import study as journey
    from maineffect.journey.run.detached import driver_state
    from maineffect.journey.run.unheard import Listener

    unanswered = _MOST_UNANSWERED  # a cluster that has never answered is not waited for
    dead_since: dict[str, float] = {}
    listener = Listener() if watch else None

    def look() -> dict[str, Any]:
        nonlocal unanswered
        document = journey.status(sweep, place, listener)
        if watch and _may_be_settled(document["interrupted"], dead_since):
            return {**document, "settling": True}
        if not (watch and _asks_for_job(document)):
            return document
        job = driver_state(document["job"])
        unanswered = 0 if job["status"] else unanswered + 1
        return {**document, "job": {**job, "active": job["active"] or 0 < unanswered < _MOST_UNANSWERED}}

    document = look()
    if watch and _goes_on(document):
        document = _watch(document, look)
    output.document(document)
    output.result(status_text(document))


def _may_be_settled(interrupted: list[str], dead_since: dict[str, float]) -> bool:
    """Whether a living driver may yet see to a dead attempt: it needs some seconds to notice."""
    now = time.monotonic()
    for run_id in interrupted:
        dead_since.setdefault(run_id, now)
    return any(now - dead_since[run_id] < _SETTLING_SECONDS for run_id in interrupted)


def _asks_for_job(document: dict[str, Any]) -> bool:
    """Whether it is for the driver on the cluster to say if anything comes: nothing runs, and not all is finished."""
    counts = document["counts"]
    return document["job"] is not None and not counts["running"] and _undone(document)


def _undone(document: dict[str, Any]) -> bool:
    """Whether a run without a result is still needed."""
    return bool(document["counts"]["finished"] + document["counts"].get("not_needed", 0) < document["planned"])


def _goes_on(document: dict[str, Any]) -> bool:
    """Whether something runs, or a driver on a cluster is about to start something."""
    return (
        _living(document) > 0 or document.get("settling", False) or bool((document["job"] or {}).get("active", False))
    )


def _named(names: list[str]) -> str:
    return ", ".join(names[:_MOST_NAMES]) + (", …" if len(names) > _MOST_NAMES else "")


def _living(document: dict[str, Any]) -> int:
    """Runs that run, as far as can be seen from here."""
    making = [row for row in document.get("preparations", ()) if row["state"] == "running"]
    unheard = len(document["interrupted"]) + len(document["silent"])
    return int(document["counts"]["running"]) + len(making) - unheard


def _watch(document: dict[str, Any], look: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Look again until nothing runs, nor will: the whole picture on a terminal, a line a minute anywhere else."""
    if not output.json_mode and sys.stdout.isatty():
        from rich.live import Live
        from rich.text import Text

        with Live(Text(status_text(document)), auto_refresh=False, transient=True) as live:
            while _goes_on(document):
                time.sleep(_LOOK_SECONDS)
                document = look()
                live.update(Text(status_text(document)), refresh=True)
        return document
    last = float("-inf")
    while _goes_on(document):
        if time.monotonic() - last >= _QUIET_SECONDS:
            last = time.monotonic()
            output.say(status_text(document).partition("\n")[0])
            if _asks_for_job(document):
                output.say(_job(document).partition("\n")[0])
        time.sleep(_LOOK_SECONDS)
        document = look()
    return document


def status_text(document: dict[str, Any]) -> str:
    """Counts, cost, budget, failures by class with what was said first, and the slowest runs."""
    counts = document["counts"]
    unheard = {"interrupted": len(document["interrupted"]), "silent": len(document["silent"])}
    gone = [run_id for run_id in (*document["interrupted"], *document["silent"]) if not is_preparatory(run_id)]
    seen = {**counts, "running": counts["running"] - len(gone), **unheard}
    order = ("finished", "failed", "running", "interrupted", "silent", "planned")
    parts = [f"{seen[state]} {state}" for state in order if seen[state]]
    lines = [f"{document['sweep']}: {', '.join(parts) or 'nothing'} of {document['planned']}"]
    lines += _preparing(document)
    lines += _stopped(document.get("stopped"))
    lines += [f"{count} of them reused from sweep {sweep}" for sweep, count in document["reused"].items()]
    if document["cancelled"]:
        lines.append("cancelled: nothing new starts until `maineffect resubmit`")
    if document["interrupted"]:
        named = _named(document["interrupted"])
        lines.append(f"interrupted: {named} (the process on this machine that ran it is gone)")
    if document["silent"]:
        named = _named([f"{run_id} on {host}" for run_id, host in document["silent"].items()])
        lines.append(f"silent: {named} (no sign of life for minutes; --takeover gives it up for lost)")
    if any(unheard.values()):
        lines.append(f"next: {document['next']}")
    if document["job"] is not None and _undone(document):
        lines.append(_job(document))
    lines.append(_cost(document["cost"]))
    if "time_limit" in document and _undone(document):
        limit = document["time_limit"]
        lines.append(f"time limit of a run: {_clock(limit['seconds'])} ({limit['from']})")
    if document["budget"] is not None:
        lines.append(_budget(document["budget"]))
    if document["seconds_left"] is not None and (counts["running"] or counts["planned"]):
        lines.append(f"about {_clock(document['seconds_left'])} left")
    slowest = [f"{run['run_id']} {_clock(run['seconds'])}" for run in document["slowest"]]
    if len(slowest) > 1:
        lines.append(f"slowest: {', '.join(slowest)}")
    if document["failures"]:
        if document.get("failed_at") is not None:
            lines += ["", document["failed_at"]["sentence"]]
        classes = [[c["class"], c["runs"], c["run_id"], c["message"][:100]] for c in document["failure_classes"]]
        lines += ["", table(["failure", "runs", "first", "message"], classes)]
        rows = [[f["run_id"], f["class"], f["attempts"], f["message"][:100]] for f in document["failures"][:_MOST_ROWS]]
        lines += ["", table(["run", "failure", "attempts", "message"], rows)]
        more = len(document["failures"]) - _MOST_ROWS
        lines += [f"… and {more} more: maineffect status {document['sweep']} --json"] if more > 0 else []
        lines.append(f"why: maineffect logs {document['failures'][0]['run_id']} {document['sweep']}")
    return "\n".join(lines)


def _preparing(document: dict[str, Any]) -> list[str]:
    """What is made, or could not be made, for runs to start from."""
    open_rows = [row for row in document.get("preparations", ()) if row["state"] != "finished"]
    if not open_rows:
        return []
    counts = Counter((row["what"], row["state"]) for row in open_rows)
    parts = [f"{count} {what}{'s' if count > 1 else ''} {state}" for (what, state), count in counts.items()]
    waits = f"{document['waiting']} runs wait" if document["waiting"] != 1 else "1 run waits"
    return [f"{', '.join(parts)}: {waits}"]


def _stopped(stop: dict[str, Any] | None) -> list[str]:
    """What a look that stopped the sweep said, and whether somebody went on."""
    if stop is None:
        return []
    if stop["continued_by"] is not None:
        return [f"goes on although {stop['said']} had ended it ({stop['continued_by']})"]
    return [f"stopped early, as registered: {stop['said']}", f"{stop['not_needed']} runs are {stop['label']}"]


def _job(document: dict[str, Any]) -> str:
    """The driver on the cluster: where it is, and, where that was asked, what became of it."""
    job, counts = document["job"], document["counts"]
    text = f"sent to a cluster as job {job['job']} at {job['address']}"
    if "status" not in job:
        return text
    if job["active"] and job["status"]:
        return f"{text}: {job['status'].lower()}"
    before = "" if counts["running"] + counts["finished"] + counts["failed"] else ", before any run began"
    ended = f"has ended ({job['status']})" if job["status"] else "cannot be asked"
    message = f": {job['message']}" if job["message"] else ""
    return f"{text}, which {ended}{before}{message}\nits own output: maineffect logs --job {document['sweep']}"


def _cost(cost: dict[str, Any]) -> str:
    text = f"run time so far {_clock(cost['run_seconds'])}, core-hours {cost['cpu_hours']:.2f}"
    text += f", GPU-hours {cost['gpu_hours']:.2f}" if cost["gpu_hours"] else ""
    return text + (f", price {cost['price']:.2f}" if cost["price"] else "")


def _budget(budget: dict[str, Any]) -> str:
    parts = [
        f"{budget['left'][name]:.2f} of {limit:g} {name.replace('_', '-')} left"
        for name, limit in budget["limits"].items()
    ]
    if budget["wall_seconds"] is not None:
        parts.append(f"{_clock(budget['wall_seconds'])} a submission")
    text = f"budget: {', '.join(parts)}"
    if budget["undone"]:
        text += f"; it bears {budget['bears']} more run(s), {budget['undone']} would be left undone"
    return text


def _levels(levels: dict[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in levels.items())


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
