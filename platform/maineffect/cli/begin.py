"""The verbs before there is a sweep, and the list of those that there are: ``init``, ``try``, ``sweeps``."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated, Any

import typer

from maineffect.cli.console import output, table
from maineffect.cli.options import Home, Json, StudyPath, TrackingUri, place_of
from maineffect.errors import UsageError

__all__ = ["examples", "init", "sweeps", "try_out"]

_MOST_MEASURES = 12


def init(
    name: Annotated[Path, typer.Argument(metavar="NAME", help="A new folder; its name becomes the study's.")],
    function: Annotated[bool, typer.Option("--function", help="Your own Python function. [this one]")] = False,
    command: Annotated[bool, typer.Option("--command", help="Your own script is run.")] = False,
    lab: Annotated[bool, typer.Option("--lab", help="The built-in search lab.")] = False,
    trl: Annotated[bool, typer.Option("--trl", help="TRL's GRPOTrainer in the search world.")] = False,
    as_json: Json = False,
) -> None:
    """Write a commented study to begin with, what it trains, and the schema for editors.

    Example: maineffect init --command my-study
    """
    output.json_mode = as_json
    from maineffect import study as journey

    wanted = [kind for kind, on in (("function", function), ("command", command), ("lab", lab), ("trl", trl)) if on]
    if len(wanted) > 1:
        raise UsageError(f"--{wanted[0]} and --{wanted[1]} are two kinds of study", "choose one")
    files = journey.init(wanted[0] if wanted else "function", name)
    output.document({"schema_version": 1, "files": [str(file) for file in files]})
    output.result("\n".join(str(file) for file in files))
    output.say(f"next: maineffect try {files[0]}")


def examples(as_json: Json = False) -> None:
    """List the studies that init writes: each is small, runs as it stands, and says in comments what to change.

    Example: maineffect examples
    """
    output.json_mode = as_json
    from maineffect import study as journey

    rows = [
        {"kind": kind, "what": what, "command": f"maineffect init --{kind} my-{kind}"}
        for kind, what in journey.EXAMPLES.items()
    ]
    output.document({"schema_version": 1, "examples": rows})
    output.result(table(("command", "what"), [(row["command"], row["what"]) for row in rows]))


def try_out(
    study: StudyPath,
    cell: Annotated[str, typer.Option("--cell", help="Id of a cell or a run, or how it begins. [the first run]")] = "",
    given: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A setting of this run; may be repeated."),
    ] = None,
    whole: Annotated[bool, typer.Option("--whole", help="At full length, where it would be shortened.")] = False,
    as_json: Json = False,
) -> None:
    """Run one cell in this process and hold what comes back to what the study declares; nothing is recorded.

    Example: maineffect try study.yaml --set steps=20
    """
    output.json_mode = as_json
    from maineffect import study as journey

    with redirect_stdout(sys.stderr):
        document = journey.try_study(study, cell=cell, settings=_settings(given or ()), whole=whole)
    output.document(document)
    output.result(_text(document))
    output.say(f"next: maineffect register {study}")


def sweeps(tracking_uri: TrackingUri = None, home: Home = None, as_json: Json = False) -> None:
    """List the sweeps of a store, newest first, and how far each is.

    Example: maineffect sweeps --home .maineffect
    """
    output.json_mode = as_json
    from maineffect import study as journey

    document = journey.sweeps(place_of(home, tracking_uri))
    output.document(document)
    rows = [(row["sweep"], row["begun"], row["runs"], *row["counts"].values()) for row in document["sweeps"]]
    if not rows:
        output.result("no sweep yet")
        output.say("next: maineffect init NAME, or maineffect submit STUDY")
        return
    output.result(table(("sweep", "begun", "runs", *document["sweeps"][0]["counts"]), rows))
    output.say(f"next: maineffect status {rows[0][0]}")


def _settings(given: list[str] | tuple[str, ...]) -> dict[str, Any]:
    """``train.steps=3`` → {"train.steps": 3}, values read as in a study file."""
    from maineffect.errors import SpecError
    from maineffect.spec.yaml_lines import parse_yaml

    settings: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"--set {text!r} names no value", "write --set train.steps=3")
        read = parse_yaml(value, Path(f"--set {name}"))
        if read.problems:
            raise SpecError(read.problems)
        settings[name] = read.value
    return settings


def _text(document: dict[str, Any]) -> str:
    levels = ", ".join(f"{name} = {value}" for name, value in document["levels"].items())
    how = ", shortened, so the numbers mean nothing" if document["shortened"] else ""
    lines = [f"{document['run_id']} ({levels}){how}: {document['seconds']:.1f} s"]
    rows = [(name, value, "declared") for name, value in document["responses"].items()]
    rows += [(name, value, "") for name, value in list(document["measures"].items())[:_MOST_MEASURES]]
    lines.append(table(("returned", "value", ""), rows))
    if (more := len(document["measures"]) - _MOST_MEASURES) > 0:
        lines.append(f"and {more} more that the study does not declare")
    metrics = ", ".join(f"{name} ({count})" for name, count in list(document["metrics"].items())[:_MOST_MEASURES])
    lines.append(f"curves: {metrics or 'none; context.log(step, {…}) makes them'}")
    if document["checkpoints"] or not document["shortened"]:
        lines.append(f"checkpoints: {document['checkpoints'] or 'none; a run that is interrupted starts anew'}")
    if document["progress"] is None:
        lines.append("progress: none; context.progress(done, of) shows how far a run is")
    return "\n".join(lines)
