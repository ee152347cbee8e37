"""experiments/09_distributed_trl: its studies are valid, its recorded runs agree, an engine's log becomes results.

A script stands for the engine: it writes lines as verl 0.9.1's file logger and prime-rl 0.8's file monitor write them.
"""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from maineffect import study as journey

FOLDER = Path(__file__).resolve().parents[2] / "experiments" / "09_distributed_trl"
SCRIPT = FOLDER / "engine.py"
VERL = [
    {"step": 0, "data": {"val-core/openai/gsm8k/acc/mean@1": 0.25}},
    {"step": 1, "data": {"critic/rewards/mean": 0.3, "actor/grad_norm": 0.8, "training/global_step": 1}},
    {"step": 2, "data": {"critic/rewards/mean": 0.5, "val-core/openai/gsm8k/acc/mean@1": 0.375}},
]
PRIME = [
    {"step": 0, "time": 1.0, "optim/lr": 1e-6},
    {"step": 1, "time": 2.0, "train/agg/effective/agent/reward/mean": 0.3},
    {"step": 0, "time": 2.5, "train/agg/effective/agent/reward/mean": 9.0},
    {
        "step": 2,
        "time": 3.0,
        "train/agg/effective/agent/reward/mean": 0.5,
        "eval/reverse-text/effective/agent/avg@4": 0.375,
    },
]
ENGINE = """\
import json, os, sys
with open("log.jsonl", "a") as file:
    for row in json.loads(os.environ["ROWS"]):
        print(json.dumps(row), file=file)
with open("words.json", "w") as file:
    json.dump(sys.argv[1:], file)
sys.exit(int(os.environ.get("CODE", "0")))
"""


def run(folder: Path, rows: list, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    (folder / "launch.py").write_text(ENGINE)
    start = [sys.executable, str(SCRIPT), "--log", "log.jsonl", "--metrics", "metrics.jsonl", "--out", "results.json"]
    environment = {**os.environ, "ROWS": json.dumps(rows), **variables}
    command = [*start, *words, "--", sys.executable, "launch.py", "lr=1"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("rows", "response", "reward"),
    [
        (VERL, "val-core/openai/gsm8k/acc/mean@1", "critic/rewards/mean"),
        (PRIME, "eval/reverse-text/effective/agent/avg@4", "train/agg/effective/agent/reward/mean"),
    ],
    ids=["verl", "prime-rl"],
)
def test_curves_and_results_have_our_names(tmp_path: Path, rows: list, response: str, reward: str) -> None:
    done = run(tmp_path, rows, "--response", f"accuracy={response}", "--curve", f"reward={reward}")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "results.json").read_text()) == {"responses": {"accuracy": 0.375}}
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["reward"] for line in lines if "reward" in line] == [0.3, 0.5], "a step that falls back is left out"
    assert lines[-1] == {"step": 2, "reward": 0.5, "accuracy": 0.375}
    assert json.loads((tmp_path / "words.json").read_text()) == ["lr=1"]


@pytest.mark.parametrize("name", ["study", "gpus", "verl", "prime_rl"])
def test_the_studies_are_valid(name: str) -> None:
    assert journey.check(FOLDER / f"{name}.yaml").study.trainable == "command"


def test_the_recorded_runs_say_the_same_of_one_process_and_of_two(here) -> None:
    with (FOLDER / "runs.csv").open() as file:
        runs = list(csv.DictReader(file))
    named = {(run["replicate"], run["conflict_rate"], run["processes"]): run for run in runs}
    for (replicate, conflict_rate, processes), run in named.items():
        other = named[replicate, conflict_rate, {"1": "2", "2": "1"}[processes]]
        assert float(run["conflict_accuracy"]) == pytest.approx(float(other["conflict_accuracy"]), abs=1e-6)
    told = here("analyse", "--study", "study.yaml", "--table", "runs.csv", "--json", cwd=FOLDER).stdout
    verdicts = {one["id"]: one["verdict"] for one in json.loads(told)["hypotheses"]}
    assert verdicts == {"D1": "supported", "D2": "negligible", "D3": "negligible"}


def test_an_engine_finds_its_checkpoint_under_its_own_name(tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoints" / "000000000020"
    checkpoint.mkdir(parents=True)
    (checkpoint / "data.pt").write_text("saved")
    given = ("--checkpoint", str(checkpoint), "--linked-as", f"{tmp_path}/resumed/global_step_")
    more = ("--resumed", "trainer.resume_mode=resume_path trainer.resume_from_path=CHECKPOINT")
    done = run(tmp_path, VERL, *given, *more)
    assert done.returncode == 0, done.stderr
    *_, mode, path = json.loads((tmp_path / "words.json").read_text())
    assert mode == "trainer.resume_mode=resume_path"
    assert path == f"trainer.resume_from_path={tmp_path}/resumed/global_step_20"
    assert (Path(path.partition("=")[2]) / "data.pt").read_text() == "saved"


def test_a_response_that_never_came_is_named_with_what_did(tmp_path: Path) -> None:
    done = run(tmp_path, VERL, "--response", "accuracy=val-core/gsm8k/acc")
    assert done.returncode == 1
    assert "never had accuracy=val-core/gsm8k/acc; it has actor/grad_norm, critic/rewards/mean" in done.stderr
    assert not (tmp_path / "results.json").exists()


def test_the_engines_exit_code_is_passed_on(tmp_path: Path) -> None:
    assert run(tmp_path, VERL, CODE="3").returncode == 3


def test_it_waits_for_an_engine_that_is_asked_to_stop(tmp_path: Path) -> None:
    source = (
        "import signal, sys, time\n"
        "def stop(*_):\n    time.sleep(1); open('saved', 'w').close(); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, stop); open('ready', 'w').close(); time.sleep(60)\n"
    )
    (tmp_path / "launch.py").write_text(source)
    command = [sys.executable, str(SCRIPT), "--log", "l", "--metrics", "m", "--out", "o", "--", sys.executable]
    child = subprocess.Popen([*command, "launch.py"], cwd=tmp_path, start_new_session=True)
    while not (tmp_path / "ready").exists():
        assert child.poll() is None
        time.sleep(0.02)
    os.killpg(child.pid, signal.SIGTERM)
    assert child.wait(30) == 0
    assert (tmp_path / "saved").exists()
