"""The verb ``logs``: what a run printed, once or as it goes on."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from maineffect.cli.console import output
from maineffect.cli.options import Home, Json, TrackingUri, place_of

__all__ = ["fresh", "logs"]

_EVERY_SECONDS = 1.0
_OVERLAP = 2000


def logs(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run id, or the beginning of one.", show_default=False)],
    sweep: Annotated[
        str, typer.Argument(metavar="[SWEEP]", help="A sweep id, a study name (its latest sweep), or `latest`.")
    ] = "latest",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run has ended.")] = False,
    tracking_uri: TrackingUri = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Print what a run printed, its attempts, and why it failed.

    Example: maineffect logs c1a2b3 latest --follow
    """
    output.json_mode = as_json
    from maineffect import study as journey

    place = place_of(home, tracking_uri)
    document = journey.logs(sweep, run, place)
    told = _tell(document, {})
    while follow and document["state"] in ("running", "planned"):
        time.sleep(_EVERY_SECONDS)
        document = journey.logs(sweep, run, place)
        told = _tell(document, told)
    output.document(document)
    output.say(_standing(document))


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
        return f"{document['run_id']}: {document['state']}; taken over from {document['reused_from']}"
    if document["state"] == "planned" and not document["attempts"]:
        return f"{document['run_id']} has not started; next: maineffect submit STUDY"
    return f"{document['run_id']}: {document['state']}"
