"""A language model that is sampled while it is trained: the numbers of waiting, to the last digit. No weights needed."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch

from maineffect.lab.policy.causal import CausalPolicy
from maineffect.lab.policy.chat import ChatText
from maineffect.lab.policy.pretrained import model_folder
from maineffect.lab.sampling.causal_sampler import CausalSampler
from maineffect.lab.settings import LabSettings
from maineffect.lab.train.loop import train

pytestmark = pytest.mark.lm

CLOCK = ("tokens_per_second", "time_share", "mfu")


class Rewarded(CausalSampler):
    """Rewards depend on what was written, so that a random model has something to learn."""

    def play(self, episodes: Any, generator: Any) -> Any:
        played = super().play(episodes, generator)
        played.rewards_B = (played.tokens_BT * played.written_BT).sum(1).remainder(7).float()
        played.truncated_B[:] = False
        return played


@pytest.mark.parametrize("rank", [0, 4], ids=["all weights", "LoRA"])
def test_a_causal_model_sampled_ahead_gives_the_numbers_of_waiting(settings, cache, tmp_path, rank: int) -> None:
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    path = Path(__file__).resolve().parents[1] / "lab" / "conftest.py"
    spec = importlib.util.spec_from_file_location("lab_conftest", path)
    assert spec is not None
    assert spec.loader is not None
    lab = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(lab)
    text = ChatText(AutoTokenizer.from_pretrained(model_folder(settings()["policy"]["model"], cache)))
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = LlamaConfig(vocab_size=49152, max_position_embeddings=512, tie_word_embeddings=True, **sizes)
    weights, logs = [], []
    for overlap in (False, True):
        plan = LabSettings.model_validate(
            settings(
                policy={"lora_rank": rank, "max_action_tokens": 8},
                train={"steps": 4, "staleness": 1, "overlap": overlap, "learning_rate": 1e-2},
            )
        )
        torch.manual_seed(7)
        model: Any = LlamaForCausalLM(config).float()
        if rank:
            from maineffect.lab.policy.causal import _with_lora

            model = _with_lora(model, rank, 3)
        policy = CausalPolicy(model, text, plan.policy, 448, "").train()
        start = {name: value.clone() for name, value in policy.whole_weights()}
        context = lab.FolderContext(tmp_path / f"overlap {overlap}")
        train(policy, plan, context, Rewarded(policy))
        weights.append(dict(policy.whole_weights()))
        logs.append([{k: v for k, v in logged.items() if not k.startswith(CLOCK)} for _, logged in context.logged])
    assert any(not torch.equal(start[name], value) for name, value in weights[0].items())
    for name, value in weights[0].items():
        assert torch.equal(value, weights[1][name]), name
    assert logs[0] == logs[1]
    assert [logged["weight_version"] for logged in logs[1]] == [0, 0, 1, 2]
