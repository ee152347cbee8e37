"""Checks 1, 2, 8, 12 and 13: studies that are checked and submitted as a user does it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
import yaml

from maineffect import study as verbs
from maineffect.gpu_check.bench import Bench
from maineffect.gpu_check.device import used_by_others
from maineffect.gpu_check.outcome import Judged, Outcome

__all__ = [
    "form_without_gpu",
    "judge_devices",
    "judge_killed",
    "killed_engine",
    "killed_run",
    "nothing_left",
    "reserved_devices",
]

_TRAINABLES = "maineffect.gpu_check.trainables"
_LEFT_SECONDS, _LEFT_MIB = 15.0, 64.0
_GAP = {"cpu": 1e-3, "cuda": 0.05}
_RATE = 1e-4


def form_without_gpu(bench: Bench) -> Outcome:
    """``maineffect check`` with all GPUs hidden: passes a study for one, refuses one that reserves none at its line."""
    judged, folder = Judged(), _fresh(bench, "form")
    text = {
        "schema_version": 1,
        "name": "form",
        "trainable": "search_agent",
        "factors": {"rate": {"levels": [0.0, 0.5], "binds": "world.conflict_rate"}},
        "settings": {
            "world": {"language": "english"},
            "policy": {"model": "some/model", "device": "cuda", "sampler": "vllm"},
            "train": {"learning_rate": _RATE},
            "warmstart": {"learning_rate": _RATE},
        },
        "design": {"kind": "full", "replicates": 2},
        "responses": {"clean_accuracy": {"smallest_effect": 0.05}},
    }
    for name, reserved, code in (("reserved", {"gpus": 1}, 0), ("unreserved", {}, 3)):
        path = folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump({**text, "resources": reserved}, sort_keys=False), encoding="utf-8")
        hidden = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
        command = [sys.executable, "-m", "maineffect", "check", path.name]
        done = subprocess.run(command, cwd=folder, env=hidden, capture_output=True, text=True, check=False)
        judged.numbers[f"{name}_exit"] = float(done.returncode)
        said = (done.stdout + done.stderr).strip()
        judged.hold(
            done.returncode == code, f"check of a study with GPUs {name}: exit {done.returncode}: {said[-300:]}"
        )
        if code:
            blamed = "settings.policy.device"
            judged.hold(f"{path.name}:" in said and blamed in said, f"the refusal names no line of {blamed}")
        else:
            judged.hold("no GPU" in said, "that no GPU is here is not said")
    return judged.outcome()


def reserved_devices(bench: Bench) -> Outcome:
    """Two runs of half a GPU each, then two of a whole one: devices by UUID, and none held by two that reserved it."""
    judged = Judged()
    for name, gpus in (("half", 0.5), ("whole", 1.0)):
        folder = _fresh(bench, f"devices-{name}")
        settings = {"folder": str(folder / "seen")}
        _submit(folder, "look", settings, {"name": ["one", "two"]}, {"cpus": 0.5, "gpus": gpus}, "devices")
        seen = [json.loads(path.read_text()) for path in sorted((folder / "seen").glob("*.json"))]
        judge_devices(judged, seen, name, gpus)
    return judged.outcome()


def judge_devices(judged: Judged, seen: Sequence[Mapping[str, Any]], name: str, gpus: float) -> None:
    """Hold what two runs saw against what they had reserved.

    Args:
        judged: Gets numbers and what is wrong.
        seen: What each run wrote down, as :func:`maineffect.gpu_check.trainables.look` does.
        name: Of the numbers.
        gpus: Reserved by each.
    """
    judged.numbers[f"{name}_devices"] = float(len({uuid for one in seen for uuid in one["uuids"]}))
    judged.hold(len(seen) == 2, f"{len(seen)} of two runs of {gpus:g} GPU wrote what they saw")
    judged.hold(all(len(one["uuids"]) == 1 for one in seen), f"a run of {gpus:g} GPU sees another number than one")
    if gpus == 1 and len(seen) == 2:
        first, second = seen
        both = first["started"] < second["ended"] and second["started"] < first["ended"]
        shared = bool(set(first["uuids"]) & set(second["uuids"]))
        judged.hold(not (both and shared), "two runs held one GPU at once that each had reserved as a whole")


def killed_run(bench: Bench) -> Outcome:
    """Of two equal runs one is killed with signal 9 after three steps: the same curve, and no more memory after it."""
    folder = _fresh(bench, "killed")
    steps: dict[str, Any] = {
        "train": {"steps": 6, "checkpoint_every": 1, "prompts": 2, "group_size": 4, "learning_rate": _RATE}
    }
    settings = {"folder": str(folder / "seen"), "lab": _lab(bench, **steps)}
    reserved: dict[str, Any] = {"cpus": 1, "gpus": 1} if bench.large else {"cpus": 1}
    _submit(folder, "train_until_killed", settings, {"kills": ["nothing", "run"]}, reserved, "reward")
    return judge_killed(_seen(folder), steps["train"]["steps"], bench.device)


def judge_killed(runs: Sequence[Sequence[Mapping[str, Any]]], steps: int, device: str) -> Outcome:
    """Hold what two equal runs wrote down, of which one was killed, against each other.

    Args:
        runs: Lines of each run, as :func:`maineffect.gpu_check.trainables.train_until_killed` writes them.
        steps: Of each run.
        device: On ``cpu`` the curves must be equal.
    """
    judged = Judged()
    killed = [lines for lines in runs if any("killed" in line for line in lines)]
    whole = [lines for lines in runs if lines not in killed]
    if len(killed) != 1 or len(whole) != 1:
        judged.hold(False, f"{len(killed)} run(s) were killed and {len(whole)} were not, of one each")
        return judged.outcome()
    done = [line["step"] for line in killed[0] if "step" in line]
    processes = {line["pid"] for line in killed[0]}
    curves = [{line["step"]: line["reward"] for line in lines if "step" in line} for lines in (killed[0], whole[0])]
    apart = max(abs(curves[0].get(step, 9.0) - reward) for step, reward in curves[1].items())
    peaks = [next((line["peak_mib"] for line in lines if "done" in line), 0.0) for lines in (killed[0], whole[0])]
    more = peaks[0] / max(peaks[1], 1.0)
    repeated = len(done) - len(set(done))
    judged.numbers |= {"attempts": float(len(processes)), "steps_again": float(repeated)}
    judged.numbers |= {"curve_apart": apart, "peak_mib": peaks[0], "peak_of_undisturbed": more}
    judged.hold(len(processes) == 2, f"{len(processes)} process(es) worked on the run that was killed, not two")
    judged.hold(repeated <= 1, f"{repeated} steps were done again: the run did not go on from its checkpoint")
    judged.hold(set(done) == set(range(steps)), "the curve has a hole")
    judged.hold(apart <= (0.25 if device == "cuda" else 0.0), f"the curves of equal runs are {apart:.3g} apart")
    judged.hold(0 < more <= 1.1, f"the memory of the run that was taken up is {more:.2f} times that of the other")
    return judged.outcome()


def killed_engine(bench: Bench) -> Outcome:
    """An engine in a process of its own, whole weights and LoRA, is killed after two steps: lost, then taken up."""
    judged, folder = Judged(), _fresh(bench, "engine")
    lab = _lab(
        bench,
        policy={"sampler": "vllm", "placement": "actor", "sampler_memory": 0.2, "max_action_tokens": 12},
        train={"steps": 4, "checkpoint_every": 1, "prompts": 1, "group_size": 4, "learning_rate": _RATE},
    )
    settings = {"folder": str(folder / "seen"), "kills": "engine", "at": 1, "lab": lab}
    share = {"GPU": 0.5} if bench.large else {}
    reserved: dict[str, Any] = {"cpus": 1, "bundles": [{"CPU": 1.0, **share}]}
    reserved |= {"gpus": 0.5} if bench.large else {}
    ranks = {"lab.policy.lora_rank": [0, 8]}
    status = _submit(folder, "train_until_killed", settings, ranks, reserved, "reward")
    runs = _seen(folder)
    gaps = [line["mismatch_mean"] for lines in runs for line in lines if "mismatch_mean" in line]
    done = sum(any("done" in line for line in lines) for lines in runs)
    killed = sum(any("killed" in line for line in lines) for lines in runs)
    judged.numbers |= {"engines_killed": float(killed), "runs_done": float(done), "worst_gap": max(gaps, default=9.0)}
    judged.hold(killed == 2, f"{killed} of two engines were killed")
    judged.hold(done == 2, f"{done} of two runs came to their end after it: {status['counts']}")
    allowed = _GAP[bench.device]
    judged.hold(max(gaps, default=9.0) < allowed, f"trainer and engine differ by more than {allowed:g} on average")
    return judged.outcome()


def nothing_left(bench: Bench) -> Outcome:
    """15 s after a sweep its processes are gone, and the cards hold what they held before it."""
    judged, folder = Judged(), _fresh(bench, "left")
    before = used_by_others()
    reserved: dict[str, Any] = {"cpus": 0.5, **({"gpus": 0.5} if bench.large else {})}
    settings = {"folder": str(folder / "seen"), "seconds": 1.0}
    _submit(folder, "look", settings, {"name": ["one", "two"]}, reserved, "devices")
    processes = [json.loads(path.read_text())["pid"] for path in (folder / "seen").glob("*.json")]
    judged.hold(len(processes) == 2, f"{len(processes)} of two runs wrote their process")
    until = time.monotonic() + _LEFT_SECONDS
    alive, more = len(processes), 0.0
    while time.monotonic() < until:
        alive = sum(psutil.pid_exists(pid) for pid in processes)
        more = (used_by_others() or 0.0) - (before or 0.0)
        if not alive and more <= _LEFT_MIB:
            break
        time.sleep(0.5)
    judged.numbers |= {"processes": float(alive), "seconds": _LEFT_SECONDS - max(0.0, until - time.monotonic())}
    judged.hold(alive == 0, f"{alive} process(es) of runs are alive {_LEFT_SECONDS:g} s after the sweep")
    if before is None:
        judged.note("no nvidia-smi: only processes were looked at")
        return judged.outcome()
    judged.numbers["more_mib"] = more
    judged.hold(more <= _LEFT_MIB, f"the cards hold {more:,.0f} MiB more than before the sweep")
    return judged.outcome()


def _lab(bench: Bench, **sections: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of the lab, as a study writes them."""
    plain = bench.settings(**{name: {**bench.settings().model_dump()[name], **part} for name, part in sections.items()})
    return {**plain.model_dump(exclude_defaults=True), "warmstart": {"steps": 0, "learning_rate": _RATE}}


def _fresh(bench: Bench, name: str) -> Path:
    folder = bench.folder / name
    folder.mkdir(parents=True)
    return folder


def _submit(
    folder: Path,
    trainable: str,
    settings: Mapping[str, Any],
    factor: Mapping[str, list[Any]],
    resources: Mapping[str, Any],
    response: str,
) -> dict[str, Any]:
    """Submit a study of one factor, one run a level with one seed, and wait for its end; its status."""
    ((binds, levels),) = factor.items()
    text = {
        "schema_version": 1,
        "name": f"gpu-check-{folder.name}",
        "trainable": f"{_TRAINABLES}:{trainable}",
        "factors": {"varied": {"levels": levels, "binds": binds}},
        "settings": dict(settings),
        "design": {"kind": "full", "replicates": 1, "common_random_numbers": True},
        "responses": {response: {"smallest_effect": 0.1}},
        "resources": {**resources, "timeout": "10m"},
    }
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(text, sort_keys=False), encoding="utf-8")
    return verbs.submit(path, verbs.Place(home=folder / "home"), on_notice=_tell)


def _tell(notice: str) -> None:
    sys.stderr.write(f"{notice}\n")


def _seen(folder: Path) -> list[list[dict[str, Any]]]:
    """What each run wrote down."""
    files = sorted((folder / "seen").glob("*.jsonl"))
    return [[json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] for file in files]
