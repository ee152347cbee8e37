"""The verbs ``lab …``: how good the built-in measurement is."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from maineffect.cli.console import output, table
from maineffect.cli.options import Home, Json, StudyPath, SweepRef, TrackingUri, place_of
from maineffect.cli.watch import counting

__all__ = ["lab"]

lab = typer.Typer(help="The built-in search lab: its battery, its shortcuts, its difficulty.", no_args_is_help=True)


@lab.command()
def baselines(study: StudyPath, as_json: Json = False) -> None:
    """Let scripted shortcuts play a study's battery: which probes tell reasoning from pattern matching?

    Example: maineffect lab baselines experiments/01_evidence_regimes/study.yaml
    """
    from maineffect.measuring import shortcut_table
    from maineffect.spec.load import load_study

    output.json_mode = output.json_mode or as_json
    document = shortcut_table(load_study(study), study.parent)
    output.document(document)
    names = list(document["probes"][0]["scores"])
    rows = [[name, *(f"{row['scores'][name]:.2f}" for row in document["probes"])] for name in names]
    output.result(table(["policy", *(str(i + 1) for i in range(len(document["probes"])))], rows))
    output.result("")
    output.result(table(["", "probe", "headroom", "best shortcut", ""], _leads(document)))


def _leads(document: dict[str, Any]) -> list[list[str]]:
    return [
        [
            str(i + 1),
            row["probe"],
            f"{row['headroom']:.2f}",
            row["best_shortcut"],
            "" if row["discriminating"] else "not discriminating",
        ]
        for i, row in enumerate(document["probes"])
    ]


@lab.command()
def battery(
    sweep: SweepRef = "latest", tracking_uri: TrackingUri = None, home: Home = None, as_json: Json = False
) -> None:
    """Judge a sweep's items: difficulty, discrimination, information, saturation, smallest detectable change.

    Example: maineffect lab battery capability-map
    """
    from maineffect.measuring import battery_of

    output.json_mode = output.json_mode or as_json
    with counting(output, "runs' items read") as tell:
        name, summary = battery_of(sweep, place_of(home, tracking_uri), tell)
    output.document({"schema_version": 1, "sweep": name, **summary.to_dict()})
    output.result("\n".join([name, *summary.lines()]))


@lab.command()
def calibrate(
    sweep: SweepRef = "latest",
    response: Annotated[str, typer.Option("--response", help="Which of the sweep's responses decides.")] = "triad",
    low: Annotated[float, typer.Option("--low", min=0, max=1, help="Lowest wanted score of the best policy.")] = 0.4,
    high: Annotated[float, typer.Option("--high", min=0, max=1, help="Highest wanted score.")] = 0.7,
    tracking_uri: TrackingUri = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Find the battery's difficulty at which the best policy of a sweep neither fails nor passes everything.

    Example: maineffect lab calibrate capability-map --response triad
    """
    from maineffect.errors import UsageError
    from maineffect.measuring import calibrate as find

    output.json_mode = output.json_mode or as_json
    if low >= high:
        raise UsageError(f"--low {low:g} is not below --high {high:g}", "for example --low 0.4 --high 0.7")
    document = find(sweep, response, (low, high), place_of(home, tracking_uri), output.say)
    output.document(document)
    scores = ", ".join(f"{row['difficulty']}: {row['score']:.3f}" for row in document["scores"])
    found = "inside" if document["inside"] else "nearest to"
    output.result(
        f"{document['response']} of {document['run']} by difficulty: {scores}\n"
        f"difficulty {document['difficulty']} is {found} {low:g}–{high:g}; in the next study:\n"
        f"settings: {{evaluation: {{difficulty: {document['difficulty']}, anchors: 10}}}}"
    )
