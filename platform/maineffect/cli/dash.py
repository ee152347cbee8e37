"""The verb ``dash``."""

from __future__ import annotations

from typing import Annotated

import typer

from maineffect.cli.console import output
from maineffect.cli.options import Home, TrackingUri, place_of

__all__ = ["dash"]


def dash(
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port on this machine.")] = 8787,
    token: Annotated[
        str | None,
        typer.Option(
            "--token",
            envvar="MAINEFFECT_DASH_TOKEN",
            help="Ask for this before showing anything; default: one made anew. '' asks for nothing.",
        ),
    ] = None,
    tracking_uri: TrackingUri = None,
    home: Home = None,
) -> None:
    """Watch sweeps in a browser: live state, findings, transcripts, failed runs. Serves this machine only.

    Example: maineffect dash --port 8787
    """
    from maineffect.dashboards.launch import new_token, serve

    address = f"http://127.0.0.1:{port}"
    if token is None:
        token = new_token()
        address += f"/?token={token}"
    output.say(f"{address} (stop with Ctrl-C)")
    code = serve(place_of(home, tracking_uri), port=port, token=token)
    if code:
        raise typer.Exit(code)
