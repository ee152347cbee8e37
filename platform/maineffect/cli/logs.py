"""The verb ``logs``: what a run, or the driver of a sweep on a cluster, printed; once or as it goes on."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maineffect.cli.console import output
from maineffect.cli.options import Home, Json, TrackingUri, place_of
from maineffect.errors import UsageError

if TYPE_CHECKING:
    from maineffect.study import Place

__all__ = ["fresh", "logs"]

_EVERY_SECONDS = 1.0
_OVERLAP = 2000


def logs(
    run: Annotated[
        str | None, typer.Argument(metavar="RUN", help="A run id, or the beginning of one.", show_default=False)
    ] = None,
    sweep: Annotated[
        str, typer.Argument(metavar="[SWEEP]", help="A sweep id, a study name (its latest sweep), or `latest`.")
    ] = "latest",
    job: Annotated[
        str | None,
        typer.Option("--job", metavar="SWEEP", help="Instead of a run's: what the sweep's detached driver printed."),
    ] = None,
    driver: Annotated[
        str | None,
        typer.Option("--driver", metavar="SWEEP", help="Instead of a run's: what the drivers in this home decided."),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run or the job has ended.")] = False,
    address: Annotated[
        str | None, typer.Option("--address", help="With --job: the cluster's dashboard. [where it was submitted]")
    ] = None,
    tracking_uri: TrackingUri = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Print what a run printed, its attempts, and why it failed; or what a detached driver printed.

    Example: maineffect logs c1a2b3 latest --follow
    """
    output.json_mode = as_json
    from maineffect import study as journey

    place = place_of(home, tracking_uri, address)
    if driver is not None:
        document = journey.driver_record(driver, place)
        output.document(document)
        output.result(document["record"].removesuffix("\n"))
        return
    if job is not None:
        if run is not None:
            raise UsageError("logs shows a run or a job, not both", f"maineffect logs --job {job}")
        _show_driver(job, place, follow=follow)
        return
    if run is None:
        raise UsageError("no run is named", "maineffect logs RUN [SWEEP], or maineffect logs --job SWEEP")
    document = journey.logs(sweep, run, place)
    told = _tell(document, {})
    while follow and document["state"] in ("running", "planned"):
        time.sleep(_EVERY_SECONDS)
        document = journey.logs(sweep, run, place)
        told = _tell(document, told)
    output.document(document)
    output.say(_standing(document))


def _show_driver(sweep: str, place: Place, *, follow: bool) -> None:
    from maineffect.journey.run.detached import driver_logs

    document = driver_logs(sweep, place)
    text = document["output"]
    output.result(text.removesuffix("\n"))
    while follow and document["active"]:
        time.sleep(_EVERY_SECONDS)
        document = driver_logs(sweep, place)
        new = fresh(text, document["output"])
        text = document["output"]
        if new:
            output.result(new.removesuffix("\n"))
    output.document(document)
    message = f": {document['message']}" if document["message"] else ""
    output.say(f"── job {document['job']} at {document['address']}: {document['status']}{message}")


def _tell(document: dict[str, Any], told: dict[int, dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """Print what is new since ``told``; returns what is told now."""
    for attempt in document["attempts"]:
        number = attempt["attempt"]
        before = told.get(number)
        if before is None:
            output.say(_head(attempt))
        text = fresh((before or {}).get("output") or "", attempt["output"] or "")
        if text:
            output.result(text.removesuffix("\n"))
        ended = attempt["state"] != "running" and (before is None or before["state"] == "running")
        if ended and attempt["traceback"]:
            output.result(attempt["traceback"].removesuffix("\n"))
        if ended:
            output.say(_end(attempt))
    return {attempt["attempt"]: attempt for attempt in document["attempts"]}


def fresh(before: str, now: str) -> str:
    """What was printed since; of very long output only the end is kept, so the old text may begin elsewhere."""
    if now.startswith(before):
        return now[len(before) :]
    tail = before[-_OVERLAP:]
    place = now.rfind(tail)
    return now[place + len(tail) :] if place >= 0 else now


def _head(attempt: dict[str, Any]) -> str:
    where = f" on {attempt['owner']}" if attempt["owner"] else ""
    silent = "" if attempt["output"] else "; nothing printed is known here"
    return f"── attempt {attempt['attempt']}{where}{silent}"


def _end(attempt: dict[str, Any]) -> str:
    seconds = f" after {attempt['seconds']:.1f} s" if attempt["seconds"] else ""
    why = f" ({attempt['class']}): {attempt['message']}" if attempt["class"] else ""
    return f"── attempt {attempt['attempt']} {attempt['state']}{seconds}{why}"


def _standing(document: dict[str, Any]) -> str:
    if document["reused_from"]:
        return f"{document['run_id']}: {document['state']}; reused from {document['reused_from']}"
    if document["state"] == "planned" and not document["attempts"]:
        return f"{document['run_id']} has not started; next: maineffect submit STUDY"
    return f"{document['run_id']}: {document['state']}"
