"""GRPOTrainer learns in the search world from our warm start, in TRL's own interpreter: see test_bench_trl_learning.py.

The policy is ours, wrapped as a transformers model: same weights, same arithmetic, a DynamicCache for ``generate``. TRL
gets a ``rollout_func`` that plays the episodes as its own tool loop does: each turn is one ``generate`` over the
transcripts that go on, left-padded and read anew. Loss, batches, padding, optimizer step and logging are TRL's.

Shapes: B rows, T tokens, W the tokens before, V vocabulary.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"

import torch
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor
from torch.nn import functional
from transformers import (
    DynamicCache,
    GenerationConfig,
    GenerationMixin,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    TrainerCallback,
    set_seed,
)
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast
from trl import GRPOConfig, GRPOTrainer

from maineffect.lab.policy.models import WINDOW, TinyTransformer, _rotate
from maineffect.lab.policy.tokens import ACTION_ENDS, PAD_ID, decode, encode
from maineffect.lab.sampling.tiny_sampler import MOST_ACTION_TOKENS
from maineffect.lab.settings import LabSettings
from maineffect.lab.world.episode import Episodes
from maineffect.lab.world.vocabulary import VOCABULARY


class TinyConfig(PretrainedConfig):
    model_type = "maineffect-tiny"


class Backbone(torch.nn.Module):
    """The tiny policy without its head; rows may be padded on both sides."""

    def __init__(self, tiny: TinyTransformer) -> None:
        super().__init__()
        self.tiny = tiny

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        past_key_values: DynamicCache | None = None,
        before_BW: Tensor | None = None,
        use_cache: bool = False,
        **_: Any,
    ) -> BaseModelOutputWithPast:
        """Hidden states (B, T, D)."""
        tiny, (batch, length) = self.tiny, input_ids.shape
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        if before_BW is None:
            before_BW = torch.full((batch, WINDOW), PAD_ID)
        x = tiny._embed(torch.cat([before_BW, input_ids], 1))[:, -length:]
        turn = tiny._turn((attention_mask.cumsum(1) - 1).clamp(min=0)[:, -length:])
        whole = attention_mask.shape[1]
        own_T1, seen_1T = torch.arange(whole - length, whole)[:, None], torch.arange(whole)[None]
        # Padding sees itself, because a softmax over nothing has no value; nobody sees padding.
        visible_B1TT = ((seen_1T <= own_T1) & attention_mask[:, None].bool() | (seen_1T == own_T1))[:, None]
        for i, block in enumerate(tiny._blocks()):
            q, k, v = block.project(x)
            k = _rotate(k, turn)
            if use_cache and past_key_values is not None:
                k, v = past_key_values.update(k, v, i)
            attended = functional.scaled_dot_product_attention(_rotate(q, turn), k, v, attn_mask=visible_B1TT)
            x = block.finish(x, attended)
        return BaseModelOutputWithPast(last_hidden_state=tiny.norm(x), past_key_values=past_key_values)


class Wrapped(PreTrainedModel, GenerationMixin):
    """The tiny policy with the interface of a transformers model."""

    config_class = TinyConfig
    base_model_prefix = "model"
    main_input_name = "input_ids"

    def __init__(self, tiny: TinyTransformer) -> None:
        ours = tiny.settings
        config = TinyConfig(
            vocab_size=len(VOCABULARY), hidden_size=ours.width, num_hidden_layers=ours.layers,
            num_attention_heads=ours.heads, pad_token_id=PAD_ID, eos_token_id=list(ACTION_ENDS), bos_token_id=None,
            tie_word_embeddings=False,
        )  # fmt: skip
        super().__init__(config)
        self.model = Backbone(tiny)
        self.lm_head = torch.nn.Linear(ours.width, len(VOCABULARY), bias=False)
        self.lm_head.weight = tiny.embedding.weight  # one parameter, as in ours
        self.post_init()

    @property
    def tiny(self) -> TinyTransformer:
        return self.model.tiny

    def _init_weights(self, module: torch.nn.Module) -> None:
        """They are loaded."""

    def get_input_embeddings(self) -> torch.nn.Module:
        return self.tiny.embedding

    def get_output_embeddings(self) -> torch.nn.Module:
        return self.lm_head

    def prepare_inputs_for_generation(self, input_ids, past_key_values=None, attention_mask=None, **_):  # type: ignore[no-untyped-def]
        """The tokens that are not in the cache, and those before them, which the convolution reads."""
        done = past_key_values.get_seq_length() if past_key_values is not None else 0
        before = functional.pad(input_ids[:, :done], (WINDOW, 0), value=PAD_ID)[:, -WINDOW:]
        return {
            "input_ids": input_ids[:, done:], "before_BW": before, "attention_mask": attention_mask,
            "past_key_values": past_key_values, "use_cache": True, "logits_to_keep": 1,
        }  # fmt: skip

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        past_key_values: DynamicCache | None = None,
        before_BW: Tensor | None = None,
        use_cache: bool = False,
        logits_to_keep: int = 0,
        **_: Any,
    ) -> CausalLMOutputWithPast:
        """Logits (B, T or logits_to_keep, V)."""
        out = self.model(input_ids, attention_mask, past_key_values, before_BW, use_cache)
        logits = self.lm_head(out.last_hidden_state[:, -logits_to_keep:])
        return CausalLMOutputWithPast(logits=logits, past_key_values=past_key_values)


def left_padded(rows: list[list[int]]) -> tuple[Tensor, Tensor]:
    longest = max(map(len, rows))
    ids = torch.tensor([[PAD_ID] * (longest - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])
    return ids, mask


def play(model: Wrapped, episodes: list[Any], sampling: GenerationConfig) -> dict[str, list[Any]]:
    """Every episode to its end, one ``generate`` per turn for those that go on."""
    asked = [encode(episode.reset()[0]) for episode in episodes]
    said: list[list[int]] = [[] for _ in episodes]
    mine: list[list[int]] = [[] for _ in episodes]
    rewards = [0.0] * len(episodes)
    alive = list(range(len(episodes)))
    while alive:
        ids, mask = left_padded([asked[i] + said[i] for i in alive])
        with torch.no_grad():
            out = model.generate(input_ids=ids, attention_mask=mask, generation_config=sampling)[:, ids.shape[1] :]
        going = []
        for i, action in zip(alive, out.tolist(), strict=True):
            end = next((at for at, token in enumerate(action, 1) if token in ACTION_ENDS), len(action))
            said[i] += action[:end]
            mine[i] += [1] * end
            observation, reward, done, cut, _ = episodes[i].step(decode(action[:end]))
            shown = encode(observation)
            room = model.tiny.max_tokens - len(asked[i]) - len(said[i])
            if not done and not cut and len(shown) + MOST_ACTION_TOKENS > room:
                _, reward, done, cut, _ = episodes[i].truncate()
            if done or cut:
                rewards[i] = float(reward)
                if cut:
                    mine[i] = [0] * len(mine[i])  # truncated rollouts teach nothing, as in ours
            else:
                said[i] += shown
                mine[i] += [0] * len(shown)
                going.append(i)
        alive = going
    return {"prompt_ids": asked, "completion_ids": said, "env_mask": mine, "reward": rewards, "logprobs": None}


class Clock(TrainerCallback):
    """CPU seconds per step."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_step_begin(self, args, state, control, **_):  # type: ignore[no-untyped-def]
        self._started = time.process_time()

    def on_step_end(self, args, state, control, **_):  # type: ignore[no-untyped-def]
        self.seconds.append(time.process_time() - self._started)


def trainer_of(asked: dict[str, Any], folder: str, clock: Clock) -> GRPOTrainer:
    settings = LabSettings.model_validate(asked["settings"])
    plan = settings.train
    tiny = TinyTransformer(settings.policy, asked["room"], 0)
    tiny.load_state_dict(torch.load(asked["weights"], weights_only=True), strict=False)
    model = Wrapped(tiny)
    raw = Tokenizer(models.WordLevel({word: i for i, word in enumerate(VOCABULARY)}, unk_token="unknown"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    ends = [VOCABULARY[i] for i in ACTION_ENDS]
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, pad_token=VOCABULARY[PAD_ID], eos_token=ends[-1])
    questions = Episodes(settings, asked["world_seed"])
    sampling = GenerationConfig(
        do_sample=True, temperature=1.0, top_k=0, top_p=1.0, max_new_tokens=MOST_ACTION_TOKENS,
        eos_token_id=list(ACTION_ENDS), pad_token_id=PAD_ID,
    )  # fmt: skip

    def rollouts(prompts: list[str], _: GRPOTrainer) -> dict[str, list[Any]]:
        return play(model, [questions.episode(int(index)) for index in prompts], sampling)

    optimizer = torch.optim.AdamW(model.parameters(), lr=plan.learning_rate, betas=(0.9, 0.95), weight_decay=0.0)
    rising = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / asked["warm_up"]))
    count = plan.prompts * plan.group_size
    args = GRPOConfig(
        output_dir=folder, max_steps=plan.steps, per_device_train_batch_size=count, num_generations=plan.group_size,
        steps_per_generation=1, learning_rate=plan.learning_rate, beta=0.0, epsilon=plan.clip_low,
        epsilon_high=plan.clip_high, max_grad_norm=plan.grad_clip, temperature=1.0, loss_type="dr_grpo",
        # The divisor of dr_grpo; with a rollout_func it limits nothing.
        max_completion_length=round(plan.length_divisor), scale_rewards="none", gradient_checkpointing=False,
        bf16=False, use_cpu=True, report_to=[], save_strategy="no", logging_steps=1, seed=asked["seed"],
        disable_tqdm=True, shuffle_dataset=False, mask_truncated_completions=False, disable_dropout=True,
    )  # fmt: skip
    return GRPOTrainer(
        model,
        reward_funcs=lambda reward, **_: reward,
        args=args,
        train_dataset=Dataset.from_dict({"prompt": [str(i) for i in range(plan.prompts * plan.steps)]}),
        processing_class=tokenizer,
        optimizers=(optimizer, rising),
        rollout_func=rollouts,
        callbacks=[clock],
    )


def agreement(trainer: GRPOTrainer) -> float:
    """Largest difference between the wrapped model's logits on left-padded rows and our own on right-padded ones."""
    draw = torch.Generator().manual_seed(1)
    rows = [torch.randint(1, len(VOCABULARY), (length,), generator=draw).tolist() for length in (9, 30, 17)]
    ids, mask = left_padded(rows)
    tiny = trainer.model.tiny
    with torch.no_grad():
        theirs = trainer.model(input_ids=ids, attention_mask=mask).logits
        ours = [tiny.logits(tiny(torch.tensor([row])))[0] for row in rows]
    return max(float((theirs[i, -len(row) :] - ours[i]).abs().max()) for i, row in enumerate(rows))


def main(asked: dict[str, Any]) -> None:
    torch.set_num_threads(1)
    set_seed(asked["seed"])
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        trainer = trainer_of(asked, folder, clock)
        off = agreement(trainer)
        trainer.train()
    rewards = [log["reward"] for log in trainer.state.log_history if "reward" in log]
    print(json.dumps({"rewards": rewards, "seconds": clock.seconds, "off": off}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
