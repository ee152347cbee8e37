"""The verb ``report``: one sweep's page, two sweeps side by side, figures for papers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maineffect.cli.console import output
from maineffect.cli.options import Home, Json, TrackingUri, place_of
from maineffect.errors import UsageError

if TYPE_CHECKING:
    from maineffect.analyse.record.result import AnalysisResult
    from maineffect.study import Place

__all__ = ["analysed", "report"]


def report(
    sweep: Annotated[
        str | None, typer.Argument(metavar="[SWEEP]", help="A sweep; or give --study and --table.")
    ] = None,
    other: Annotated[
        str | None, typer.Argument(metavar="[SWEEP]", help="Another sweep to set beside the first.")
    ] = None,
    study: Annotated[Path | None, typer.Option("--study", help="Study file, for a table made elsewhere.")] = None,
    table: Annotated[Path | None, typer.Option("--table", help="CSV or Parquet, one row a run.")] = None,
    out: Annotated[Path | None, typer.Option("--output", "-o", help="File to write.")] = None,
    form: Annotated[str, typer.Option("--format", help="html, md or json.")] = "html",
    figures: Annotated[
        Path | None, typer.Option("--figures", help="Folder for every figure as SVG, PNG and CSV.")
    ] = None,
    items: Annotated[
        bool, typer.Option("--items/--no-items", help="Whether to read every run's item scores, where they were kept.")
    ] = True,
    tracking_uri: TrackingUri = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Write the factor-attribution report: one self-contained HTML file. Two sweeps are compared.

    Example: maineffect report latest -o report.html

    Example: maineffect report evidence-regimes-1a2b3c4d evidence-regimes-5e6f7a8b
    """
    output.json_mode = as_json
    from maineffect import study as journey

    place = place_of(home, tracking_uri)
    result = analysed(sweep, study, table, place, items=items)
    if other is not None:
        _compare(result, other, place, out, form, figures)
        return
    path = journey.write_report(result, place, out=out, form=form)
    drawn = journey.write_figures(result, figures) if figures is not None else []
    document = {"schema_version": 1, "study": result.study, "file": str(path), "format": form}
    output.document({**document, "figures": [str(file) for file in drawn]})
    output.result(str(path))
    if figures is not None:
        output.say(f"{len(drawn)} files in {figures}")


def _compare(
    first: AnalysisResult, other: str, place: Place, out: Path | None, form: str, figures: Path | None
) -> None:
    from maineffect import study as journey

    if figures is not None:
        raise UsageError("--figures is for one sweep", "leave out the second sweep, or leave out --figures")
    comparison, path = journey.write_comparison(first, journey.analyse_sweep(other, place), place, out=out, form=form)
    comparison_data = comparison.model_dump(mode="json", exclude={"schema_version"})
    output.document({"schema_version": 1, "file": str(path), "format": form, "comparison": comparison_data})
    output.result(str(path))


def analysed(
    sweep: str | None,
    study: Path | None,
    table: Path | None,
    place: Place,
    *,
    look: bool = False,
    items: bool = False,
) -> AnalysisResult:
    """The analysis of a sweep, or of a table with its study.

    Raises:
        UsageError: Both or neither are given.
    """
    from maineffect import study as journey

    if study is not None and table is not None and sweep is None:
        return journey.analyse_table(study, table, look=look)
    if study is None and table is None:
        return journey.analyse_sweep(sweep or "latest", place, look=look, items=items)
    raise UsageError(
        "give either a SWEEP, or --study together with --table",
        "maineffect analyse latest   or   maineffect analyse --study study.yaml --table runs.csv",
    )
