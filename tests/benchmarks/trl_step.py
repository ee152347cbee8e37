"""Seconds per GRPO step in TRL's own interpreter, printed as one JSON document: see test_bench_trl.py."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, TrainerCallback, set_seed
from trl import GRPOConfig, GRPOTrainer

MATRIX = ("mm", "addmm", "bmm", "matmul", "baddbmm", "linear", "flash_attention")


def share_in_matrix_products(profile: torch.profiler.profile) -> float:
    """Self CPU time of matrix products over that of all operators."""
    rows = profile.key_averages()
    total = sum(row.self_cpu_time_total for row in rows)
    return sum(row.self_cpu_time_total for row in rows if any(name in row.key for name in MATRIX)) / total


def llama(asked: dict[str, Any]) -> LlamaForCausalLM:
    """A Llama of the asked width and depth, whose MLP makes up the asked number of parameters."""

    def made(inner: int) -> LlamaForCausalLM:
        return LlamaForCausalLM(
            LlamaConfig(
                vocab_size=asked["vocabulary"], hidden_size=asked["width"], intermediate_size=inner,
                num_hidden_layers=asked["layers"], num_attention_heads=asked["heads"], tie_word_embeddings=True,
                max_position_embeddings=1024, pad_token_id=0, eos_token_id=1, bos_token_id=None,
            )
        )  # fmt: skip

    spare = asked["parameters"] - made(1).num_parameters()
    return made(1 + round(spare / (3 * asked["width"] * asked["layers"])))


class Clock(TrainerCallback):
    """CPU seconds per step; the last step runs under the profiler and is not among them."""

    def __init__(self, steps: int) -> None:
        self.seconds: list[float] = []
        self.share = 0.0
        self._steps, self._profile = steps, torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU])

    def on_step_begin(self, args, state, control, **_):  # type: ignore[no-untyped-def]
        if state.global_step == self._steps:
            self._profile.__enter__()
        self._started = time.process_time()

    def on_step_end(self, args, state, control, **_):  # type: ignore[no-untyped-def]
        self.seconds.append(time.process_time() - self._started)
        if state.global_step == self._steps + 1:
            self._profile.__exit__(None, None, None)
            self.share = share_in_matrix_products(self._profile)
            self.seconds.pop()


def main(asked: dict[str, Any]) -> None:
    torch.set_num_threads(1)
    set_seed(1)
    words = {f"w{i}": i for i in range(asked["vocabulary"])}
    raw = Tokenizer(models.WordLevel(words, unk_token="w2"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="w0", eos_token="w1", unk_token="w2")
    draw = torch.Generator().manual_seed(1)
    prompts = [
        " ".join(f"w{i}" for i in torch.randint(3, asked["vocabulary"], (length,), generator=draw).tolist())
        for length in asked["prompts"]
    ]
    clock = Clock(asked["steps"])
    model = llama(asked)
    with tempfile.TemporaryDirectory() as folder:
        args = GRPOConfig(
            output_dir=folder, max_steps=asked["steps"] + 1, per_device_train_batch_size=asked["rollouts"],
            num_generations=asked["group"], max_completion_length=asked["completion"], learning_rate=1e-3, beta=0.0,
            temperature=1.0, loss_type="dr_grpo", scale_rewards="none", gradient_checkpointing=False, bf16=False,
            use_cpu=True, report_to=[], save_strategy="no", logging_steps=1, seed=1, disable_tqdm=True,
            generation_kwargs={"min_new_tokens": asked["completion"]},
        )  # fmt: skip
        trainer = GRPOTrainer(
            model,
            reward_funcs=lambda completions, **_: [float(len(set(text.split()))) for text in completions],
            args=args,
            train_dataset=Dataset.from_dict({"prompt": prompts}),
            processing_class=tokenizer,
            callbacks=[clock],
        )
        trainer.train()
    lengths = [log["completions/mean_length"] for log in trainer.state.log_history if "completions/mean_length" in log]
    document = {
        "parameters": model.num_parameters(),
        "seconds": clock.seconds,
        "share": clock.share,
        "completion": sum(lengths) / len(lengths),
    }
    print(json.dumps(document))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
