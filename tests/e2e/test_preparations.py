"""What runs start from, as a user meets it: made once, named where it failed, resubmitted, and reused by another sweep."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytestmark = [pytest.mark.ray, pytest.mark.live]

PREPARING = """

def preparations(request):
    from maineffect.preparation import Preparation

    return [Preparation("warm start", f"base {request.base_seed}", {}, request.base_seed, ("bases/base.txt",))]


def prepare(request, context):
    flags = Path(os.environ["KNOWN_FLAGS"])
    with (flags / "prepared.txt").open("a") as file:
        file.write(f"{request.run_id} {context.run_dir.name}\\n")
    print("the base is made")
    if json.loads((flags / "plan.json").read_text()).get("no_base"):
        raise RuntimeError("the base model is not there")
    (context.cache_dir / "bases").mkdir(exist_ok=True)
    (context.cache_dir / "bases" / "base.txt").write_text("base")


train.preparations, train.prepare = preparations, prepare
"""


def prepared(workbench) -> list[str]:
    return (workbench.flags / "prepared.txt").read_text().splitlines()


def test_it_is_made_once_named_where_it_failed_and_reused(workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    with (workbench.folder / "known.py").open("a") as file:
        file.write(PREPARING)
    workbench.plan(no_base=True)
    first = workbench.run("submit", "study.yaml", expect=5)
    (run_id,) = {line.split()[0] for line in prepared(workbench)}
    assert run_id.startswith("prep-warm-start-")
    assert f"8 run(s) wait for {run_id}, which has failed and is not tried again by itself" in first.stderr
    assert "1 warm start failed: 8 runs wait" in first.stderr
    assert workbench.started() == [], "no run that needs it has begun"
    status = workbench.document("status", "latest")
    assert status["counts"] == {"finished": 0, "failed": 0, "running": 0, "planned": 8}
    assert (status["waiting"], status["preparations"][0]["serves"]) == (8, 8)
    assert status["failures"] == [
        {
            "run_id": run_id,
            "levels": {},
            "class": "user-error",
            "message": "RuntimeError: the base model is not there",
            "attempts": 1,
        }
    ]
    assert status["next"] == f"maineffect resubmit {status['sweep']}"
    assert "the base is made" in workbench.run("logs", run_id[:9], "latest").stdout

    workbench.plan()
    second = workbench.document("resubmit", "latest")
    assert second["counts"]["finished"] == 8
    assert [row["state"] for row in second["preparations"]] == ["finished"]
    assert prepared(workbench) == [f"{run_id} a1", f"{run_id} a2"]
    spent = sum(row["seconds"] + row["lost_seconds"] for row in second["runs"])
    own = sum(row["seconds"] + row["lost_seconds"] for row in second["preparations"])
    assert second["cost"]["run_seconds"] == pytest.approx(spent + own), "its cost counts"
    result = workbench.document("analyse", "latest")
    assert (result["n_runs"], result["n_missing"], len(result["runs"])) == (8, 0, 8)
    assert {row["run_id"] for row in result["runs"]} == {row["run_id"] for row in second["runs"]}
    assert not [sentence for sentence in result["facts"]["deviations"] if "prep-" in sentence]

    # Another sweep of the study, in another home, with the same store.
    store = f"sqlite:///{workbench.folder / 'home' / 'mlflow.db'}"
    text = workbench.study.read_text()
    workbench.study.write_text(text.replace("replicates: 2", "replicates: 3"))
    home = workbench.folder / "another home"
    environment = {**workbench.environment(), "MAINEFFECT_HOME": str(home), "MLFLOW_TRACKING_URI": store}
    monkeypatch.setattr(type(workbench), "environment", lambda _: environment)
    third = workbench.run("submit", "study.yaml", "--register-anew")
    assert "warm start: made by sweep" in third.stderr
    assert len(prepared(workbench)) == 2, "it came from the store"
    assert (home / "cache" / "bases" / "base.txt").read_text() == "base"
    assert not list(Path(os.path.commonpath([home])).glob("runs/*/prep-*"))
