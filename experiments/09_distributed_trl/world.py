"""Two sources that may contradict each other: questions, words, and a tiny model that is not sure whom to believe.

A prompt is ``report kesa rumour dori answer``, or the same with the rumour first. The report is always right. A rumour
agrees with it, except in a share ``conflict_rate`` of the questions. The model, a two-layer Llama with random weights,
is first taught to answer, and to believe the report in seven conflicts of ten. What remains to be learned by reward is
to believe it always, which only conflicts can teach.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch  # noqa: TID251
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

VALUES = ("balan", "cemo", "dori", "fipu", "goza", "hile", "jaru", "kesa")
PAD, END = "<pad>", "<end>"
REPORTS_BELIEVED = 0.7
WORDS = (PAD, END, "<unk>", "report", "rumour", "answer", *VALUES)


def questions(number: int, conflict_rate: float, seed: int) -> list[dict[str, Any]]:
    """Questions, each with its prompt, the value that is right, and whether the sources contradict each other."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(number):
        right, other = (VALUES[place] for place in rng.choice(len(VALUES), 2, replace=False))
        conflict = bool(rng.random() < conflict_rate)
        sources = [f"report {right}", f"rumour {other if conflict else right}"]
        if rng.random() < 0.5:
            sources.reverse()
        made.append({"prompt": " ".join([*sources, "answer"]), "right": right, "conflict": conflict})
    return made


def tokenizer() -> PreTrainedTokenizerFast:
    """One token a word."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    raw = Tokenizer(models.WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=raw, pad_token=PAD, eos_token=END, unk_token="<unk>")


def model(seed: int) -> LlamaForCausalLM:
    """A Llama of 84,000 parameters with random weights."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=16,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=None,
    )
    return LlamaForCausalLM(config)


def teach(policy: LlamaForCausalLM, steps: int, batch: int, seed: int) -> float:
    """Supervised steps towards answers that name the report's value in seven of ten; returns the last loss.

    Args:
        policy: The model; it is changed.
        steps: Steps of AdamW at 3e-3.
        batch: Questions a step, all of them conflicts.
        seed: Decides questions and answers.
    """
    words = tokenizer()
    rng = np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(policy.parameters(), lr=3e-3)
    loss = torch.zeros(())
    for step in range(steps):
        asked = [question["prompt"].split() for question in questions(batch, 1.0, seed + 1 + step)]
        named = np.where(rng.random(batch) < REPORTS_BELIEVED, "report", "rumour")
        told = [" ".join([*text, text[text.index(one) + 1], END]) for text, one in zip(asked, named, strict=True)]
        ids = torch.tensor(words(told)["input_ids"])
        logits = policy(ids).logits[:, 4:6]
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 5:7].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()


@torch.no_grad()
def examine(policy: Any, number: int, seed: int) -> list[dict[str, Any]]:
    """How probable the right answer is: of ``number`` questions with a conflict and as many without, an item each."""
    words, device = tokenizer(), next(policy.parameters()).device
    asked = [*questions(number, 1.0, seed), *questions(number, 0.0, seed + 1)]
    ids = torch.tensor(words([question["prompt"] for question in asked])["input_ids"], device=device)
    right = torch.tensor(words.convert_tokens_to_ids([question["right"] for question in asked]), device=device)
    chance = policy(input_ids=ids).logits[:, -1].float().softmax(-1).gather(-1, right[:, None])[:, 0].tolist()
    return [
        {"item_id": f"q{place}", "conflict": question["conflict"], "score": score}
        for place, (question, score) in enumerate(zip(asked, chance, strict=True))
    ]
