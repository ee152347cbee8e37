"""Beside check 7: TRL's GRPOTrainer with the same model, as many rollouts, and completions as long."""

from __future__ import annotations

import os
import time
from typing import Any

from maineffect.gpu_check.bench import Bench
from maineffect.gpu_check.game import Game

__all__ = ["trl_speed"]


def trl_speed(bench: Bench) -> dict[str, float]:
    """Seconds a step, and completion tokens a second of it: rollouts in the trainer's process, then the update.

    Args:
        bench: On a GPU rollouts are vLLM's, in the trainer's process (``colocate``); else transformers' own.
    """
    os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import GRPOConfig, GRPOTrainer

    settings, steps = bench.settings(), 4
    plan = settings.train
    batch, longest = plan.prompts * plan.group_size, settings.policy.max_action_tokens
    asked = [game.reset()[0] for game in Game().games(settings, 5, plan.prompts * steps, 1)]
    written: list[int] = []

    def letters(completions: Any, completion_ids: Any, **_: Any) -> list[float]:
        written.append(sum(map(len, completion_ids)))
        said = [one[0]["content"].lower() for one in completions]
        return [sum(letter in "abcdefghijklm" for letter in text) / max(1, len(text)) for text in said]

    options: dict[str, Any] = {"use_cpu": True, "bf16": False}
    if bench.large:
        options = {"bf16": True, "use_vllm": True, "vllm_mode": "colocate", "vllm_gpu_memory_utilization": 0.3}
    trainer = GRPOTrainer(
        AutoModelForCausalLM.from_pretrained(bench.model, dtype="float32"),
        reward_funcs=[letters],
        args=GRPOConfig(
            output_dir=str(bench.folder / "trl"),
            max_steps=steps,
            per_device_train_batch_size=batch,
            num_generations=plan.group_size,
            max_completion_length=2 * longest,
            learning_rate=plan.learning_rate,
            report_to=[],
            save_strategy="no",
            gradient_checkpointing=False,
            **options,
        ),
        train_dataset=Dataset.from_list([{"prompt": [{"role": "user", "content": text}]} for text in asked]),
        processing_class=AutoTokenizer.from_pretrained(bench.model),
    )
    started = time.monotonic()
    trainer.train()
    seconds = time.monotonic() - started
    return {"trl_step_s": seconds / steps, "trl_written_per_second": sum(written) / seconds}
