"""A GRPO step of the tiny policy beside TRL's GRPOTrainer, in one run: ``MAINEFFECT_TRL=<python> make bench``.

Both run on one thread with the same number of rollouts, group size, vocabulary, width, layers and heads. Ours plays real
episodes: several turns each, retrieval between them. TRL generates one completion of as many tokens as our policy wrote
on average, behind a prompt of as many tokens as ours only read, so its transcripts are as long as ours and its easier
(one prefill, no environment). TRL's model is a Llama whose MLP width makes its parameters equal ours within 5 %. Ours
also measures the KL to the warm start in every update, a forward pass that TRL leaves out at beta = 0. Seconds are CPU
seconds of one process; tokens are those of the transcripts. Learning is not compared here.
"""

from __future__ import annotations

import copy
import json
import os
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from maineffect.lab.policy.models import TinyTransformer
from maineffect.lab.policy.torch_sampler import rollout
from maineffect.lab.settings import LabSettings
from maineffect.lab.train.grpo import update
from maineffect.lab.train.warmstart import warm_start
from maineffect.lab.world.episode import Episodes
from maineffect.lab.world.vocabulary import VOCABULARY

pytestmark = pytest.mark.benchmark

ROOT = Path(__file__).parents[2]
WORLD = {"conflict_rate": 0.5, "unanswerable_share": 0.3, "distractors": 3}
STEPS = 4
MATRIX = ("mm", "addmm", "bmm", "matmul", "baddbmm", "linear", "flash_attention")


def trl_python() -> str:
    named = os.environ.get("MAINEFFECT_TRL", str(ROOT / ".venv-trl" / "bin" / "python"))
    if not Path(named).exists():
        pytest.skip("set MAINEFFECT_TRL to an interpreter with TRL (see tests/lab/adapters/test_peers.py)")
    return named


def share_in_matrix_products(profile: torch.profiler.profile) -> float:
    """Self CPU time of matrix products over that of all operators."""
    rows = profile.key_averages()
    total = sum(row.self_cpu_time_total for row in rows)
    return sum(row.self_cpu_time_total for row in rows if any(name in row.key for name in MATRIX)) / total


def ours(settings: LabSettings, start: TinyTransformer) -> dict[str, Any]:
    """CPU seconds of steps 1 … STEPS, lengths of their transcripts, and the share of a profiled step after them."""
    plan, model, initial = settings.train, copy.deepcopy(start), copy.deepcopy(start).requires_grad_(False)
    optimizer = torch.optim.AdamW(model.parameters(), lr=plan.learning_rate)
    episodes = Episodes(settings, 3)
    seconds, read, written = [], [], []

    def step(number: int) -> None:
        batch = [e for i in range(plan.prompts) for e in episodes.group(number * plan.prompts + i, plan.group_size)]
        played = rollout(model, batch, torch.Generator().manual_seed(number))
        update(model, initial, optimizer, played, plan)
        wrote = played.written_BT.sum(1).float().mean().item()
        written.append(wrote)
        read.append(played.lengths_B.float().mean().item() - wrote)

    for number in range(STEPS):
        started = time.process_time()
        step(number)
        seconds.append(time.process_time() - started)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        step(STEPS)
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "seconds": seconds[1:],  # the first one warms caches up, in TRL too
        "read": statistics.fmean(read),
        "written": statistics.fmean(written),
        "share": share_in_matrix_products(profile),
    }


@pytest.mark.parametrize("size", [{}, {"width": 128, "layers": 3}], ids=["default", "wide"])
def test_step_beside_trl(size: dict[str, int], tmp_path: Path) -> None:
    python = trl_python()
    torch.set_num_threads(1)
    settings = LabSettings.model_validate({"world": WORLD, "policy": size, "warmstart": {"steps": 60}})
    mine = ours(settings, warm_start(settings, 1, tmp_path))
    rollouts = settings.train.prompts * settings.train.group_size
    asked = {
        "vocabulary": len(VOCABULARY),
        "width": settings.policy.width,
        "layers": settings.policy.layers,
        "heads": settings.policy.heads,
        "parameters": mine["parameters"],
        "rollouts": rollouts,
        "group": settings.train.group_size,
        "prompt": round(mine["read"]),
        "completion": round(mine["written"]),
        "steps": STEPS,
    }
    script = str(Path(__file__).with_name("trl_step.py"))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TRL_EXPERIMENTAL_SILENCE": "1"}
    done = subprocess.run([python, script, json.dumps(asked)], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-4000:]
    theirs = json.loads(done.stdout.strip().splitlines()[-1])
    theirs["seconds"] = theirs["seconds"][1:]
    assert abs(theirs["parameters"] / mine["parameters"] - 1) < 0.05
    assert theirs["completion"] == pytest.approx(asked["completion"], abs=0.5)

    tokens = {
        "maineffect": rollouts * (mine["read"] + mine["written"]),
        "TRL": rollouts * (asked["prompt"] + asked["completion"]),
    }
    print(
        f"\n{asked['rollouts']} rollouts of {asked['prompt']} read + {asked['completion']} written tokens, one thread"
    )
    medians = {}
    for name, found in (("maineffect", mine), ("TRL", theirs)):
        medians[name] = statistics.median(found["seconds"])
        print(
            f"{name:>10}: {found['parameters']:>9,} parameters  {medians[name]:.3f} s/step "
            f"({min(found['seconds']):.3f} to {max(found['seconds']):.3f})  "
            f"{tokens[name] / medians[name]:>8,.0f} tokens/s  {found['share']:.0%} in matrix products"
        )
    ratio = medians["TRL"] / medians["maineffect"]
    print(f"TRL / maineffect: {ratio:.2f}")
    assert ratio > 1.0, "a step is slower than TRL's"
