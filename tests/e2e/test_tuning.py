"""A tuned study from the command line: equal trials first, then the registered runs with what they chose."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.ray

STUDY = """\
schema_version: 1
name: tuned
question: Is the rate tuned before anything is registered?
trainable: tunable:train
factors:
  a: {levels: [0.0, 1.0]}
design: {kind: full, replicates: 2}
responses:
  skill: {goal: maximize, smallest_effect: 0.5}
hypotheses:
  - {id: H1, term: a, response: skill, direction: increase}
analysis: {terms: main}
tuning:
  scope: shared
  nuisance:
    rate: {binds: train.rate, range: [-1.0, 1.0], default: 0.0}
  trials: 8
  response: skill
resources: {cpus: 1, timeout: 2m, retries: 2}
seed: 7
"""

# The best rate is .5 in every cell; a adds 1.
TRAINABLE = '''\
"""A trainable whose best rate is known."""
import json
import os
import time
from pathlib import Path

from maineffect.contracts import RunDiverged
from maineffect.preparation import Preparation
from maineffect.seeds import generator


def train(request, context):
    flags = Path(os.environ["KNOWN_FLAGS"])
    plan = json.loads((flags / "plan.json").read_text()) if (flags / "plan.json").exists() else {}
    rate = request.settings["train"]["rate"]
    line = {"run": request.run_id, "rate": rate, "seed": request.seed, "items": request.evaluation_seed}
    with (flags / "diary.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\\n")
    time.sleep(plan.get("sleep", 0.0))
    if rate < plan.get("fails_below", -2.0):
        raise ValueError("this rate is a bug")
    if rate > 0.95:
        raise RunDiverged("the loss is not finite")
    noise = generator(request.seed, "noise").normal(0.0, 0.02)
    return {"skill": 5.0 + request.levels["a"] - (rate - 0.5) ** 2 + noise}


def preparations(request):
    return [Preparation("warm start", str(request.base_seed), {}, request.base_seed, (f"bases/{request.base_seed}",))]


def prepare(request, context):
    (context.cache_dir / "bases").mkdir(exist_ok=True)
    (context.cache_dir / request.files[0]).touch()


train.preparations, train.prepare = preparations, prepare
'''


def diary(workbench) -> list[dict]:
    return [json.loads(line) for line in (workbench.flags / "diary.jsonl").read_text().splitlines()]


@pytest.fixture
def tuned(workbench):
    workbench.study.write_text(STUDY)
    (workbench.folder / "tunable.py").write_text(TRAINABLE)
    return workbench


def test_runs_wait_for_equal_trials_and_take_what_these_chose(tuned) -> None:
    workbench = tuned
    said = workbench.run("design", "study.yaml").stdout
    assert "tuning of rate: 8 trials in every cell for 1 group(s), 16 runs before the 4 registered ones" in said
    workbench.plan(fails_below=-0.5)
    first = workbench.document("submit", "study.yaml", expect=5)
    lines = diary(workbench)
    assert first["counts"] == {"finished": 0, "failed": 0, "running": 0, "planned": 4}
    assert first["waiting"] == 4, "a group that lacks trials registers nothing"
    assert len({line["run"] for line in lines}) == 16
    assert all(line["run"].startswith("prep-tuning-trial-") for line in lines)
    assert first["next"] == f"maineffect resubmit {first['sweep']}"

    workbench.plan()
    second = workbench.document("resubmit", "latest")
    assert second["counts"]["finished"] == 4
    lines = diary(workbench)
    trials, runs = ([line for line in lines if line["run"].startswith("prep-") is trial] for trial in (True, False))
    assert len(runs) == 4
    assert len({line["run"] for line in trials}) == 16
    (rate,) = {line["rate"] for line in runs}
    assert rate == pytest.approx(0.5, abs=0.15)
    assert len({line["rate"] for line in trials}) == 8
    assert 0.0 in {line["rate"] for line in trials}, "the default is among them"
    for what in ("seed", "items"):
        assert not {line[what] for line in trials} & {line[what] for line in runs}, f"no {what} of a trial in a run"
    warm_starts = [row for row in second["preparations"] if row["what"] == "warm start"]
    assert sorted(row["serves"] for row in warm_starts) == [4, 16], "trials start from one of their own"

    result = workbench.document("analyse", "latest")
    assert (result["n_runs"], len(result["runs"])) == (4, 4)
    assert {row["run_id"] for row in result["runs"]} == {line["run"] for line in runs}
    group = result["facts"]["tuning"]["groups"][0]
    assert (group["group"], group["trials"], group["values"]) == ("all", 8, {"rate": rate})
    assert group["diverged"] == sum(line["rate"] > 0.95 for line in {t["rate"]: t for t in trials}.values())
    assert group["on_edge"] == []
    page = workbench.run("report", "latest").stdout.strip().splitlines()[-1]
    assert "Was tuning fair?" in Path(page).read_text(encoding="utf-8")
    refused = workbench.run("next", "latest", "--write", "follow.yaml", expect=2)
    assert "tuned rate before its runs, and a study that follows another does not tune" in refused.stderr
    count = len(diary(workbench))
    workbench.run("submit", "study.yaml")
    assert len(diary(workbench)) == count, "nothing is tuned or run twice"


@pytest.mark.live
def test_killed_drivers_leave_one_choice(tuned) -> None:
    """A driver is killed again and again while trials run; then two at once go on to the end."""
    workbench = tuned
    workbench.plan(sleep=0.3)

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "maineffect", "submit", "study.yaml"],
            cwd=workbench.folder,
            env=workbench.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def entered() -> int:
        return len(diary(workbench)) if (workbench.flags / "diary.jsonl").exists() else 0

    for wanted in (2, 9, 15):
        driver = start()
        while entered() < wanted and driver.poll() is None:
            time.sleep(0.05)
        driver.send_signal(signal.SIGKILL)
        driver.wait()
    two = [start(), start()]
    assert [driver.wait(timeout=300) for driver in two] == [0, 0]
    status = workbench.document("status", "latest")
    assert status["counts"]["finished"] == 4
    trials = [row for row in status["preparations"] if row["what"] == "tuning trial"]
    assert len(trials) == 16
    result = workbench.document("analyse", "latest")
    (group,) = result["facts"]["tuning"]["groups"]
    runs = [line for line in diary(workbench) if not line["run"].startswith("prep-")]
    assert {line["rate"] for line in runs} == {group["values"]["rate"]}, "whoever drives, one value"


@pytest.mark.slow
def test_a_tuning_that_lacks_trials_goes_on_where_this_is_accepted(tuned) -> None:
    """One submission is enough: the points that fail are left, and what that means stands beside the verdicts."""
    workbench = tuned
    assert "this study tunes nothing" in refused_without_tuning(workbench)
    workbench.plan(fails_below=-0.5)
    done = workbench.document("submit", "study.yaml", "--accept-unequal")
    assert done["counts"]["finished"] == 4
    assert done["waiting"] == 0
    result = workbench.document("analyse", "latest")
    (group,) = result["facts"]["tuning"]["groups"]
    assert group["set_aside"] >= 1
    assert group["set_aside"] == sum(point["rate"] < -0.5 for point in group["points"])
    assert group["values"]["rate"] == pytest.approx(0.5, abs=0.3)
    said = [text for text in result["facts"]["deviations"] if "tuning was unequal" in text]
    assert len(said) == 1
    assert "by --accept-unequal" in said[0]
    page = Path(workbench.run("report", "latest").stdout.strip().splitlines()[-1]).read_text(encoding="utf-8")
    assert page.count("tuning was unequal: groups chose without") == 1
    assert "all went without trials that failed" in page


def refused_without_tuning(workbench) -> str:
    text = workbench.study.read_text()
    workbench.study.write_text(text[: text.index("tuning:")] + text[text.index("resources:") :])
    document = workbench.document("submit", "study.yaml", "--accept-unequal", expect=2)
    workbench.study.write_text(text)
    return str(document)


@pytest.mark.slow
def test_cells_that_share_a_value_are_the_units_of_the_analysis(tuned) -> None:
    """2² cells × 3, main effects: trials in every cell, one value each, error between 4 cells: 1 degree of freedom."""
    workbench = tuned
    text = STUDY.replace("scope: shared", "scope: cell").replace("replicates: 2", "replicates: 3")
    workbench.study.write_text(text.replace("factors:\n", "factors:\n  b: {levels: [0.0, 1.0]}\n"))
    done = workbench.document("submit", "study.yaml")
    assert done["counts"]["finished"] == 12
    lines = diary(workbench)
    assert len({line["run"] for line in lines if line["run"].startswith("prep-tuning-trial-")}) == 32
    rates: dict[str, set[float]] = {}
    for line in lines:
        if not line["run"].startswith("prep-"):
            rates.setdefault(line["run"].rpartition("-r")[0], set()).add(line["rate"])
    assert [len(values) for values in rates.values()] == [1, 1, 1, 1], "one value for a cell"
    result = workbench.document("analyse", "latest")
    facts = result["facts"]["tuning"]
    assert {group["group"]: {group["values"]["rate"]} for group in facts["groups"]} == rates
    assert {tuple(group["levels"]) for group in facts["groups"]} == {("b", "a")}
    (claim,) = result["hypotheses"]
    assert claim["df"] == pytest.approx(1.0)
    (error,) = [one for one in facts["errors"] if one["term"] == "a"]
    assert (error["df"], error["df_runs"]) == (pytest.approx(1.0), 9.0)
    assert error["std_error"] == pytest.approx(claim["std_error"])
    assert {(one["factor"], one["compromise"]) for one in facts["interactions"]} == {("a", False), ("b", False)}
    page = Path(workbench.run("report", "latest").stdout.strip().splitlines()[-1]).read_text(encoding="utf-8")
    assert "One value of rate serves every cell" in page
    assert "f-fairness" in page
