"""Run by TRL's own interpreter: GRPOTrainer trains in the search world through ``environment_factory``.

The model is a two-layer Llama without any weights from a hub. It is first taught, by a few supervised steps on TRL's own
rendering of two tool calls, how to call tools at all; everything after that is GRPOTrainer's doing.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile

os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from datasets import Dataset
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, set_seed
from trl import GRPOConfig, GRPOTrainer
from trl.chat_template_utils import qwen3_chat_template

from maineffect.lab.adapters.trl import SearchTools, component_rewards, environment_factory, question_rows
from maineffect.lab.questions.source import training_questions
from maineffect.lab.settings import LabSettings
from maineffect.lab.world.episode import Episodes

SETTINGS = {"world": {"unanswerable_share": 0.5, "hops": 1}}
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
WORDS = ["<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<think>", "</think>"]
QUERY, VALUE = "founder balan", "none"
_TEACHING = 120
NAMES = ("answer", "calibration", "search")


def conversation(index: int) -> list[dict[str, object]]:
    """One search and one answer, as a demonstration."""
    tools = SearchTools(training_questions(LabSettings.model_validate(SETTINGS), 7))
    asked = question_rows(1)[0]["prompt"][0]["content"] + tools.reset(index=index)
    steps: list[dict[str, object]] = [{"role": "user", "content": asked}]
    calls = (("search", {"query": QUERY}), ("answer", {"value": VALUE, "confidence": 0.6, "documents": ""}))
    for name, arguments in calls:
        call = {"type": "function", "function": {"name": name, "arguments": arguments}}
        steps.append({"role": "assistant", "content": "", "tool_calls": [call]})
        steps.append({"role": "tool", "name": name, "content": getattr(tools, name)(**arguments)})
    return [*steps, {"role": "assistant", "content": "done"}]


def tokenizer_of(texts: list[str]) -> PreTrainedTokenizerFast:
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1200,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator(texts, trainer)
    made = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token=SPECIAL[2], pad_token=SPECIAL[0])
    made.add_special_tokens({"additional_special_tokens": [SPECIAL[1]]})
    made.add_tokens(WORDS)
    made.chat_template = qwen3_chat_template
    return made


def expected(index: int) -> float:
    episode = Episodes(LabSettings.model_validate(SETTINGS), 7).episode(index)
    episode.reset()
    episode.step(f"<search> {QUERY} </search>")
    return float(episode.step(f"<answer> {VALUE} | 0.6 |  </answer>")[1])


def main() -> None:
    torch.set_num_threads(1)
    set_seed(1)
    shown = [json.dumps(conversation(i)) for i in range(8)]
    tokenizer = tokenizer_of(shown)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=2048, pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None, tie_word_embeddings=True,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    seen: list[dict[str, object]] = []

    def watch(environments, index, completions, **_):  # type: ignore[no-untyped-def]
        """What TRL gives to reward functions: its environments, rows and transcripts."""
        for env, i, completion in zip(environments, index, completions, strict=True):
            roles = [m["role"] for m in completion]
            called = [c["function"]["name"] for m in completion for c in m.get("tool_calls") or []]
            seen.append(
                {
                    "index": i,
                    "reward": env.get_reward(),
                    "parts": dict(env._components),
                    "roles": roles,
                    "calls": called,
                }
            )
        return [0.0] * len(environments)

    with tempfile.TemporaryDirectory() as folder:
        args = GRPOConfig(
            output_dir=folder, max_steps=2, per_device_train_batch_size=8, num_generations=4, max_completion_length=400,
            learning_rate=1e-4, logging_steps=1, report_to=[], save_strategy="no", bf16=False, use_cpu=True, seed=1,
            gradient_checkpointing=False, reward_weights=[0.0] * (len(NAMES) + 1),
            chat_template_kwargs={"enable_thinking": False},
        )  # fmt: skip
        trainer = GRPOTrainer(
            model,
            reward_funcs=[*component_rewards(NAMES), watch],
            args=args,
            train_dataset=Dataset.from_list(question_rows(16)),
            processing_class=tokenizer,
            environment_factory=environment_factory(SETTINGS, seed=7),
        )
        teach(trainer, tokenizer)
        before = [p.detach().clone() for p in trainer.model.parameters()]
        trainer.train()
    moved = max(float((a - b).abs().max()) for a, b in zip(before, trainer.model.parameters(), strict=True))
    followed = [s for s in seen if s["calls"] == ["search", "answer"]]
    document = {
        "tools": sorted(tool.__name__ for tool in trainer.tools),
        "rollouts": len(seen),
        "followed": len(followed),
        "as_expected": sum(abs(s["reward"] - expected(s["index"])) < 1e-9 for s in followed),
        "sums": all(abs(s["reward"] - sum(s["parts"].values())) < 1e-9 for s in seen),
        "groups": [[s["index"] for s in seen[i : i + 4]] for i in range(0, len(seen), 4)],
        "rewards": [s["reward"] for s in seen],
        "logged": [
            {k: v for k, v in log.items() if "reward" in k or "tools" in k} for log in trainer.state.log_history
        ],
        "moved": moved,
    }
    print(json.dumps(document))


def teach(trainer: GRPOTrainer, tokenizer: PreTrainedTokenizerFast) -> None:
    template = getattr(trainer, "chat_template", None) or tokenizer.chat_template
    batch = [
        tokenizer.apply_chat_template(
            conversation(i), tools=trainer.tools, chat_template=template, tokenize=False, enable_thinking=False
        )
        for i in range(8)
    ]
    coded = tokenizer(batch, return_tensors="pt", padding=True, padding_side="right", add_special_tokens=False)
    labels = coded["input_ids"].masked_fill(coded["attention_mask"] == 0, -100)
    optimizer = torch.optim.AdamW(trainer.model.parameters(), lr=5e-3)
    trainer.model.train()
    for step in range(_TEACHING):
        loss = trainer.model(input_ids=coded["input_ids"], attention_mask=coded["attention_mask"], labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trainer.model.parameters(), 1.0)
        optimizer.step()
        if step % 20 == 0:
            print(f"taught {step}: {loss.item():.3f}", tuple(coded["input_ids"].shape), file=sys.stderr)


if __name__ == "__main__":
    main()
