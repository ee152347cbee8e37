"""The verbs ``optimise`` and ``confirm``: search from a finished sweep's runs, then the result on fresh seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from maineffect.cli.console import output, table
from maineffect.cli.options import (
    Address,
    DryRun,
    Home,
    Json,
    SendCode,
    SweepRef,
    Takeover,
    TrackingUri,
    Workers,
    place_of,
)
from maineffect.errors import UsageError

__all__ = ["confirm", "optimise", "search_text"]

_MOST = 12


def optimise(
    sweep: SweepRef,
    study: Annotated[
        Path | None, typer.Option("--study", help="What is looked for: a file with `optimise:`. [go on with SWEEP]")
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option(
            "--export", metavar="FILE.db", help="Write the search for optuna.load_study and optuna-dashboard."
        ),
    ] = None,
    address: Address = None,
    tracking_uri: TrackingUri = None,
    workers: Workers = None,
    home: Home = None,
    dry_run: DryRun = False,
    anew: Annotated[bool, typer.Option("--register-anew", help="Register a changed plan again.")] = False,
    takeover: Takeover = False,
    send_code: SendCode = False,
    as_json: Json = False,
) -> None:
    """Search for the best setting from a finished sweep's runs; prints what is recommended.

    Example: maineffect optimise evidence-regimes --study follow.yaml
    """
    output.json_mode = as_json
    from maineffect import study as journey
    from maineffect.cli.watch import progress

    place = place_of(home, tracking_uri, address, workers, takeover=takeover, send_code=send_code)
    if export is not None and export.exists():
        raise UsageError(f"{export} exists", "name another file, or remove it")
    if dry_run:
        if study is None:
            raise UsageError("--dry-run says what a file would run, and none is named", "add --study FILE")
        document = journey.preview_search(sweep, place, study)
        output.document(document)
        output.result(_preview_text(document))
        return
    with progress(output) as on_progress:
        document = journey.optimise(
            sweep, place, file=study, register_again=anew, on_progress=on_progress, on_notice=output.say
        )
    if export is not None:
        document["exported"] = {"file": str(export), "trials": journey.export_search(document["sweep"], place, export)}
    output.document(document)
    output.result(search_text(document))
    output.say(f"next: {document['next']}")
    if document["ended"] < document["planned"]:
        raise typer.Exit(5)


def confirm(
    sweep: SweepRef,
    choice: Annotated[
        int | None, typer.Option("--choice", min=1, help="Line of the Pareto front. [the recommended compromise]")
    ] = None,
    address: Address = None,
    tracking_uri: TrackingUri = None,
    workers: Workers = None,
    home: Home = None,
    takeover: Takeover = False,
    send_code: SendCode = False,
    as_json: Json = False,
) -> None:
    """Run what a search recommends beside the comparator, on fresh seeds, worlds and items.

    Example: maineffect confirm latest
    """
    output.json_mode = as_json
    from maineffect import study as journey
    from maineffect.cli.sweeps import finish
    from maineffect.cli.watch import progress

    place = place_of(home, tracking_uri, address, workers, takeover=takeover, send_code=send_code)
    with progress(output) as on_progress:
        status = journey.confirm(sweep, place, choice=choice, on_progress=on_progress, on_notice=output.say)
    finish(status)


def search_text(document: dict[str, Any]) -> str:
    """How far a search is, what it recommends, and the front where there is one."""
    head = (
        f"{document['sweep']}: {document['ended']} of {document['planned']} runs ended, from {document['known']} runs "
        f"of {document['from']} ({document['sampler']})"
    )
    parts = [head]
    if document["failures"]:
        rows = [[row["run_id"], row["class"], (row["message"] or "")[:100]] for row in document["failures"]]
        parts.append(table(["run", "failure", "message"], [list(row) for row in rows[:_MOST]]))
    best = document["recommended"]
    if best is None:
        return "\n\n".join(parts)
    parts.append(f"recommended: {_values(best['values'])}")
    predicted: list[list[object]] = [
        [
            p["name"],
            document["objectives"].get(p["name"]) or document["constraints"][p["name"]],
            p["estimate"],
            p["low"],
            p["high"],
            p["by"],
        ]
        for p in best["predictions"]
    ]
    parts.append(table(["number", "wanted", "predicted", "low", "high", "surrogate"], predicted))
    if best["front"]:
        names = [p["name"] for p in best["front"][0]["predictions"]]
        lines: list[list[object]] = [
            [i, _values(point["values"]), *(p["estimate"] for p in point["predictions"])]
            for i, point in enumerate(best["front"], 1)
        ]
        parts.append(table(["", "Pareto front", *names], lines))
    if best["on_edge"]:
        parts.append(f"on the edge of its range: {', '.join(best['on_edge'])}; the optimum may lie beyond")
    parts += best["notes"]
    if document["chosen"] is None:
        parts.append("What is predicted was chosen by the data: a claim needs the confirmation on fresh seeds.")
    if "exported" in document:
        parts.append(f"{document['exported']['trials']} trials in {document['exported']['file']}")
    return "\n\n".join(parts)


def _preview_text(document: dict[str, Any]) -> str:
    cost = document["cost"]
    hours = (
        f"{cost['gpu_hours']:.3g} GPU-hours" if cost.get("gpu_hours") else f"{cost.get('cpu_hours', 0):.3g} core-hours"
    )
    price = f", {cost['price']:.3g} in money" if cost.get("price") else ""
    return (
        f"{document['sweep']}: {document['runs']} runs in {document['batches']} batch(es) by {document['sampler']}, "
        f"from {document['known']} runs of {document['from']}; then {document['confirmation_runs']} runs to confirm\n"
        f"about {hours}{price} in all, at what a run of the sweep cost"
    )


def _values(values: dict[str, Any]) -> str:
    return ", ".join(
        f"{name} = {value:g}" if isinstance(value, float) else f"{name} = {value}" for name, value in values.items()
    )
