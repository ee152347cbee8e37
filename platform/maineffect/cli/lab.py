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
    from maineffect.journey.read.measure import shortcut_table
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
    from maineffect.journey.read.measure import battery_of

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
    from maineffect.journey.read.measure import calibrate as find

    output.json_mode = output.json_mode or as_json
    if low >= high:
        raise UsageError(f"--low {low:g} is not below --high {high:g}", "for example --low 0.4 --high 0.7")
    document = find(sweep, response, (low, high), place_of(home, tracking_uri), output.say)
    output.document(document)
    scores = ", ".join(f"{row['difficulty']}: {row['score']:.3f}" for row in document["scores"])
    where = "inside" if document["inside"] else "nearest to"
    output.result(
        f"{document['response']} of {document['run']} by difficulty: {scores}\n"
        f"difficulty {document['difficulty']} is {where} {low:g}–{high:g}; in the next study:\n"
        f"settings: {{evaluation: {{difficulty: {document['difficulty']}, anchors: 10}}}}"
    )


@lab.command()
def reliability(
    sweep: SweepRef = "latest",
    response: Annotated[
        str | None, typer.Option("--response", help="Ranks the runs, of which some are measured; default: the first.")
    ] = None,
    runs: Annotated[int, typer.Option("--runs", min=1, help="Runs to train again, from the best to the worst.")] = 3,
    repeats: Annotated[int, typer.Option("--repeats", min=2, help="Measurements of each policy, of each kind.")] = 5,
    tracking_uri: TrackingUri = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Measure trained policies again: how repeatable is every response, and what can one run's score tell?

    Example: maineffect lab reliability evidence-regimes --runs 3 --repeats 5
    """
    from maineffect.journey.read.measure import measured_again

    output.json_mode = output.json_mode or as_json
    place = place_of(home, tracking_uri)
    with counting(output, "measurements") as tell:
        document = measured_again(sweep, response, runs, repeats, place, output.say, tell)
    output.document(document)
    head = ["response", "value", "same items", "at T = 1", "other items (SEM)", "runs", "reliability", "detectable"]
    output.result(table(head, [_repeated(row) for row in document["responses"]]))
    measured = f"{len(document['runs'])} of {document['finished']} policies, {repeats} times each"
    output.result(
        f"{document['sweep']}: {measured}. value: of the first; then standard deviations between samplings on the same "
        "items (0: the battery is decoded greedily), mean ± SD of the battery sampled at temperature 1, standard "
        "deviations between item draws and between the sweep's runs; reliability: 1 − SEM²/SD² of the runs; "
        "detectable: 1.96·√2·SEM."
    )


def _repeated(row: dict[str, Any]) -> list[str]:
    shared = row["reliability"]
    return [
        row["response"],
        f"{row['value']:.3f}",
        f"{row['resampled_sd']:.4f}",
        "" if row["tempered"] is None else f"{row['tempered']:.3f} ± {row['tempered_sd']:.3f}",
        f"{row['sem']:.4f}",
        "" if row["observed_sd"] is None else f"{row['observed_sd']:.4f}",
        "" if shared is None else f"{shared:.2f}",
        f"{row['detectable']:.3f}",
    ]
