"""One run of a script, start to end, and the conformance tests over it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

import pytest

from maineffect.command import CommandTrainable, run_command
from maineffect.command.exit_codes import CommandError
from maineffect.conformance import TrainableConformance
from maineffect.contracts import RunCancelled, RunLost, RunRequest
from maineffect.errors import BadResultError
from maineffect.execute.attempt.context import AttemptContext
from maineffect.plugins import load_trainable

# A random walk that knows nothing of the platform: checkpoints are written aside and renamed, as careful scripts do.
WALK = """
import argparse, json, os, random, time
p = argparse.ArgumentParser()
p.add_argument("--seed", type=int); p.add_argument("--out"); p.add_argument("--metrics"); p.add_argument("--dir")
p.add_argument("--resume"); p.add_argument("--drift", type=float, default=0.0); p.add_argument("--steps", type=int)
a = p.parse_args()
total, start = 0.0, 0
if a.resume:
    total, start = json.load(open(os.path.join(a.resume, "state.json")))
for step in range(start, a.steps):
    total += random.Random(f"{a.seed}-{step}").gauss(a.drift, 1)
    with open(a.metrics, "a") as file:
        print(json.dumps({"step": step, "total": total}), file=file)
    if step % 2 == 1:
        aside = os.path.join(a.dir, "aside"); os.mkdir(aside)
        json.dump([total, step + 1], open(os.path.join(aside, "state.json"), "w"))
        os.rename(aside, os.path.join(a.dir, f"checkpoint-{step + 1}"))
        time.sleep(0.45)
json.dump({"skill": total}, open(a.out, "w"))
"""
COMMAND = (
    "{python} walk.py --seed {seed} --out {results} --metrics {metrics} --dir {run_dir} --resume={checkpoint} "
    "--drift {drift} --steps {steps}"
)


class TestWalk(TrainableConformance):
    """A plain script keeps the contract of every trainable: seeds, curves, checkpoints, cancellation."""

    settings: ClassVar = {"command": COMMAND, "drift": 0.5, "steps": 6, "settle": 0.1, "grace": 1.0}
    levels: ClassVar = {"drift": 0.5}
    responses = ("skill",)

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        (tmp_path / "walk.py").write_text(WALK)
        self.folder = tmp_path

    def load(self) -> CommandTrainable:
        found = load_trainable("command", self.folder)
        assert isinstance(found, CommandTrainable)
        return found


SHOW = """
import json, os, sys
print("to the log")
print("to stderr", file=sys.stderr)
json.dump({"skill": 1, "n": len(sys.argv)}, open(os.environ["MAINEFFECT_RESULTS"], "w"))
json.dump({"argv": sys.argv[1:], "cwd": os.getcwd(), "env": dict(os.environ)}, open("seen.json", "w"))
"""


def seen(bench) -> dict:
    return json.loads((bench.study / "seen.json").read_text())


def test_it_is_found_by_its_name() -> None:
    assert load_trainable("command") is run_command


def test_every_placeholder_is_filled(bench) -> None:
    bench.script(SHOW)
    words = "{lr} {seed} {evaluation_seed} {replicate} {run_id} {run_dir} {results} {metrics} x{checkpoint} {study_dir} {opt.beta}"
    result = bench.run(f"{{python}} train.py {words}", levels={"lr": 1e-3}, opt={"beta": 0.9})
    assert result.responses == {"skill": 1.0}
    found = seen(bench)
    lr, seed, evaluation, replicate, run_id, run_dir, results, metrics, checkpoint, study, beta = found["argv"]
    assert (lr, replicate, run_id, checkpoint, beta) == ("0.001", "2", "r1", "x", "0.9")
    assert 0 <= int(seed) < 2**31
    assert 0 <= int(evaluation) < 2**31
    assert seed != evaluation
    assert Path(run_dir) == bench.context.run_dir
    assert (results, metrics) == (f"{run_dir}/results.json", f"{run_dir}/metrics.jsonl")
    assert found["cwd"] == study == str(bench.study)


def test_output_is_passed_on_for_the_runs_log(bench, capfd: pytest.CaptureFixture[str]) -> None:
    bench.script(SHOW)
    bench.run("{python} train.py 'a b'")
    heard = capfd.readouterr()
    assert heard.out.splitlines()[0].endswith("train.py 'a b'")
    assert "to the log" in heard.out
    assert "'n'" in heard.out, "what was recorded beside the responses is said"
    assert heard.err == "to stderr\n"


def test_the_environment_and_its_secrets(bench, capfd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAM_TOKEN", "tok-123456789")
    bench.script(SHOW + "print(os.environ['API_TOKEN'])\nsys.exit('failed with ' + os.environ['API_TOKEN'])\n")
    with pytest.raises(CommandError) as caught:
        bench.run(
            "{python} train.py",
            levels={"lr": 0.5},
            env={"API_TOKEN": "${TEAM_TOKEN}", "LR": "lr={lr}", "N": 3, "B": True},
        )
    environment = seen(bench)["env"]
    assert environment["API_TOKEN"] == "tok-123456789"
    assert (environment["LR"], environment["N"], environment["B"]) == ("lr=0.5", "3", "true")
    assert "tok-123456789" not in str(caught.value)
    assert "failed with ***" in caught.value.message
    heard = capfd.readouterr()
    assert "tok-123456789" not in heard.out + heard.err
    assert "***" in heard.out


def test_a_secret_that_is_not_set_is_named(bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOT_SET_HERE", raising=False)
    with pytest.raises(CommandError, match="NOT_SET_HERE"):
        bench.run("{python} train.py", env={"API_TOKEN": "${NOT_SET_HERE}"})


def test_a_program_that_is_not_there(bench) -> None:
    with pytest.raises(CommandError, match=r"no-such-program cannot be started on .*No such file") as caught:
        bench.run("no-such-program --x 1")
    assert "{python}" in caught.value.hint


def test_an_error_ends_with_its_last_lines(bench) -> None:
    bench.script("raise ValueError('lr is too large')\n")
    with pytest.raises(CommandError, match=r"train\.py ended with code 1: ValueError: lr is too large"):
        bench.run("{python} train.py --lr {lr}", levels={"lr": 5.0})


@pytest.mark.parametrize(
    ("name", "error"), [("SIGKILL", (RunLost, MemoryError)), ("SIGTERM", RunLost), ("SIGSEGV", CommandError)]
)
def test_a_signal_has_its_class(bench, name: str, error) -> None:
    bench.script(f"import os, signal; os.kill(os.getpid(), signal.{name})\n")
    with pytest.raises(error, match=name):
        bench.run("{python} train.py")


def test_no_results_and_stale_results(bench) -> None:
    (bench.context.run_dir / "results.json").write_text('{"skill": 9}')
    bench.script("")
    with pytest.raises(BadResultError, match=r"wrote no results\.json"):
        bench.run("{python} train.py")


def test_results_and_metrics_elsewhere_in_the_runs_folder(bench) -> None:
    bench.script(
        "import sys, json\njson.dump({'skill': 2}, open(sys.argv[1], 'w'))\nopen(sys.argv[2], 'w').write('{\"step\": 1, \"x\": 2}')\n"
    )
    result = bench.run("{python} train.py {results} {metrics}", results="out/all_results.json", metrics="out/log.jsonl")
    assert result.responses == {"skill": 2.0}
    assert bench.context.logged == [(1, {"x": 2.0})]
    assert (bench.context.run_dir / "out" / "all_results.json").exists()


def test_curves_come_while_it_runs_and_progress_with_known_steps(bench) -> None:
    """The script waits until it is told to go on, and we tell it only once its metrics were heard."""
    bench.script(
        "import json, os, sys, time\n"
        "out, metrics, go = sys.argv[1:]\n"
        "file = open(metrics, 'a')\n"
        "for step in range(3):\n"
        "    print(json.dumps({'step': step, 'x': step}), file=file, flush=True)\n"
        "    while not os.path.exists(go + str(step)): time.sleep(0.01)\n"
        "json.dump({'skill': 1}, open(out, 'w'))\n"
    )
    context = bench.context
    go = bench.base / "go"

    def answer() -> bool:
        if context.logged:
            Path(f"{go}{context.logged[-1][0]}").touch()
        return False

    context.when = answer
    bench.run("{python} train.py {results} {metrics} {go}", go=str(go), steps=3)
    assert [step for step, _ in context.logged] == [0, 1, 2]
    assert context.steps_seen == [(1, 3), (2, 3), (3, 3)]


STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
open(sys.argv[1] + ".aside", "w").write(f"{os.getpid()} {child.pid}")
os.rename(sys.argv[1] + ".aside", sys.argv[1])
time.sleep(600)
"""


def test_a_cancelled_run_ends_with_all_it_started(bench, running) -> None:
    bench.script(STUBBORN)
    pids = bench.base / "pids"
    bench.context.when = pids.exists
    with pytest.raises(RunCancelled):
        bench.run("{python} train.py {pids}", pids=str(pids), grace=0.3)
    family = [int(pid) for pid in pids.read_text().split()]
    assert [pid for pid in family if running(pid)] == []


def test_a_cancelled_script_may_save_itself_and_is_resumed_from_there(bench) -> None:
    bench.script(
        "import json, os, signal, sys, time\n"
        "out, folder, resume = sys.argv[1:]\n"
        "def stop(*_):\n"
        "    os.mkdir(folder + '/checkpoint-7'); open(folder + '/checkpoint-7/state', 'w').write('7'); sys.exit(143)\n"
        "signal.signal(signal.SIGTERM, stop)\n"
        "open(folder + '/ready', 'w').close()\n"
        "if not resume: time.sleep(600)\n"
        "json.dump({'skill': float(open(resume + '/state').read())}, open(out, 'w'))\n"
    )
    ready = bench.context.run_dir / "ready"
    bench.context.when = ready.exists
    command = "{python} train.py {results} {run_dir} '{checkpoint}'"
    with pytest.raises(RunCancelled):
        bench.run(command)
    assert bench.context.latest_checkpoint()[0] == 7
    bench.context.when = lambda: False
    assert bench.run(command).responses == {"skill": 7.0}


def test_a_script_killed_while_saving_leaves_no_checkpoint(bench) -> None:
    bench.script(
        "import os, sys, time\nos.mkdir(sys.argv[1] + '/checkpoint-7')\n"
        "open(sys.argv[1] + '/checkpoint-7/half', 'w').write('x')\ntime.sleep(600)\n"
    )
    bench.context.when = (bench.context.run_dir / "checkpoint-7" / "half").exists
    with pytest.raises(RunCancelled):
        bench.run("{python} train.py {run_dir}", settle=30.0)
    assert bench.context.latest_checkpoint() is None


def test_hostile_levels_reach_the_script_as_they_are(bench) -> None:
    bench.script(SHOW)
    level = "$(touch owned); `touch owned` 'x' \"y\" {seed} | > &"
    bench.run("{python} train.py --data {data}", levels={"data": level})
    assert seen(bench)["argv"] == ["--data", level]
    assert not (bench.study / "owned").exists()


def test_standard_input_is_empty(bench) -> None:
    bench.script(
        "import sys, os, json\nassert sys.stdin.read() == ''\njson.dump({'skill': 1}, open(os.environ['MAINEFFECT_RESULTS'], 'w'))\n"
    )
    assert bench.run("{python} train.py").responses == {"skill": 1.0}


class Record:
    """An attempt's record in memory."""

    stop_reason: ClassVar[str | None] = None

    def log(self, step: int, metrics) -> None: ...


def test_the_next_attempt_of_a_lost_run_goes_on_where_it_was(bench) -> None:
    """As a sweep does it: a folder of its own for each attempt, the checkpoint from the one before."""
    bench.script(
        "import json, os, signal, sys, time\n"
        "out, folder, resume = sys.argv[1:]\n"
        "if not resume:\n"
        "    os.mkdir(folder + '/aside'); open(folder + '/aside/state', 'w').write('4')\n"
        "    os.rename(folder + '/aside', folder + '/checkpoint-4')\n"
        "    while not os.path.exists(folder + '/checkpoints/000000000004'): time.sleep(0.01)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "json.dump({'skill': float(open(resume + '/state').read())}, open(out, 'w'))\n"
    )
    settings = {"command": "{python} train.py {results} {run_dir} '{checkpoint}'", "settle": 0.1}
    request = RunRequest("s", "s-1", "r1", "c", 1, {}, settings, 11, 5, ("skill",), "command")
    attempts = [AttemptContext(request, number, bench.base / "home", Record()) for number in (1, 2)]
    for attempt in attempts:
        attempt.run_dir.mkdir(parents=True)
    with pytest.raises((RunLost, MemoryError), match="SIGKILL"):
        CommandTrainable(bench.study)(request, attempts[0])
    assert CommandTrainable(bench.study)(request, attempts[1]).responses == {"skill": 4.0}
