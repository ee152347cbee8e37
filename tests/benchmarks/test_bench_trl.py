"""A GRPO step of the tiny policy beside TRL's GRPOTrainer, in one run: ``MAINEFFECT_TRL=<python> make bench``.

Both run on one thread with the same number of rollouts, group size, vocabulary, width, layers and heads. Ours plays real
episodes: several turns each, retrieval between them. TRL generates one completion of as many tokens as our policy wrote
on average, behind prompts whose lengths are a sample of what our rollouts only read: its transcripts are as long as ours
and as unequal, and easier (one prefill, no environment). A second TRL row gives all prompts our mean length, so that
nothing is padded there while our transcripts stay unequal: a bound in TRL's favour. TRL's model is a Llama whose MLP width makes its parameters
equal ours within 5 %. Ours also measures the KL to the warm start on a quarter of the rollouts, which TRL leaves out at
beta = 0. Seconds are CPU seconds of one process; tokens are those of the transcripts, without padding. ``slices`` is our
setting that cuts a batch by length, 4 by default. Learning is compared in test_bench_trl_learning.py.
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
from maineffect.lab.sampling.tiny_sampler import rollout
from maineffect.lab.settings import LabSettings
from maineffect.lab.train.adam import Adam
from maineffect.lab.train.grpo import update
from maineffect.lab.train.warmstart import warm_start
from maineffect.lab.world.episode import Episodes
from maineffect.lab.world.vocabulary import VOCABULARY

pytestmark = pytest.mark.benchmark

ROOT = Path(__file__).parents[2]
WORLD = {"conflict_rate": 0.5, "unanswerable_share": 0.3, "distractors": 3}
STEPS = 4
TARGET = 2.0
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


def ours(settings: LabSettings, start: TinyTransformer, slices: int) -> dict[str, Any]:
    """CPU seconds of steps 1 … STEPS, lengths of their transcripts, and the share of a profiled step after them."""
    plan = settings.train.model_copy(update={"slices": slices})
    model, initial = copy.deepcopy(start), copy.deepcopy(start).requires_grad_(False)
    optimizer = Adam(list(model.parameters()), plan.learning_rate)
    episodes = Episodes(settings, 3)
    seconds: list[float] = []
    read: list[torch.Tensor] = []
    written: list[torch.Tensor] = []

    def step(number: int) -> None:
        batch = [e for i in range(plan.prompts) for e in episodes.group(number * plan.prompts + i, plan.group_size)]
        played = rollout(model, batch, torch.Generator().manual_seed(number))
        update(model, initial, optimizer, played, plan)
        written.append(played.written_BT.sum(1))
        read.append(played.lengths_B - written[-1])

    for number in range(STEPS):
        started = time.process_time()
        step(number)
        seconds.append(time.process_time() - started)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        step(STEPS)
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "seconds": seconds[1:],  # the first one warms caches up, in TRL too
        "read": torch.cat(read),
        "written": torch.cat(written).float().mean().item(),
        "share": share_in_matrix_products(profile),
    }


@pytest.mark.parametrize("size", [{}, {"width": 128, "layers": 3}], ids=["default", "wide"])
def test_step_beside_trl(size: dict[str, int], tmp_path: Path) -> None:
    python = trl_python()
    torch.set_num_threads(1)
    settings = LabSettings.model_validate({"world": WORLD, "policy": size, "warmstart": {"steps": 60}})
    start = warm_start(settings, 1, tmp_path)
    found = {f"ours, slices {slices}": ours(settings, start, slices) for slices in (1, 4)}
    mine = next(iter(found.values()))
    plan = settings.train
    rollouts = plan.prompts * plan.group_size
    # One read length per question: evenly spaced ranks of ours, the longest among them.
    ranks = torch.linspace(0, len(mine["read"]) - 1, plan.prompts).round().long()
    prompts = mine["read"].sort().values[ranks].tolist()
    asked = {
        "vocabulary": len(VOCABULARY),
        "width": settings.policy.width,
        "layers": settings.policy.layers,
        "heads": settings.policy.heads,
        "parameters": mine["parameters"],
        "rollouts": rollouts,
        "group": plan.group_size,
        "prompts": prompts,
        "completion": round(mine["written"]),
        "steps": STEPS,
    }
    padded = trl_step(python, asked)
    level = trl_step(python, {**asked, "prompts": [round(mine["read"].float().mean().item())] * plan.prompts})
    assert abs(padded["parameters"] / mine["parameters"] - 1) < 0.05
    assert padded["completion"] == pytest.approx(asked["completion"], abs=0.5)
    found |= {"TRL": padded, "TRL, level": level}
    print(f"\n{rollouts} rollouts, one thread")
    medians = {}
    for name, seen in found.items():
        medians[name] = statistics.median(seen["seconds"])
        read = seen["read"].float().mean().item()
        print(
            f"{name:>15}: {seen['parameters']:,} parameters, {read:.1f} tokens read (at most {int(seen['read'].max())}) + "
            f"{seen['written']:.1f} written, {medians[name]:.3f} s/step ({min(seen['seconds']):.3f} to "
            f"{max(seen['seconds']):.3f}), {rollouts * (read + seen['written']) / medians[name]:,.0f} tokens/s, "
            f"{seen['share']:.0%} in matrix products"
        )
    mine_s = {name: seconds for name, seconds in medians.items() if name.startswith("ours")}
    for peer in ("TRL", "TRL, level"):
        ratios = {name: medians[peer] / seconds for name, seconds in mine_s.items()}
        print(", ".join(f"{peer} / {name}: {ratio:.2f}" for name, ratio in ratios.items()), f"(target {TARGET})")
    assert medians["TRL"] > min(mine_s.values()), "a step is slower than TRL's"


def trl_step(python: str, asked: dict[str, Any]) -> dict[str, Any]:
    """Steps of TRL's trainer in its own interpreter, the first left out as in ours."""
    script = str(Path(__file__).with_name("trl_step.py"))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TRL_EXPERIMENTAL_SILENCE": "1"}
    done = subprocess.run([python, script, json.dumps(asked)], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-4000:]
    seen: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    read = torch.tensor(asked["prompts"])
    return {**seen, "seconds": seen["seconds"][1:], "read": read, "written": seen["completion"]}
