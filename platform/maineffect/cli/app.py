"""The verbs, in journey order. Each calls one function of :mod:`maineffect.study` and prints what it returns."""

from __future__ import annotations

import io
import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer

from maineffect.cli import begin, dash, lab, logs, planning, reports
from maineffect.cli import next as next_verb
from maineffect.cli import optimise as optimise_verbs
from maineffect.cli.console import output
from maineffect.cli.options import (
    AcceptUnequal,
    Address,
    Continue,
    Detach,
    DryRun,
    Home,
    Json,
    KeepResult,
    Reuse,
    SendCode,
    StudyPath,
    SweepRef,
    Takeover,
    TrackingUri,
    Workers,
    place_of,
)
from maineffect.errors import MaineffectError, UsageError

__all__ = ["app", "main"]

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Which environment factor built which capability, and is it real?\n\n"
    "Example: maineffect submit experiments/01_evidence_regimes/study.yaml && maineffect report latest",
)


def _version(wanted: bool) -> None:
    if wanted:
        from maineffect import __version__

        typer.echo(f"maineffect {__version__}")
        raise typer.Exit


@app.callback()
def settings(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show what is decided, and tracebacks.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but results and errors.")] = False,
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Set how this invocation speaks."""
    output.verbose, output.quiet = verbose, quiet
    if verbose:
        from maineffect.record import show_on_screen

        show_on_screen()


app.command()(begin.init)
app.command()(begin.examples)


@app.command()
def check(study: StudyPath, tracking_uri: TrackingUri = None, home: Home = None, as_json: Json = False) -> None:
    """Validate a study file: every error at once, with file:line and the way out.

    Example: maineffect check experiments/01_evidence_regimes/study.yaml
    """
    output.json_mode = as_json
    from maineffect import study as journey
    from maineffect.cli import render

    checked = journey.check(study, place=place_of(home, tracking_uri))
    output.document(render.check_document(checked))
    output.result(render.check_text(checked))
    if checked.study.optimise is not None:
        output.say(f"next: maineffect optimise {checked.study.optimise.sweep} --study {study}")
        return
    output.say(f"next: maineffect {'submit' if journey.is_registered(checked) else 'register'} {study}")


app.command()(planning.design)
app.command()(planning.power)
app.command("try")(begin.try_out)


@app.command()
def register(
    study: StudyPath,
    anew: Annotated[bool, typer.Option("--anew", help="Replace an earlier registration; the change is kept.")] = False,
    as_json: Json = False,
) -> None:
    """Freeze the plan beside the study file and print its hash.

    Example: maineffect register study.yaml
    """
    output.json_mode = as_json
    from maineffect import study as journey

    registration = journey.register(study, again=anew)
    output.document(
        {
            "schema_version": 1,
            "study": registration.study,
            "plan_hash": registration.plan_hash,
            "registered_at": registration.registered_at,
            "file": str(registration.path),
        }
    )
    output.result(registration.plan_hash)
    output.say(f"registered in {registration.path}; next: maineffect submit {study}")


@app.command()
def submit(
    study: StudyPath,
    address: Address = None,
    tracking_uri: TrackingUri = None,
    workers: Workers = None,
    home: Home = None,
    dry_run: DryRun = False,
    anew: Annotated[bool, typer.Option("--register-anew", help="Register a changed plan again.")] = False,
    reuse: Reuse = None,
    takeover: Takeover = False,
    detach: Detach = False,
    go_on: Continue = False,
    accept_unequal: AcceptUnequal = False,
    send_code: SendCode = False,
    as_json: Json = False,
) -> None:
    """Run what is not yet done; prints the sweep id.

    Example: maineffect submit study.yaml --workers 2
    """
    output.json_mode = as_json
    from maineffect import study as journey
    from maineffect.cli.sweeps import finish, show_detached, show_preview
    from maineffect.cli.watch import progress
    from maineffect.journey.run.detached import submit_detached

    place = place_of(home, tracking_uri, address, workers, takeover=takeover, send_code=send_code)
    if dry_run:
        show_preview(journey.preview(study, place, reuse=reuse, go_on=go_on))
        return
    if detach:
        show_detached(
            submit_detached(
                study,
                place,
                register_again=anew,
                reuse=reuse,
                go_on=go_on,
                accept_unequal=accept_unequal,
                on_notice=output.say,
            )
        )
        return
    with progress(output) as on_progress:
        submitted = journey.submit(
            study,
            place,
            register_again=anew,
            reuse=reuse,
            go_on=go_on,
            accept_unequal=accept_unequal,
            on_progress=on_progress,
            on_notice=output.say,
        )
    finish(submitted)


@app.command()
def status(
    sweep: SweepRef = "latest",
    tracking_uri: TrackingUri = None,
    home: Home = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Refresh until nothing runs, nor any driver on a cluster.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show runs by state, failures by class, cost so far and time left.

    Example: maineffect status latest --watch
    """
    output.json_mode = as_json
    from maineffect.cli.sweeps import show_status

    show_status(sweep, place_of(home, tracking_uri), watch=watch)


@app.command()
def resubmit(
    sweep: SweepRef,
    run: Annotated[list[str] | None, typer.Option("--run", help="Only this run (repeatable).")] = None,
    cell: Annotated[list[str] | None, typer.Option("--cell", help="Only runs of this cell (repeatable).")] = None,
    address: Address = None,
    tracking_uri: TrackingUri = None,
    workers: Workers = None,
    home: Home = None,
    dry_run: DryRun = False,
    reuse: Reuse = None,
    takeover: Takeover = False,
    detach: Detach = False,
    go_on: Continue = False,
    keep_result: KeepResult = False,
    accept_unequal: AcceptUnequal = False,
    send_code: SendCode = False,
    as_json: Json = False,
) -> None:
    """Run the failed and missing runs again, resuming from checkpoints.

    Example: maineffect resubmit latest
    """
    output.json_mode = as_json
    from maineffect import study as journey
    from maineffect.cli.sweeps import finish, show_detached, show_preview
    from maineffect.cli.watch import progress
    from maineffect.journey.run.detached import resubmit_detached

    place = place_of(home, tracking_uri, address, workers, takeover=takeover, send_code=send_code)
    runs, cells = tuple(run or ()), tuple(cell or ())
    if dry_run:
        show_preview(journey.preview_resubmit(sweep, place, runs=runs, cells=cells, reuse=reuse, go_on=go_on))
        return
    if detach:
        sent = resubmit_detached(
            sweep,
            place,
            runs=runs,
            cells=cells,
            reuse=reuse,
            go_on=go_on,
            keep_result=keep_result,
            accept_unequal=accept_unequal,
        )
        show_detached(sent)
        return
    with progress(output) as on_progress:
        submitted = journey.resubmit(
            sweep,
            place,
            runs=runs,
            cells=cells,
            reuse=reuse,
            go_on=go_on,
            keep_result=keep_result,
            accept_unequal=accept_unequal,
            on_progress=on_progress,
            on_notice=output.say,
        )
    finish(submitted)


app.command()(begin.sweeps)
app.command()(logs.logs)


@app.command()
def cancel(sweep: SweepRef, tracking_uri: TrackingUri = None, home: Home = None, as_json: Json = False) -> None:
    """Stop a sweep cleanly: nothing new starts, running runs stop at a checkpoint.

    Example: maineffect cancel latest
    """
    output.json_mode = as_json
    from maineffect import study as journey

    sweep_id, running = journey.cancel(sweep, place_of(home, tracking_uri))
    output.document({"schema_version": 1, "sweep": sweep_id, "cancelled": True, "stopping": list(running)})
    output.result(f"{sweep_id}: cancelled; {len(running)} run(s) are stopping")
    output.say(f"go on later with: maineffect resubmit {sweep_id}")


@app.command()
def analyse(
    sweep: Annotated[
        str | None, typer.Argument(metavar="[SWEEP]", help="A sweep; or give --study and --table.")
    ] = None,
    study: Annotated[Path | None, typer.Option("--study", help="Study file, for a table made elsewhere.")] = None,
    table: Annotated[Path | None, typer.Option("--table", help="CSV or Parquet, one row a run.")] = None,
    self_test: Annotated[
        bool, typer.Option("--self-test", help="Simulate studies without effects on the design of --study instead.")
    ] = False,
    look: Annotated[
        bool, typer.Option("--look", help="Judge complete replicates as interim looks, with alpha spending.")
    ] = False,
    items: Annotated[
        bool, typer.Option("--items", help="Read item scores too: variances, and whether to buy seeds or items.")
    ] = False,
    tracking_uri: TrackingUri = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Estimate effects and give verdicts.

    Example: maineffect analyse latest --json
    """
    output.json_mode = as_json
    from maineffect.cli import render

    if self_test:
        _self_test(study)
        return

    result = reports.analysed(sweep, study, table, place_of(home, tracking_uri), look=look, items=items)
    output.document(result.model_dump(mode="json"))
    output.result(render.analysis_text(result))


app.command()(reports.report)
app.command("next")(next_verb.next_steps)
app.command()(optimise_verbs.optimise)
app.command()(optimise_verbs.confirm)
app.command()(dash.dash)
app.add_typer(lab.lab, name="lab")


def _self_test(study: Path | None) -> None:
    from maineffect import study as journey
    from maineffect.cli import render

    if study is None:
        raise UsageError("--self-test needs a design", "maineffect analyse --study study.yaml --self-test")
    document = journey.self_test(study)
    output.document(document)
    output.result(render.self_test_text(document))


@app.command()
def schema() -> None:
    """Print the JSON Schema of a study file.

    Example: maineffect schema > study.schema.json
    """
    output.json_mode = True
    from maineffect.spec.schema import study_schema

    output.document(study_schema())


@app.command()
def env(tracking_uri: TrackingUri = None, home: Home = None, as_json: Json = False) -> None:
    """Show versions, devices, and what works here.

    Example: maineffect env
    """
    output.json_mode = as_json
    from maineffect.cli.environment import environment, environment_text

    document = environment(place_of(home, tracking_uri))
    output.document(document)
    output.result(environment_text(document))


def main() -> None:
    """Run the command line with the exit codes that scripts rely on."""
    output.json_mode = "--json" in sys.argv
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that knows few characters is shown the others as escapes
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except MaineffectError as error:
        output.error(error)
        if output.verbose:
            traceback.print_exc()
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        output.say("interrupted; finished runs are recorded, `maineffect submit` goes on where this stopped")
        sys.exit(130)
    except Exception as error:
        if not output.json_mode:
            raise
        output.internal_error(error)
        traceback.print_exc()
        sys.exit(1)
