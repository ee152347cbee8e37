"""What an operator deploys or imports: every file parses, and names only what exists."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from maineffect.execute.cluster.board import METRICS, PORT

ROOT = Path(__file__).parents[1]
FILES = ROOT / "dashboards"
DASHBOARD = json.loads((FILES / "grafana/dashboards/sweeps.json").read_text())
RULES = yaml.safe_load((FILES / "prometheus/rules.yml").read_text())
EXPORTED = {name for spec in METRICS.values() for name in spec.exported()}

_OPERATORS = {"group_left", "group_right", "and", "or", "unless", "bool", "offset"}


def metrics_in(expression: str) -> set[str]:
    """Names of the metrics in a PromQL expression: words that are no function, no operator, no label."""
    bare = re.sub(r'"[^"]*"|\{[^}]*\}|\[[^\]]*\]', " ", expression.replace('\\"', ""))
    bare = re.sub(r"\b(by|without|on|ignoring)\s*\([^)]*\)", " ", bare)
    words = re.findall(r"(?<![\w.])[A-Za-z_:][\w:]*(?![\w:])(?!\s*\()", bare)
    return {word for word in words if word not in _OPERATORS}


def expressions(dashboard: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(Panel, expression) of every query of a Grafana dashboard, those of its variables included."""
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            asked = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
            assert asked, variable
            yield variable["name"], asked[1]


def unknown(dashboard: dict[str, Any]) -> list[str]:
    """Names in a dashboard's queries that nothing exports."""
    return sorted({name for _, asked in expressions(dashboard) for name in metrics_in(asked)} - EXPORTED)


def test_metric_names_are_found_in_an_expression() -> None:
    asked = 'sum by (le, a) (rate(one_total{x="two", y=~"$z"}[5m])) / on (job) group_left three offset 5m > bool 4e3'
    assert metrics_in(asked) == {"one_total", "three"}
    assert metrics_in("histogram_quantile(0.9, max by (le) (one_bucket)) and on () up") == {"one_bucket", "up"}


def test_every_query_names_a_metric_that_is_exported() -> None:
    assert len(list(expressions(DASHBOARD))) > 10
    assert all(metrics_in(asked) for _, asked in expressions(DASHBOARD))
    assert unknown(DASHBOARD) == []


def test_a_query_for_what_nobody_exports_is_found() -> None:
    planted = json.loads(json.dumps(DASHBOARD).replace("ray_maineffect_seconds_left", "ray_maineffect_second_left"))
    assert unknown(planted) == ["ray_maineffect_second_left"]


def test_every_metric_is_on_the_dashboard() -> None:
    shown = {name for _, asked in expressions(DASHBOARD) for name in metrics_in(asked)}
    assert [spec.name for spec in METRICS.values() if not shown & set(spec.exported())] == []


@pytest.mark.parametrize(
    ("panel", "metrics"),
    [
        ("Runs by state", {"ray_maineffect_runs"}),
        ("Failures by class", {"ray_maineffect_failed_runs", "ray_maineffect_failed_attempts"}),
        ("GPU-hours spent and left", {"ray_maineffect_gpu_hours_spent", "ray_maineffect_gpu_hours_left"}),
        ("Seconds a run", {"ray_maineffect_run_seconds_bucket"}),
        ("Store latency", {"ray_maineffect_store_seconds_bucket"}),
    ],
)
def test_the_dashboard_shows_what_an_operator_asks_first(panel: str, metrics: set[str]) -> None:
    asked = [expression for title, expression in expressions(DASHBOARD) if title == panel]
    assert set().union(*map(metrics_in, asked)) == metrics


def test_panels_are_grafanas() -> None:
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(numbers) == len(set(numbers))
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, f"{panel['title']} covers another"
        assert at["x"] + at["w"] <= 24
        taken |= cells
        labels = {name for spec in METRICS.values() for name in spec.tags}
        for target in panel["targets"]:
            assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= labels


def test_provisioning_names_what_there_is() -> None:
    (source,) = yaml.safe_load((FILES / "grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"]
    (provider,) = yaml.safe_load((FILES / "grafana/provisioning/dashboards/maineffect.yml").read_text())["providers"]
    assert (source["type"], source["url"]) == ("prometheus", "http://127.0.0.1:9090")
    (variable,) = [v for v in DASHBOARD["templating"]["list"] if v["type"] == "datasource"]
    assert variable["current"] == {"text": source["name"], "value": source["uid"]}
    assert provider["type"] == "file"
    assert f"{provider['options']['path']}" in (FILES / "README.md").read_text()


def test_alerts_name_metrics_that_are_exported() -> None:
    asked = [rule["expr"] for group in RULES["groups"] for rule in group["rules"]]
    assert asked
    assert set().union(*map(metrics_in, asked)) <= EXPORTED


@pytest.mark.parametrize("name", ["prometheus.yml", "prometheus-cluster.yml"])
def test_prometheus_takes_its_configuration(name: str) -> None:
    file = FILES / "prometheus" / name
    (job,) = yaml.safe_load(file.read_text())["scrape_configs"]
    keep = next(rule["regex"] for rule in job["metric_relabel_configs"] if rule["action"] == "keep")
    assert [metric for metric in EXPORTED if not re.fullmatch(keep, metric)] == []
    if (promtool := shutil.which("promtool")) is None:
        pytest.skip("promtool is not installed (Debian's package prometheus): the file was only parsed")
    done = subprocess.run([promtool, "check", "config", str(file)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_static_target_is_the_port_that_the_readme_gives() -> None:
    (job,) = yaml.safe_load((FILES / "prometheus/prometheus.yml").read_text())["scrape_configs"]
    ((target,),) = [each["targets"] for each in job["static_configs"]]
    assert f"{PORT}={target.partition(':')[2]}" in (FILES / "README.md").read_text()


def test_streamlit_knows_every_setting() -> None:
    from streamlit import config

    known = config.get_config_options()
    settings = tomllib.loads((FILES / "streamlit/config.toml").read_text())
    names = [".".join(path) for path in _leaves(settings)]
    assert len(names) > 8
    assert [name for name in names if name not in known] == []


def test_streamlit_settings_do_not_contradict_the_command() -> None:
    from maineffect.dashboards.launch import command

    given = {word.removeprefix("--").partition("=")[0] for word in command(1) if word.startswith("--")}
    settings = tomllib.loads((FILES / "streamlit/config.toml").read_text())
    repeated = {".".join(path) for path in _leaves(settings)} & given
    assert repeated <= {"browser.gatherUsageStats"}


def _leaves(table: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*path, name))
        else:
            yield (*path, name)


def test_the_readme_names_every_folder_and_its_commands_exist() -> None:
    text = (FILES / "README.md").read_text()
    folders = {path.relative_to(FILES).parts[0] for path in FILES.rglob("*") if path.is_file() and path.parent != FILES}
    assert {folder for folder in folders if f"| `{folder}/` |" not in text} == set()
    named = re.findall(r"(?<![\w/])dashboards/[\w./-]+\w", text)
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []
    assert [name for name in re.findall(r"`(tests/[\w./]+)`", text) if not (ROOT / name).exists()] == []


def test_screenshots_are_small() -> None:
    pictures = sorted((FILES / "screenshots").glob("*.png"))
    assert pictures
    assert [picture.name for picture in pictures if picture.stat().st_size > 200_000] == []
