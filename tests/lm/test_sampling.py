"""The torch sampler is the model that is trained: the same log-probabilities, append-only dialogues, LoRA included."""

from __future__ import annotations

import copy

import pytest
import torch

from maineffect.lab.policy.causal import CausalPolicy, load_causal
from maineffect.lab.policy.chat import STOPS
from maineffect.lab.questions.generated import Generated
from maineffect.lab.sampling.causal_sampler import CausalSampler
from maineffect.lab.settings import LabSettings
from maineffect.lab.train.demonstrations import demonstrations
from maineffect.lab.world.episode import Episodes

pytestmark = pytest.mark.lm


@pytest.fixture(params=[0, 4], ids=["all weights", "LoRA"])
def policy(request, settings, cache) -> CausalPolicy:
    plan = LabSettings.model_validate(
        settings(policy={"lora_rank": request.param, "rollout_rows": 3, "max_action_tokens": 12})
    )
    made = load_causal(plan.policy, 448, 3, cache)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, value in made.named_parameters():
            if "lora_B" in name:  # zero at first, so that the adapters would not matter
                value.copy_(torch.randn(value.shape, generator=generator) * 0.02)
    return made


def trainer_logp(policy: CausalPolicy, tokens_BT: torch.Tensor) -> torch.Tensor:
    """One plain forward pass over whole transcripts."""
    with torch.no_grad():
        logp = torch.log_softmax(policy.logits(policy(tokens_BT[:, :-1])), -1)
    return logp.gather(2, tokens_BT[:, 1:, None])[..., 0]


def test_the_sampler_is_the_trainer(policy, settings) -> None:
    """Five dialogues in batches of three: turns of unequal lengths, rows that end early, one cache."""
    episodes = Episodes(LabSettings.model_validate(settings()), 9)
    out = CausalSampler(policy).play([episodes.episode(i) for i in range(5)], torch.Generator().manual_seed(0))
    written = out.written_BT[:, 1:]
    assert written.sum() > 40
    assert int(out.turns_B.max()) > 1, "an untrained model is told once that it was not understood"
    gap = (trainer_logp(policy, out.tokens_BT) - out.logp_BT[:, 1:])[written].abs()
    assert gap.max() < 1e-4
    again = CausalSampler(policy).play([episodes.episode(i) for i in range(5)], torch.Generator().manual_seed(0))
    assert torch.equal(again.tokens_BT, out.tokens_BT)
    assert torch.equal(again.logp_BT, out.logp_BT)
    for row in range(5):
        pieces = out.text(row)
        assert [by for _, by in pieces] == [bool(i % 2) for i in range(len(pieces))]
        assert pieces[0][0].startswith("<|im_start|>")
        assert pieces[0][0].endswith("<|im_start|>assistant\n")
        for text, by_policy in pieces[2:]:
            if not by_policy:
                assert "<|im_start|>user\n" in text
                assert text.endswith("<|im_start|>assistant\n")


def test_groups_share_what_they_begin_with(policy, settings, monkeypatch) -> None:
    """The chat's rules are read once for all, a question once for its group; the log-probabilities stay the model's."""
    read = []
    grow = CausalPolicy.grow
    monkeypatch.setattr(
        CausalPolicy,
        "grow",
        lambda self, tokens, *rest: (read.append(tuple(tokens.shape)), grow(self, tokens, *rest))[1],
    )
    policy.settings = policy.settings.model_copy(update={"rollout_rows": 8})
    episodes = Episodes(LabSettings.model_validate(settings()), 9)
    out = CausalSampler(policy).play(
        [e for i in range(2) for e in episodes.group(i, 4)], torch.Generator().manual_seed(0)
    )
    written = out.written_BT[:, 1:]
    assert (trainer_logp(policy, out.tokens_BT) - out.logp_BT[:, 1:])[written].abs().max() < 1e-4
    (rules_rows, rules), (trees, _) = read[:2]
    assert (rules_rows, trees) == (1, 2)
    assert rules > 20
    assert len({tuple(row) for row in out.tokens_BT.tolist()}) > 4, "the group's dialogues went different ways"


def test_a_dialogue_of_the_sampler_is_tokenised_as_a_demonstration_is(policy, settings) -> None:
    """The template's own rendering of a whole dialogue has the same tokens as its parts, appended turn by turn."""
    plan = LabSettings.model_validate(settings(warmstart={"demonstrator": "careful", "batch": 4}))
    shown = demonstrations(plan, 5, 0, Generated(), policy.text)
    for ids, written, length in zip(shown.tokens_BT, shown.written_BT, shown.lengths_B, strict=True):
        tokens = ids[: int(length)].tolist()
        text = policy.text.decode(tokens)
        assert text.count("<|im_start|>user") == text.count("<|im_start|>assistant")
        assert policy.text._encode(text) == tokens
        said = policy.text.decode(ids[written].tolist())
        assert all(stop in said for stop in STOPS)


def test_a_copy_shares_only_what_is_never_trained(policy) -> None:
    twin = copy.deepcopy(policy)
    mine, theirs = dict(policy.named_parameters()), dict(twin.named_parameters())
    assert mine.keys() == theirs.keys()
    for name, value in mine.items():
        assert torch.equal(value, theirs[name])
        assert (value.data_ptr() == theirs[name].data_ptr()) == (not value.requires_grad), name


def test_whole_weights_are_the_policy(policy, tmp_path) -> None:
    """Written to disk and loaded without adapters, the model says the same."""
    from transformers import AutoModelForCausalLM

    policy.save(tmp_path / "model")
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "model", dtype=torch.float32)
    tokens = torch.tensor([policy.text.opening("Who is the patron of Muvin?")])
    with torch.no_grad():
        theirs = plain(input_ids=tokens).logits
        ours = policy.logits(policy(tokens))
    torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-4)
