"""The verb ``next``: what a finished sweep leaves open, and what would decide it at what price."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from maineffect.cli.console import output, table
from maineffect.cli.options import Home, Json, SweepRef, TrackingUri, place_of

__all__ = ["next_steps", "next_text"]


def next_steps(
    sweep: SweepRef = "latest",
    budget: Annotated[
        float | None,
        typer.Option("--budget", min=0.0, metavar="HOURS", help="Most GPU-hours (or core-hours) of the follow-up."),
    ] = None,
    write: Annotated[Path | None, typer.Option("--write", help="Write the study file of a line of the table.")] = None,
    choice: Annotated[int, typer.Option("--choice", min=1, help="Line that --write writes.")] = 1,
    tracking_uri: TrackingUri = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Show what to run after a finished sweep: questions expected to be decided per hour, with the reason.

    Example: maineffect next latest --budget 2 --write follow-up.yaml
    """
    output.json_mode = as_json
    from maineffect import study as journey

    document = journey.propose_next(sweep, place_of(home, tracking_uri), budget=budget, write=write, choice=choice)
    output.document(document)
    output.result(next_text(document))
    if document["file"]:
        output.say(f"next: maineffect check {document['file']}")
    elif document["proposals"] and document["proposals"][0]["kind"] != "stop":
        output.say(f"next: maineffect next {sweep} --write follow-up.yaml")


def next_text(document: dict[str, Any]) -> str:
    """The open questions, the proposals, and the rule of the verdicts."""
    unit = document["unit"]
    questions: list[list[object]] = [
        [q["id"], q["kind"], q["text"], q["raw"], q["shrunk"], q["std_error"]] for q in document["questions"]
    ]
    lines: list[list[object]] = [
        [i, p["kind"], p["title"], p["runs"], p["hours"], p["decided"], p["per_hour"], _chances(p)]
        for i, p in enumerate(document["proposals"], 1)
    ]
    rate = "decided per hour" if document["hours_per_run"] is not None else "decided per run"
    header = ["", "kind", "what", "runs", unit, "decides", rate, "with which chance"]
    parts = [f"{document['sweep']}: {len(questions)} open question(s)"]
    if questions:
        parts.append(table(["question", "kind", "in words", "estimate", "shrunk", "SE"], questions))
    parts.append(table(header, lines))
    parts.append("\n".join(f"{i}. {p['why']}" for i, p in enumerate(document["proposals"], 1)))
    if document["enough"] is None and any(q["kind"] == "registered" for q in document["questions"]):
        parts.append("no number of replicates tried gives every registered claim a chance of 80 %")
    parts += [f"no chance can be given for {sentence}" for sentence in document["left_out"]]
    return "\n\n".join([*parts, document["rule"]])


def _chances(proposal: dict[str, Any]) -> str:
    return ", ".join(f"{c['question']} {c['assurance']:.0%}" for c in proposal["chances"])
