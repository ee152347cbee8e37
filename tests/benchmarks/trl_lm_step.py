"""A GRPO step of a language model in TRL, as one JSON document: see test_bench_trl_lm.py. Argument: a JSON file."""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback, set_seed
from trl import GRPOConfig, GRPOTrainer


class Clock(TrainerCallback):
    """CPU seconds of each step."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_step_begin(self, args, state, control, **_):  # type: ignore[no-untyped-def]
        self._started = time.process_time()

    def on_step_end(self, args, state, control, **_):  # type: ignore[no-untyped-def]
        self.seconds.append(time.process_time() - self._started)


class Given(GRPOTrainer):
    """TRL's trainer; from the second step on it learns from transcripts that are given to it."""

    given: dict[str, torch.Tensor]
    generating: list[float]

    def _generate_and_score_completions(self, inputs):  # type: ignore[no-untyped-def]
        if self.generating:
            return dict(self.given)
        started = time.process_time()
        made = super()._generate_and_score_completions(inputs)
        self.generating.append(time.process_time() - started)
        return made


def padded(rows: list[list[int]], filling: int, *, left: bool) -> torch.Tensor:
    longest = max(map(len, rows))
    fill = [[filling] * (longest - len(row)) for row in rows]
    return torch.tensor([gap + row if left else row + gap for row, gap in zip(rows, fill, strict=True)])


def batch_of(asked: dict[str, Any], pad: int) -> dict[str, torch.Tensor]:
    """The same transcripts, as TRL's loss takes them: what the environment said is masked within the completion."""
    return {
        "prompt_ids": padded(asked["prompts"], pad, left=True),
        "prompt_mask": padded([[1] * len(row) for row in asked["prompts"]], 0, left=True),
        "completion_ids": padded(asked["completions"], pad, left=False),
        "completion_mask": padded([[1] * len(row) for row in asked["completions"]], 0, left=False),
        "tool_mask": padded(asked["written"], 0, left=False),
        "advantages": torch.tensor(asked["advantages"]),
        "num_items_in_batch": torch.tensor(sum(map(sum, asked["written"]))),
    }


def main(asked: dict[str, Any]) -> None:
    torch.set_num_threads(1)
    set_seed(1)
    tokenizer = AutoTokenizer.from_pretrained(asked["model"])
    model = AutoModelForCausalLM.from_pretrained(asked["model"], dtype=torch.float32)
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        args = GRPOConfig(
            output_dir=folder, max_steps=2, per_device_train_batch_size=asked["rows"],
            gradient_accumulation_steps=len(asked["prompts"]) // asked["rows"], num_generations=asked["group"],
            max_completion_length=asked["mean_written"], learning_rate=1e-5, beta=0.0, temperature=1.0,
            loss_type="dr_grpo", scale_rewards="none", gradient_checkpointing=False, bf16=False, use_cpu=True,
            report_to=[], save_strategy="no", logging_steps=1, seed=1, disable_tqdm=True,
            generation_kwargs={"min_new_tokens": asked["mean_written"]},
        )  # fmt: skip
        trainer = Given(
            model,
            reward_funcs=lambda completions, **_: [float(len(set(text.split()))) for text in completions],
            args=args,
            train_dataset=Dataset.from_dict({"prompt": [tokenizer.decode(row) for row in asked["questions"]]}),
            processing_class=tokenizer,
            callbacks=[clock],
        )
        trainer.given, trainer.generating = batch_of(asked, tokenizer.pad_token_id or 0), []
        trainer.train()
    document = {
        "step": clock.seconds[0],
        "generating": trainer.generating[0],
        "update": clock.seconds[1],
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }
    print(json.dumps(document))


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
