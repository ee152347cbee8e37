"""TRL's GRPOTrainer in the search world: its trainer, its loss and its rollouts; our questions, tools and rewards.

A two-layer Llama with random weights stands for a model, so that the example runs on a CPU in seconds. It is first
taught to call tools, by supervised steps on TRL's own rendering of two calls; the rest is GRPOTrainer's doing. For a
model of your own, replace ``_model`` by ``from_pretrained`` and leave ``_teach`` out.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from maineffect.contracts import RunContext, RunRequest, RunResult
from maineffect.lab.adapters.trl import SearchTools, question_rows
from maineffect.lab.questions.contract import Questions
from maineffect.lab.questions.source import training_questions
from maineffect.lab.settings import LabSettings, RewardSettings, WorldSettings

_SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
_WORDS = ["<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<think>", "</think>"]
_DEMONSTRATIONS, _AT_ONCE = 32, 2
_FIRST_EVALUATED = 1_000_000  # rows from here on ask the evaluation's questions


class Settings(BaseModel):
    """What a study may set or bind factors to."""

    model_config = ConfigDict(extra="forbid")
    world: WorldSettings = Field(default_factory=WorldSettings, description="As in the built-in lab.")
    reward: RewardSettings = Field(default_factory=RewardSettings, description="As in the built-in lab.")
    learning_rate: float = Field(default=1e-4, gt=0)
    steps: int = Field(default=2, ge=1)
    prompts: int = Field(default=2, ge=1, description="Questions per step.")
    group_size: int = Field(default=4, ge=2, description="Rollouts per question.")
    taught: int = Field(default=200, ge=0, description="Supervised steps before GRPO.")
    evaluated: int = Field(default=4, ge=1, description="Questions of the evaluation, the same in all runs.")

    def questions(self, seed: int) -> Questions:
        """What is trained on: the world of this run's levels."""
        return training_questions(LabSettings(world=self.world, reward=self.reward), seed)


class Split:
    """Training questions of a run's own world, and evaluation questions of the default world, which all runs share."""

    def __init__(self, training: Questions, held_out: Questions) -> None:
        self._training, self._held_out = training, held_out

    def episode(self, index: int) -> Any:
        """The question of a row."""
        held_out = index >= _FIRST_EVALUATED
        return self._held_out.episode(index - _FIRST_EVALUATED) if held_out else self._training.episode(index)

    def group(self, index: int, size: int) -> list[Any]:
        """Rollouts on one question."""
        return [self.episode(index) for _ in range(size)]


def train(request: RunRequest, context: RunContext) -> RunResult:
    """Train once; mean reward on questions that all runs share, before and after."""
    os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"
    from datasets import Dataset
    from transformers import TrainerCallback, set_seed
    from trl import GRPOConfig, GRPOTrainer

    plan = Settings.model_validate(dict(request.settings))
    set_seed(context.seed("policy") % 2**32)
    shown = [_demonstration(plan.questions(context.seed("demonstrations")), i) for i in range(_DEMONSTRATIONS)]
    tokenizer = _tokenizer([json.dumps(conversation) for conversation in shown])

    class Report(TrainerCallback):  # type: ignore[misc]
        """Metrics to the ledger, and an ear for cancellation."""

        def on_log(
            self, _args: Any, state: Any, _control: Any, logs: Mapping[str, Any] | None = None, **_: Any
        ) -> None:
            numbers = {k.replace("/", "."): float(v) for k, v in (logs or {}).items() if isinstance(v, int | float)}
            context.log(state.global_step, numbers)

        def on_step_end(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
            context.progress(state.global_step, plan.steps)
            context.check_cancelled()

    items: list[dict[str, Any]] = []

    def watch(environments: Any, index: Any, completions: Any, **_: Any) -> list[float]:
        """Keep what is played in the evaluation; weighs nothing, as the environment gives the reward itself."""
        for tools, i, said in zip(environments, index, completions, strict=True):
            called = [call["function"]["name"] for message in said for call in message.get("tool_calls") or []]
            if i >= _FIRST_EVALUATED:
                name = f"q{i - _FIRST_EVALUATED}-{len(items)}"
                items.append({"item_id": name, "score": tools.get_reward(), "answered": float("answer" in called)})
        return [0.0] * len(environments)

    def evaluate() -> list[dict[str, Any]]:
        items.clear()
        set_seed(request.evaluation_seed % 2**32)
        trainer.evaluate(Dataset.from_list(question_rows(plan.evaluated, first=_FIRST_EVALUATED)))
        return list(items)

    held_out = training_questions(LabSettings(), request.evaluation_seed)
    questions = Split(plan.questions(context.seed("questions")), held_out)
    batch = plan.prompts * plan.group_size
    seed = context.seed("trainer") % 2**31
    trainer = GRPOTrainer(
        _model(tokenizer),
        reward_funcs=[watch],
        args=GRPOConfig(
            output_dir=str(context.run_dir / "trl"),
            max_steps=plan.steps,
            per_device_train_batch_size=batch,
            per_device_eval_batch_size=batch,
            num_generations=plan.group_size,
            max_completion_length=400,
            learning_rate=plan.learning_rate,
            logging_steps=1,
            report_to=[],
            save_strategy="no",
            bf16=False,
            use_cpu=True,
            seed=seed,
            gradient_checkpointing=False,
            reward_weights=[0.0],
            chat_template_kwargs={"enable_thinking": False},
        ),
        train_dataset=Dataset.from_list(question_rows(plan.steps * plan.prompts)),
        processing_class=tokenizer,
        environment_factory=lambda: SearchTools(questions),
        callbacks=[Report()],
    )
    _teach(trainer, tokenizer, shown, plan.taught)
    before = evaluate()
    set_seed(context.seed("sampling") % 2**32)
    trainer.train()
    after = evaluate()
    return RunResult(
        {"reward_trained": _mean(after, "score"), "answered": _mean(after, "answered")},
        measures={"reward_before": _mean(before, "score"), "steps": float(trainer.state.global_step)},
        items=after,
    )


train.settings_model = Settings  # type: ignore[attr-defined]
train.response_names = ("reward_trained", "answered")  # type: ignore[attr-defined]


def _mean(items: list[dict[str, Any]], name: str) -> float:
    return sum(float(item[name]) for item in items) / len(items)


def _demonstration(questions: Questions, index: int) -> list[dict[str, Any]]:
    """One search and one answer, whatever is asked: how to call tools, not what to say."""
    tools = SearchTools(questions)
    asked = question_rows(1)[0]["prompt"][0]["content"] + tools.reset(index=index)
    steps: list[dict[str, Any]] = [{"role": "user", "content": asked}]
    calls: tuple[tuple[str, dict[str, Any]], ...] = (
        ("search", {"query": "founder balan"}),
        ("answer", {"value": "none", "confidence": 0.6, "documents": ""}),
    )
    for name, arguments in calls:
        call = {"type": "function", "function": {"name": name, "arguments": arguments}}
        steps.append({"role": "assistant", "content": "", "tool_calls": [call]})
        steps.append({"role": "tool", "name": name, "content": getattr(tools, name)(**arguments)})
    return [*steps, {"role": "assistant", "content": "done"}]


def _tokenizer(texts: list[str]) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast
    from trl.chat_template_utils import qwen3_chat_template

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    raw.train_from_iterator(
        texts,
        trainers.BpeTrainer(vocab_size=1200, special_tokens=_SPECIAL, initial_alphabet=alphabet, show_progress=False),
    )
    made = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token=_SPECIAL[2], pad_token=_SPECIAL[0])
    made.add_special_tokens({"additional_special_tokens": [_SPECIAL[1]]})
    made.add_tokens(_WORDS)
    made.chat_template = qwen3_chat_template
    return made


def _model(tokenizer: Any) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = LlamaConfig(
        vocab_size=len(tokenizer), max_position_embeddings=2048, pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id, bos_token_id=None, tie_word_embeddings=True, **sizes,
    )  # fmt: skip
    return LlamaForCausalLM(config)


def _teach(trainer: Any, tokenizer: Any, shown: list[list[dict[str, Any]]], steps: int) -> None:
    """Supervised steps on whole conversations."""
    import torch  # noqa: TID251

    template = getattr(trainer, "chat_template", None) or tokenizer.chat_template
    texts = [
        tokenizer.apply_chat_template(
            conversation, tools=trainer.tools, chat_template=template, tokenize=False, enable_thinking=False
        )
        for conversation in shown
    ]
    # Only what follows the question is learnt, so that short teaching goes into calls.
    asked = [
        len(tokenizer(text.split("<|im_start|>assistant")[0], add_special_tokens=False).input_ids) for text in texts
    ]
    optimizer = torch.optim.AdamW(trainer.model.parameters(), lr=5e-3)
    trainer.model.train()
    for step in range(steps):
        rows = [(step * _AT_ONCE + k) % len(texts) for k in range(_AT_ONCE)]
        picked = [texts[row] for row in rows]
        coded = tokenizer(picked, return_tensors="pt", padding=True, padding_side="right", add_special_tokens=False)
        labels = coded["input_ids"].masked_fill(coded["attention_mask"] == 0, -100)
        for k, row in enumerate(rows):
            labels[k, : asked[row]] = -100
        loss = trainer.model(input_ids=coded["input_ids"], attention_mask=coded["attention_mask"], labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trainer.model.parameters(), 1.0)
        optimizer.step()
