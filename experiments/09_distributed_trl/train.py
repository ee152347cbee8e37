"""One GRPO run in as many processes as it is started with: TRL's trainer, accelerate's way of dividing the work.

    python train.py --global-batch 32 --out results.json
    torchrun --standalone --nproc-per-node 2 train.py --global-batch 32 --out results.json

Both make the same run: the batch is divided by the number of processes, and what a rollout says depends on the seed,
the step and its place in the whole batch, not on the process that plays it. What remains is rounding. The script knows
nothing of the platform that sweeps it. For a model of your own, replace ``world.model`` by ``from_pretrained`` and
leave ``teach`` out.
"""

from __future__ import annotations

import argparse
import json
import os
from typing import Any

import numpy as np
import torch  # noqa: TID251
import torch.distributed as dist  # noqa: TID251
import world
from datasets import Dataset
from transformers import LogitsProcessor, LogitsProcessorList, PrinterCallback, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

TAUGHT, TAUGHT_BATCH = 300, 64


class OwnDice(LogitsProcessor):
    """Sampling by one uniform number per rollout and token, whoever plays the rollout.

    The inverse of the cumulative distribution picks the token; all others are ruled out, so that a greedy generation
    takes it.

    Args:
        seed: The run's seed.
        step: Updates made so far.
        places: Of each row, its place in the batch of all processes.
        temperature: Divides the logits.
    """

    def __init__(self, seed: int, step: int, places: range, temperature: float) -> None:
        self._dice = [np.random.default_rng([seed, step, place]) for place in places]
        self._temperature = temperature

    def __call__(self, _input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Rule out all but the drawn token of each row; scores have shape (rows, vocabulary)."""
        cumulative = (scores.double() / self._temperature).softmax(-1).cumsum(-1)
        drawn = torch.tensor([dice.random() for dice in self._dice], dtype=cumulative.dtype, device=scores.device)
        token = torch.searchsorted(cumulative, drawn[:, None] * cumulative[:, -1:], right=True)
        token = token.clamp(max=scores.shape[-1] - 1)
        return torch.full_like(scores, -torch.inf).scatter(-1, token, 0.0)


class Report(TrainerCallback):
    """Numbers of each step as a line of the metrics file, from the first process alone."""

    def __init__(self, path: str) -> None:
        self._path = path

    def on_log(self, _args: Any, state: Any, _control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        """Append what was logged; the summary at the end of a training is no step's."""
        if not self._path or not state.is_world_process_zero or "grad_norm" not in (logs or {}):
            return
        names = ("reward", "loss", "grad_norm", "entropy", "learning_rate")
        numbers = {name: float(logs[name]) for name in names if name in logs}
        with open(self._path, "a") as file:
            print(json.dumps({"step": state.global_step, **numbers}), file=file)


def is_right(completions: list[str], right: list[str], **_: Any) -> list[float]:
    """Reward 1 for the report's value and nothing else."""
    return [float(said.split() == [value]) for said, value in zip(completions, right, strict=True)]


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--conflict-rate", type=float, default=0.5)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--global-batch", type=int, default=64, help="rollouts a step, of all processes together")
    parser.add_argument("--group-size", type=int, default=8)
    parser.add_argument("--evaluated", type=int, default=256, help="questions with a conflict, and as many without")
    parser.add_argument("--save-steps", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--base-seed", type=int, default=0, help="decides the model that GRPO starts from")
    parser.add_argument("--evaluation-seed", type=int, default=0)
    parser.add_argument("--dir", default="outputs", help="checkpoints come here")
    parser.add_argument("--out", default="results.json")
    parser.add_argument("--metrics", default="")
    parser.add_argument("--resume", default="", help="a checkpoint's folder, written by any number of processes")
    return parser.parse_args()


def make_trainer(given: argparse.Namespace, policy: Any, processes: int) -> GRPOTrainer:
    """TRL's trainer for one of so many processes."""
    if given.global_batch % processes:
        raise SystemExit(f"--global-batch {given.global_batch} cannot be divided among {processes} processes")
    asked = world.questions(given.steps * given.global_batch // given.group_size, given.conflict_rate, given.seed)
    share = given.global_batch // processes
    config = GRPOConfig(
        output_dir=given.dir,
        max_steps=given.steps,
        per_device_train_batch_size=share,
        num_generations=given.group_size,
        max_completion_length=2,
        generation_kwargs={"do_sample": False},
        learning_rate=given.learning_rate,
        beta=0.0,
        logging_steps=1,
        report_to=[],
        save_strategy="steps",
        save_steps=given.save_steps,
        save_total_limit=2,
        shuffle_dataset=False,
        bf16=torch.cuda.is_available(),
        use_cpu=not torch.cuda.is_available(),
        gradient_checkpointing=False,
        disable_tqdm=True,
        seed=given.seed,
    )
    trainer = GRPOTrainer(
        policy,
        reward_funcs=[is_right],
        args=config,
        train_dataset=Dataset.from_list([{"prompt": one["prompt"], "right": one["right"]} for one in asked]),
        processing_class=world.tokenizer(),
        callbacks=[Report(given.metrics)],
    )
    trainer.remove_callback(PrinterCallback)
    plain = policy.generate

    def generate(*words: Any, **options: Any) -> Any:
        first = trainer.accelerator.process_index * share
        dice = OwnDice(given.seed, trainer.state.global_step, range(first, first + share), config.temperature)
        return plain(*words, **options, logits_processor=LogitsProcessorList([dice]))

    policy.generate = generate
    return trainer


def main() -> None:
    """Teach, train, examine; the first process writes the results."""
    given = arguments()
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    policy = world.model(given.base_seed)
    world.teach(policy, TAUGHT, TAUGHT_BATCH, given.base_seed)
    trainer = make_trainer(given, policy, processes)
    if processes > 1:  # machines round differently: all start from what the first one was taught
        for parameter in policy.parameters():
            sent = parameter.data.to(trainer.accelerator.device)
            dist.broadcast(sent, 0)
            parameter.data.copy_(sent)
    before = world.examine(policy, given.evaluated, given.evaluation_seed)
    trainer.train(resume_from_checkpoint=given.resume or None)
    policy.eval()
    after = world.examine(trainer.model_wrapped, given.evaluated, given.evaluation_seed)
    if trainer.accelerator.is_main_process:
        write(given.out, before, after, processes)
    trainer.accelerator.end_training()


def write(path: str, before: list[dict[str, Any]], after: list[dict[str, Any]], processes: int) -> None:
    """Results as an object of numbers and items."""

    def share(items: list[dict[str, Any]], conflict: bool) -> float:
        return float(np.mean([item["score"] for item in items if item["conflict"] is conflict]))

    results = {
        "responses": {"conflict_accuracy": share(after, True), "clean_accuracy": share(after, False)},
        "measures": {"conflict_accuracy_before": share(before, True), "ran_in_processes": processes},
        "items": after,
    }
    with open(path, "w") as file:
        json.dump(results, file)
    print(f"in {processes} processes: {results['responses']}")  # noqa: T201 — into the run's log


if __name__ == "__main__":
    main()
