"""The verbs before anything is paid for: ``design`` and ``power``, with their text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from maineffect.cli.console import output, table
from maineffect.cli.options import Home, Json, StudyPath, TrackingUri, place_of
from maineffect.cli.render import planned_sizes_document, planned_sizes_text
from maineffect.errors import UsageError

__all__ = ["counts", "design", "power", "power_text"]


def design(
    study: StudyPath,
    as_json: Json = False,
    csv: Annotated[Path | None, typer.Option("--csv", help="Also write the runs to a CSV file.")] = None,
) -> None:
    """Show the cells, the runs in order, aliases, efficiency against its bound, cost, smallest detectable effects.

    Example: maineffect design study.yaml --csv runs.csv
    """
    output.json_mode = as_json
    from maineffect import study as journey
    from maineffect.design.emit import design_csv, design_document
    from maineffect.design.show import design_text

    checked, detectable = journey.design(study)
    if csv is not None:
        csv.write_text(design_csv(checked.design), encoding="utf-8")
    document = {**design_document(checked.design, checked.plan_hash), "detectable": detectable}
    output.document({**document, **planned_sizes_document(checked)})
    output.result("\n\n".join(filter(None, [design_text(checked.design, detectable), planned_sizes_text(checked)])))
    output.say(f"next: maineffect power {study}")


def power(
    study: StudyPath,
    sigma: Annotated[float | None, typer.Option("--sigma", help="Standard deviation of a run.")] = None,
    pilot: Annotated[
        str | None, typer.Option("--pilot", metavar="SWEEP", help="Take each response's spread from a finished sweep.")
    ] = None,
    seed_sd: Annotated[float | None, typer.Option("--seed-sd", help="Between runs of a cell, items apart.")] = None,
    item_sd: Annotated[float | None, typer.Option("--item-sd", help="Of one item's score within a run.")] = None,
    items: Annotated[int | None, typer.Option("--items", min=1, help="Evaluation items per run.")] = None,
    wanted: Annotated[float, typer.Option("--power", min=0.5, max=0.999, help="Power wanted.")] = 0.8,
    replicates: Annotated[str, typer.Option("--replicates", help="Of the curve, such as 2,4,8. [1 to 8]")] = "",
    simulate: Annotated[
        int, typer.Option("--simulate", min=0, help="Simulate so many studies through the analysis itself.")
    ] = 0,
    effect: Annotated[
        float | None,
        typer.Option(
            "--effect",
            help="True effect, high minus low, in the responses' units; where claims go both ways, its size in each "
            "one's direction. [its smallest effect of interest]",
        ),
    ] = None,
    covariate_r2: Annotated[
        float | None,
        typer.Option("--covariate-r2", help="Share of a run's variance that analysis.covariates explain, as assumed."),
    ] = None,
    tau: Annotated[
        float | None,
        typer.Option("--tau", help="SD of an effect between seeds, in SDs of a run (analysis.inference: seeds)."),
    ] = None,
    tracking_uri: TrackingUri = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Show the smallest detectable effect per term, the power of each hypothesis over replicates, and the cost.

    Example: maineffect power study.yaml --pilot latest --simulate 200
    """
    output.json_mode = as_json
    from maineffect import study as journey
    from maineffect.cli.watch import counting

    question = journey.PowerQuestion(
        sigma, seed_sd, item_sd, items, pilot, wanted, counts(replicates), simulate, effect, covariate_r2, tau
    )
    with counting(output, "simulated studies") as on_study:
        document = journey.power(study, place_of(home, tracking_uri), question, on_study=on_study)
    output.document(document)
    output.result(power_text(document))


def counts(text: str) -> tuple[int, ...]:
    """Whole numbers of a list such as ``2,4,8``.

    Raises:
        UsageError: Something else is written there.
    """
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise UsageError(
            f"--replicates {text!r} is not a list of whole numbers", "such as --replicates 2,4,8"
        ) from None


def power_text(document: dict[str, Any]) -> str:
    """Terms, hypotheses, curve and simulation, each in a table with the reason where a number is missing."""
    parts = [
        f"{document['study']}: {document['n_runs']} runs; power {document['power']:.0%} at alpha {document['alpha']:g}",
        *_spread(document),
        *([document["covariates"]["note"]] if document.get("covariates") else []),
        _terms(document),
        *_hypotheses(document),
        *_simulated(document),
        *_curve(document),
        _cost(document),
    ]
    return "\n\n".join(part for part in parts if part)


def _spread(document: dict[str, Any]) -> list[str]:
    rows: list[list[object]] = [
        [name, spread["sigma"], spread["cautious"], spread["source"]] for name, spread in document["spread"].items()
    ]
    if not rows:
        return []
    advice = {spread["advice"] for spread in document["spread"].values() if spread["advice"]}
    header = ["response", "SD of a run", "upper 90 %", "from"]
    if any(spread["tau"] is not None for spread in document["spread"].values()):
        header.append("τ (effects between seeds, run SD)")
        rows = [[*row, spread["tau"]] for row, spread in zip(rows, document["spread"].values(), strict=True)]
    text = table(header, rows)
    return ["\n".join([text, *sorted(advice)])]


def _terms(document: dict[str, Any]) -> str:
    named = list(document["spread"])
    header = ["term", "stratum", "df", "error df", "smallest detectable (run SD)", *named]
    rows: list[list[object]] = []
    for row in document["terms"]:
        mde = row["mde_sigma"] if row["mde_sigma"] is not None else row["reason"]
        each = [(row["mde_by_response"][name] or {}).get("mde") for name in named]
        rows.append([row["term"], row["stratum"], row["df"], row["df_error"], mde, *each])
    return table(header, rows)


def _hypotheses(document: dict[str, Any]) -> list[str]:
    if not document["hypotheses"]:
        return []
    rows = []
    for entry in document["hypotheses"]:
        needed = document["needed"][entry["id"]]
        rows.append(
            [
                entry["id"],
                entry["term"],
                entry["response"],
                entry["effect"],
                entry["power_alone"],
                entry["power_in_family"],
                needed if needed is not None else entry.get("reason") or "more than shown",
            ]
        )
    header = ["hypothesis", "term", "response", "true effect", "power alone", "in the family", "replicates for it"]
    notes = [f"{entry['id']}: {entry['note']}" for entry in document["hypotheses"] if entry.get("note")]
    return ["\n".join([table(header, rows), *notes])]


def _simulated(document: dict[str, Any]) -> list[str]:
    if "simulated" not in document:
        return []
    rows = [
        [
            hypothesis["id"],
            hypothesis["effect"],
            hypothesis["alone"],
            hypothesis["alone_std_error"],
            hypothesis["supported"],
            hypothesis["supported_std_error"],
        ]
        for hypothesis in document["simulated"]
    ]
    header = ["simulated", "effect (run SD)", "own test rejects", "±", "claim upheld", "±"]
    studies = document["simulated"][0]["studies"]
    return [table(header, rows, title=f"{studies} studies through the analysis, correction and verdict rule included")]


def _curve(document: dict[str, Any]) -> list[str]:
    names = [entry["id"] for entry in document["hypotheses"]]
    rows = []
    for point in document["curve"]:
        limits = [mde for mde in point["mde_sigma"].values() if mde is not None]
        worst = max(limits) if limits and len(limits) == len(point["mde_sigma"]) else None
        rows.append([point["replicates"], point["runs"], worst, *(point["power"][name] for name in names)])
    return [table(["replicates", "runs", "largest detectable limit (run SD)", *(f"power {n}" for n in names)], rows)]


def _cost(document: dict[str, Any]) -> str:
    cost = document["cost"]
    text = f"cost: {cost['runs']} runs, at most {cost['gpu_hours_at_most']:g} GPU-hours"
    text += f", {cost['price_at_most']:g} in money" if cost["price_at_most"] else ""
    if "tuning_runs" in cost:
        text += (
            f"; tuning before them: {cost['tuning_runs']} runs, at most {cost['tuning_gpu_hours_at_most']:g} GPU-hours"
        )
    if (groups := document.get("tuned_groups")) is not None:
        text += (
            f"\n{groups['groups']} groups share a tuned value and add {groups['variance_ratio']:g} of a run's variance "
            "to the effects between them (tuning.variance_ratio)"
        )
    return text
