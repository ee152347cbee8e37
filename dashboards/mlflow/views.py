"""Print the addresses of the views in views.toml on an MLflow server, for one study or all.

Usage: python dashboards/mlflow/views.py http://localhost:5000 [STUDY] [--sweep SWEEP]

MLflow keeps the name and password of a server that asks for them in MLFLOW_TRACKING_USERNAME and
MLFLOW_TRACKING_PASSWORD; both are read here too. Needs nothing but Python.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import sys
import tomllib
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

VIEWS = Path(__file__).with_name("views.toml")
HIDDEN = "_maineffect"
"""Experiments whose names begin so hold the ledger's own records."""


def views() -> list[dict[str, Any]]:
    """The saved views."""
    return list(tomllib.loads(VIEWS.read_text(encoding="utf-8"))["view"])


def experiments(server: str, study: str | None) -> dict[str, str]:
    """Name → identifier of the experiments that people see; a study has one of its name."""
    found: dict[str, str] = {}
    token = ""
    while True:
        page = _post(f"{server}/api/2.0/mlflow/experiments/search", {"max_results": 500, "page_token": token})
        for each in page.get("experiments", []):
            if not each["name"].startswith(HIDDEN) and each["name"] != "Default" and study in (None, each["name"]):
                found[each["name"]] = each["experiment_id"]
        token = page.get("next_page_token", "")
        if not token:
            return found


def _post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}, method="POST"
    )
    user, password = os.environ.get("MLFLOW_TRACKING_USERNAME"), os.environ.get("MLFLOW_TRACKING_PASSWORD", "")
    if user:
        request.add_header("Authorization", "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode())
    with urllib.request.urlopen(request, timeout=30) as answer:
        return dict(json.load(answer))


def filter_of(view: dict[str, Any], sweep: str | None) -> str:
    """What the view searches for, in one sweep if asked."""
    return f"{view['filter']} AND tags.`me.sweep` = '{sweep}'" if sweep else str(view["filter"])


def address(server: str, experiment: str, view: dict[str, Any], sweep: str | None = None) -> str:
    """Address of the view on MLflow's pages."""
    words = {
        "searchFilter": filter_of(view, sweep),
        "orderByKey": view["order_by"],
        "orderByAsc": "false",
        "startTime": "ALL",
        "lifecycleFilter": "Active",
    }
    return f"{server}/#/experiments/{experiment}/runs?{urlencode(words, quote_via=quote)}"


def main() -> int:
    """Print one line for each study and view."""
    parser = argparse.ArgumentParser(description="Addresses of the usual views of MLflow's pages.")
    parser.add_argument("server", help="such as http://localhost:5000")
    parser.add_argument("study", nargs="?", help="default: every study")
    parser.add_argument("--sweep", help="only this sweep's runs")
    words = parser.parse_args()
    server = words.server.rstrip("/")
    found = experiments(server, words.study)
    if not found:
        print(f"{server} knows no study {words.study or ''}".rstrip(), file=sys.stderr)
        return 1
    for study, experiment in sorted(found.items()):
        print(f"\n{study}")
        for view in views():
            print(f"  {view['name']}\n    {address(server, experiment, view, words.sweep)}")
            print(f"    columns worth choosing there: {', '.join(map(str, view['columns']))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
