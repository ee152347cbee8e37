"""Learning beside TRL's GRPOTrainer at matched settings, in one run: ``MAINEFFECT_TRL=<python> make bench``.

Both start from the same cloned weights, are the same model to the last layer (TRL gets ours wrapped; the run prints how
far its logits are off), ask the same questions in the same order and take the same steps: the surrogate summed over
written tokens and divided by a constant, advantages centred per group, AdamW with the same rates, betas and clipping.
TRL generates with ``transformers`` in a ``rollout_func``, one ``generate`` a turn, as its own tool loop does; sampling
noise differs, so the rewards of two seeds of one trainer say how much a difference between the trainers means. Ours
also measures the KL to the warm start on a quarter of the rollouts, which TRL leaves out at beta = 0. Seconds are CPU seconds of one thread.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from maineffect.lab.sampling.sampler import trained_weights
from maineffect.lab.settings import LabSettings
from maineffect.lab.train.loop import train
from maineffect.lab.train.warmstart import warm_start
from maineffect.seeds import derive_seed

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(3600)]

ROOT = Path(__file__).parents[2]
STEPS, WINDOW = 40, 10
SEEDS = range(1, 1 + int(os.environ.get("MAINEFFECT_TRL_SEEDS", "3")))
STATED = 0.3
"""Mean reward over WINDOW steps that is to be reached; the warm start has about 0."""
SETTINGS: dict[str, Any] = {
    "world": {"conflict_rate": 0.5, "unanswerable_share": 0.3, "distractors": 3},
    "train": {"steps": STEPS},
    "warmstart": {"slices": 4},
}
TARGET = 2.0


class Recorder:
    """A run context that keeps rewards and CPU seconds of every step."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.run_dir = self.cache_dir = folder
        self._seed, self._started = seed, 0.0
        self.rewards: list[float] = []
        self.seconds: list[float] = []

    def seed(self, purpose: str) -> int:
        return derive_seed(self._seed, purpose)

    def check_cancelled(self) -> None:
        self._started = time.process_time()

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        self.seconds.append(time.process_time() - self._started)
        self.rewards.append(metrics["reward"])

    def progress(self, done: int, total: int) -> None: ...

    def save_checkpoint(self, step: int, write: Callable[[Path], None]) -> None: ...

    def latest_checkpoint(self) -> None:
        return None


def smoothed(rewards: Sequence[float]) -> list[float]:
    return [statistics.fmean(rewards[end - WINDOW : end]) for end in range(WINDOW, len(rewards) + 1)]


def seconds_to(rewards: Sequence[float], seconds: Sequence[float]) -> float | None:
    """CPU seconds until the mean over a window reaches the stated reward; None if it never does."""
    reached = next((end for end, mean in enumerate(smoothed(rewards), WINDOW) if mean >= STATED), None)
    return None if reached is None else sum(seconds[:reached])


def test_learning_beside_trl(tmp_path: Path) -> None:
    python = os.environ.get("MAINEFFECT_TRL", str(ROOT / ".venv-trl" / "bin" / "python"))
    if not Path(python).exists():
        pytest.skip("set MAINEFFECT_TRL to an interpreter with TRL (see tests/lab/adapters/test_peers.py)")
    torch.set_num_threads(1)
    settings = LabSettings.model_validate(SETTINGS)
    found: dict[str, list[dict[str, Any]]] = {"ours": [], "TRL": []}
    for seed in SEEDS:
        context = Recorder(tmp_path, seed)
        model = warm_start(settings, 1, tmp_path)
        torch.save(trained_weights(model), tmp_path / "start.pt")
        room = model.max_tokens
        train(model, settings, context)
        found["ours"].append({"rewards": context.rewards, "seconds": context.seconds})
        asked = {
            "settings": SETTINGS,
            "weights": str(tmp_path / "start.pt"),
            "room": room,
            "world_seed": context.seed("world"),
            "warm_up": 5,
            "seed": seed,
        }
        found["TRL"].append(trl_learns(python, asked))
        for name, runs in found.items():
            print(f"\n{name}, seed {seed}: {describe(runs[-1])}", end="", flush=True)
    assert all(run["off"] < 1e-4 for run in found["TRL"]), "the wrapped model is another one"
    report(found)
    ends = {name: [smoothed(run["rewards"])[-1] for run in runs] for name, runs in found.items()}
    starts = [statistics.fmean(run["rewards"][:3]) for runs in found.values() for run in runs]
    assert min(ends["ours"]) > max(starts), "reward did not move"


def describe(run: Mapping[str, Any]) -> str:
    first, last = statistics.fmean(run["rewards"][:3]), smoothed(run["rewards"])[-1]
    reached = seconds_to(run["rewards"], run["seconds"])
    when = "never" if reached is None else f"after {reached:.1f} s"
    each = statistics.median(run["seconds"][1:])
    return f"reward {first:+.3f} to {last:+.3f}, {STATED} {when}, {each:.3f} s/step"


def report(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    print(f"\n{len(SEEDS)} seeds, {STEPS} steps; reward is the mean of the last {WINDOW} steps")
    step, reached = {}, {}
    for name, runs in found.items():
        last = [smoothed(run["rewards"])[-1] for run in runs]
        step[name] = statistics.median(s for run in runs for s in run["seconds"][1:])
        times = [seconds_to(run["rewards"], run["seconds"]) for run in runs]
        whole = [t for t in times if t is not None]
        reached[name] = statistics.fmean(whole) if len(whole) == len(times) else None
        spread = statistics.stdev(last) if len(last) > 1 else float("nan")
        print(
            f"{name:>5}: reward {statistics.fmean(last):.3f} (SD between seeds {spread:.3f}), {step[name]:.3f} s/step, "
            f"{STATED} reached " + ("in all: " + f"{reached[name]:.1f} s" if len(whole) == len(times) else f"in {len(whole)}")
        )  # fmt: skip
    print(f"TRL / ours: {step['TRL'] / step['ours']:.2f} per step (target {TARGET})", end="")
    if reached["ours"] and reached["TRL"]:
        print(f", {reached['TRL'] / reached['ours']:.2f} to the stated reward")
    else:
        print()


def trl_learns(python: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    """TRL's trainer in its own interpreter."""
    script = str(Path(__file__).with_name("trl_learn.py"))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "platform")}
    done = subprocess.run([python, script, json.dumps(asked)], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-4000:]
    seen: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return seen
