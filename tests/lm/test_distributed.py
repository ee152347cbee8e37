"""experiments/09_distributed_trl: one run in several processes is the run of one, killed, resumed, sharded and swept."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from maineffect.command import CommandTrainable
from maineffect.conformance import RecordingContext
from maineffect.contracts import RunLost, RunRequest, RunResult

pytestmark = [pytest.mark.lm, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "experiments" / "09_distributed_trl"
STEPS, SAVED_EVERY = 40, 10
RESPONSES = ("conflict_accuracy", "clean_accuracy")

# accelerate grants FSDP to accelerators alone: told that CPU processes are some, it shards by gloo.
SHARDED = """
from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import DistributedType
plain = AcceleratorState.__init__
def made(self, *given, fsdp_plugin=None, **options):
    plain(self, *given, fsdp_plugin=fsdp_plugin, **options)
    if fsdp_plugin is not None:
        self.fsdp_plugin, self.distributed_type = fsdp_plugin, DistributedType.FSDP
        PartialState._shared_state["distributed_type"] = DistributedType.FSDP
AcceleratorState.__init__ = made
import train
train.main()
"""


class Context(RecordingContext):
    """A context that calls ``each_look`` whenever the run is asked whether it is cancelled."""

    each_look: Callable[[RecordingContext], None] = staticmethod(lambda _: None)

    def check_cancelled(self) -> None:
        self.each_look(self)


def run(home: Path, processes: int, look: Callable[[Any], None] | None = None, **changed: Any) -> tuple[Any, Context]:
    """One run of the study's command; the result, or the exception that the platform raised."""
    settings = {**yaml.safe_load((EXAMPLE / "study.yaml").read_text())["settings"], "steps": STEPS, "settle": 0.2}
    folder = changed.pop("folder", EXAMPLE)
    levels = {"conflict_rate": 0.5, "processes": processes}
    request = RunRequest("s", "s-1", "r", "c", 1, levels, {**settings, **levels, **changed}, 3, 4, RESPONSES, "command")
    context = Context(home, 3)
    if look is not None:
        context.each_look = look
    try:
        return CommandTrainable(folder)(request, context), context
    except RunLost as lost:
        return lost, context


def curve(context: RecordingContext, name: str) -> dict[int, float]:
    return {step: numbers[name] for step, numbers in context.logged}


def weights(context: RecordingContext) -> dict[str, Any]:
    from safetensors.torch import load_file  # the language models' environment has it

    return load_file(context.run_dir / f"checkpoint-{STEPS}" / "model.safetensors")


def largest_difference(one: dict[str, Any], other: dict[str, Any]) -> float:
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max()) for name in one)


def ranks(process: psutil.Process) -> list[psutil.Process]:
    """The descendants that torchrun gave a rank."""
    return [child for child in process.children(recursive=True) if "train.py" in child.cmdline() and is_rank(child)]


def is_rank(process: psutil.Process) -> bool:
    return "torch.distributed.run" not in process.cmdline()


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunResult, Context]:
    """The run in one process."""
    return run(tmp_path_factory.mktemp("alone"), 1)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc to find the ranks")
def test_two_processes_are_killed_and_resumed_to_the_curve_of_one(alone: Any, tmp_path: Path) -> None:
    result, whole = alone
    assert list(curve(whole, "reward")) == list(range(1, STEPS + 1))
    first, last = (sum(curve(whole, "reward")[s] for s in steps) / 8 for steps in (range(1, 9), range(33, 41)))
    assert last > first + 0.05, "the reward can be learned"
    family: list[psutil.Process] = []

    def kill_a_rank(context: RecordingContext) -> None:
        if context.checkpoints and not family:
            family.extend(psutil.Process().children(recursive=True))
            victim = max(ranks(psutil.Process()), key=lambda rank: rank.environ()["RANK"])
            assert victim.environ()["RANK"] == "1"
            os.kill(victim.pid, signal.SIGKILL)

    lost, killed = run(tmp_path / "killed", 2, kill_a_rank)
    assert isinstance(lost, RunLost), lost
    assert "rank 1 of" in str(lost)
    assert not any(process.is_running() and process.status() != "zombie" for process in family)
    saved = killed.latest_checkpoint()
    assert saved is not None
    assert saved[0] < STEPS

    (tmp_path / "resumed").mkdir()
    shutil.copytree(killed.base / "checkpoints", tmp_path / "resumed" / "checkpoints")
    again, resumed = run(tmp_path / "resumed", 2)
    assert list(curve(resumed, "reward")) == list(range(saved[0] + 1, STEPS + 1))
    for name, tolerance in (("reward", 1e-6), ("grad_norm", 1e-3), ("entropy", 1e-4)):
        for context in (killed, resumed):
            expected = {step: curve(whole, name)[step] for step in curve(context, name)}
            assert curve(context, name) == pytest.approx(expected, rel=tolerance, abs=1e-7), name
    assert largest_difference(weights(whole), weights(resumed)) < 1e-3
    for name in RESPONSES:
        assert again.responses[name] == pytest.approx(result.responses[name], abs=1e-3)
    assert again.measures["ran_in_processes"] == 2


def test_sharded_by_fsdp_it_is_the_same_run(alone: Any, tmp_path: Path) -> None:
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser
    from accelerate.utils.launch import prepare_multi_gpu_env

    folder = tmp_path / "study"
    folder.mkdir()
    shutil.copy(EXAMPLE / "world.py", folder)
    shutil.copy(EXAMPLE / "train.py", folder)
    (folder / "sharded.py").write_text(SHARDED)
    words = [
        "--config_file",
        str(EXAMPLE / "fsdp.yaml"),
        "--num_processes",
        "8",
        "--main_process_port",
        "0",
        "train.py",
    ]
    given, _, _ = _validate_launch_command(launch_command_parser().parse_args(words))
    told = prepare_multi_gpu_env(given)
    assert (given.num_processes, told["ACCELERATE_MIXED_PRECISION"], told["FSDP_VERSION"]) == (8, "bf16", "2")
    sharding = {name: value for name, value in told.items() if name.startswith(("FSDP_", "ACCELERATE_USE_FSDP"))}
    command = yaml.safe_load((EXAMPLE / "study.yaml").read_text())["settings"]["command"]
    env = {"OMP_NUM_THREADS": 1, **sharding}
    options = {"folder": folder, "command": command.replace("train.py", "sharded.py"), "env": env}
    result, context = run(tmp_path / "home", 2, **options)
    whole_result, whole = alone
    assert curve(context, "reward") == curve(whole, "reward")
    assert result.responses == pytest.approx(whole_result.responses, abs=1e-3)
    assert (context.run_dir / f"checkpoint-{STEPS}" / "pytorch_model_fsdp_0").is_dir(), "each process saved its shard"


@pytest.mark.ray
def test_a_sweep_finds_the_effect_and_none_of_the_number_of_processes(maineffect: Any, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("*.registration.json"))
    study = yaml.safe_load((folder / "study.yaml").read_text())
    study["design"]["replicates"] = 1
    study["analysis"]["terms"] = "main"
    study["hypotheses"] = [one for one in study["hypotheses"] if ":" not in one["term"]]
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    submitted = json.loads(maineffect(tmp_path, "submit", "study/study.yaml", "--json"))
    assert submitted["counts"] == {"finished": 4, "failed": 0, "running": 0, "planned": 0}
    result = json.loads(maineffect(tmp_path, "analyse", "latest", "--json"))
    effects = {one["term"]: one["estimate"] for one in result["responses"]["conflict_accuracy"]["effects"]}
    assert effects["conflict_rate"] > 0.1
    assert abs(effects["processes"]) < 1e-3
    assert {run["measures"]["ran_in_processes"] for run in result["runs"]} == {1, 2}
