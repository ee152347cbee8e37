"""Options that several verbs share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from maineffect.study import Place

__all__ = [
    "AcceptUnequal",
    "Address",
    "Continue",
    "Detach",
    "DryRun",
    "Home",
    "Json",
    "KeepResult",
    "Reuse",
    "SendCode",
    "StudyPath",
    "SweepRef",
    "Takeover",
    "TrackingUri",
    "Workers",
    "place_of",
]

StudyPath = Annotated[Path, typer.Argument(metavar="STUDY", help="The study file (YAML).", show_default=False)]
SweepRef = Annotated[
    str, typer.Argument(metavar="SWEEP", help="A sweep id, a study name (its latest sweep), or `latest`.")
]
Json = Annotated[bool, typer.Option("--json", help="Print exactly one JSON document on stdout.")]
Home = Annotated[
    Path | None, typer.Option("--home", help="Where runs, caches and the default ledger live. [.maineffect]")
]
TrackingUri = Annotated[
    str | None, typer.Option("--tracking-uri", help="MLflow store. [MAINEFFECT_TRACKING_URI or SQLite in the home]")
]
Address = Annotated[
    str | None, typer.Option("--address", help="Ray cluster to run on. [Ray is started on this machine]")
]
Workers = Annotated[int | None, typer.Option("--workers", min=1, help="Runs at the same time. [one per core]")]
Reuse = Annotated[
    bool | None,
    typer.Option(
        "--reuse-results/--no-reuse-results",
        help="Count results of another version of the trainable's code; or take nothing over from other sweeps. "
        "[what is the same in everything is reused]",
    ),
]
Takeover = Annotated[
    bool,
    typer.Option("--takeover", help="Give up attempts elsewhere that give no sign of life for five minutes."),
]
Detach = Annotated[
    bool,
    typer.Option("--detach", help="Let the driver run on the cluster; --address is its dashboard (http://…:8265)."),
]
SendCode = Annotated[
    bool,
    typer.Option(
        "--send-code",
        help="Send this machine's maineffect and the trainable's package along to the cluster, before what is there.",
    ),
]
Continue = Annotated[
    bool, typer.Option("--continue", help="Run the remaining waves although an interim look has ended the sweep.")
]
KeepResult = Annotated[
    bool,
    typer.Option("--keep-result", help="Record results that the ledger refused and that wait in their folders, first."),
]
AcceptUnequal = Annotated[
    bool,
    typer.Option(
        "--accept-unequal",
        help="Let tuned groups choose without trials that have failed. Groups with more trials find better values: the "
        "report says so beside the verdicts.",
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would run, and run nothing.")]


def place_of(
    home: Path | None,
    tracking_uri: str | None,
    address: str | None = None,
    workers: int | None = None,
    *,
    takeover: bool = False,
    send_code: bool = False,
) -> Place:
    """Where the verbs look and write: options over environment over defaults."""
    from maineffect.study import Place

    place = Place(tracking_uri=tracking_uri, address=address, workers=workers, takeover=takeover, send_code=send_code)
    return place if home is None else replace(place, home=home.absolute())
