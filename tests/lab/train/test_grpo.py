"""One update against a loss written out by hand, and every variant against what it claims."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from maineffect.lab.policy.models import TinyTransformer
from maineffect.lab.policy_settings import PolicySettings
from maineffect.lab.sampling.tiny_sampler import rollout
from maineffect.lab.sampling.transcripts import Transcripts
from maineffect.lab.settings import LabSettings, TrainSettings
from maineffect.lab.train.advantages import group_advantages
from maineffect.lab.train.diagnostics import CollapseDetector, step_metrics
from maineffect.lab.train.grpo import Update, divergence, importance_weights, token_weights, update
from maineffect.lab.world.episode import Episodes

PROMPTS, GROUP = 6, 4


def plan(**changes: Any) -> TrainSettings:
    return TrainSettings.model_validate(
        {"prompts": PROMPTS, "group_size": GROUP, "grad_clip": 1e9, "slices": 1, **changes}
    )


@pytest.fixture(scope="module")
def model() -> TinyTransformer:
    return TinyTransformer(PolicySettings(width=32, layers=2, heads=2), 144, 3)


@pytest.fixture(scope="module")
def transcripts(model: TinyTransformer) -> Transcripts:
    """Real rollouts of an untrained policy; rewards are set, because it earns none."""
    episodes = Episodes(LabSettings(), 9)
    batch = [episode for i in range(PROMPTS) for episode in episodes.group(i, GROUP)]
    played = rollout(model, batch, torch.Generator().manual_seed(1))
    played.rewards_B = torch.rand(PROMPTS * GROUP, generator=torch.Generator().manual_seed(2))
    played.rewards_B[:GROUP] = 0.5  # one question that teaches nothing
    return played


def step(model: TinyTransformer, transcripts: Transcripts, settings: TrainSettings) -> tuple[dict[str, Tensor], Update]:
    """Gradients after one plain gradient step of size 0, and the update's numbers."""
    own, initial = copy.deepcopy(model), copy.deepcopy(model)
    optimizer = torch.optim.SGD(own.parameters(), lr=0.0)
    seen = update(own, initial, optimizer, transcripts, settings)
    return {name: p.grad.clone() for name, p in own.named_parameters() if p.grad is not None}, seen


def by_hand(model: TinyTransformer, played: Transcripts, divisor: str) -> dict[str, Tensor]:
    """Gradients of −Σ A·logp over written tokens, row by row (the clipped surrogate's gradient on policy)."""
    own = copy.deepcopy(model)
    rewards = played.rewards_B.view(PROMPTS, GROUP)
    advantages = (rewards - rewards.mean(1, keepdim=True)).reshape(-1)
    total = torch.zeros(())
    tokens = 0
    for row in range(len(advantages)):
        length = int(played.lengths_B[row])
        tokens += 0 if bool(played.truncated_B[row]) else int(played.written_BT[row, 1:length].sum())
        if bool(played.truncated_B[row]) or abs(float(advantages[row])) < 1e-9:
            continue
        ids, written = played.tokens_BT[row : row + 1, :length], played.written_BT[row, 1:length]
        logp = torch.log_softmax(own.logits(own(ids[:, :-1])), -1)[0].gather(1, ids[0, 1:, None])[:, 0]
        count = int(written.sum())
        total = total - advantages[row] * logp[written].sum() / (count if divisor == "sequence" else 1)
    scale = {"constant": len(advantages) * 6.0, "token": float(tokens), "sequence": float(len(advantages))}[divisor]
    torch.autograd.backward(total / scale)
    return {name: p.grad for name, p in own.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("divisor", ["constant", "token", "sequence"])
def test_the_gradient_is_the_policy_gradient_written_out(model, transcripts, divisor: str) -> None:
    ours, _ = step(model, transcripts, plan(length=divisor))
    theirs = by_hand(model, transcripts, divisor)
    assert max(float(g.abs().max()) for g in theirs.values()) > 1e-4
    for name, gradient in theirs.items():
        torch.testing.assert_close(ours[name], gradient, atol=2e-6, rtol=1e-3)


@pytest.mark.parametrize("slices", [2, 5, 64])
def test_slices_change_nothing_but_rounding(model, transcripts, slices: int) -> None:
    whole, one = step(model, transcripts, plan())
    sliced, many = step(model, transcripts, plan(slices=slices))
    for name, gradient in whole.items():
        torch.testing.assert_close(sliced[name], gradient, atol=1e-6, rtol=1e-3)
    assert many.loss == pytest.approx(one.loss, abs=1e-6)
    assert many.entropy == pytest.approx(one.entropy, abs=1e-5)


def test_on_policy_nothing_is_clipped_and_the_ratio_is_one(model, transcripts) -> None:
    _, seen = step(model, transcripts, plan())
    assert (seen.ratio, seen.clipped_low, seen.clipped_high, seen.importance_cut) == (1.0, 0.0, 0.0, 0.0)
    assert seen.mismatch_max < 1e-4
    assert seen.kl == pytest.approx(0, abs=1e-9)
    assert seen.zero_std_groups == pytest.approx(1 / PROMPTS)


def test_without_a_copy_of_the_warm_start_the_kl_is_left_out_and_the_gradient_the_same(model, transcripts) -> None:
    gradients = []
    for initial in (model, None):
        own = copy.deepcopy(model)
        optimizer = torch.optim.SGD(own.parameters(), lr=0.0)
        seen = update(own, initial, optimizer, transcripts, plan())
        gradients.append([value.grad for value in own.parameters()])
    assert seen.kl is None
    batch = [episode for i in range(PROMPTS) for episode in Episodes(LabSettings(), 9).group(i, GROUP)]
    metrics = step_metrics(seen, transcripts, batch)
    assert "kl" not in metrics
    CollapseDetector(1).check(0, {**metrics, "abstained": 0.0, "invalid": 0.0})
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True) if one is not None)


def test_truncated_rollouts_are_masked(model, transcripts) -> None:
    cut = copy.copy(transcripts)
    cut.truncated_B = torch.zeros(PROMPTS * GROUP, dtype=torch.bool)
    cut.truncated_B[GROUP : 2 * GROUP] = True
    ours, seen = step(model, cut, plan())
    theirs = by_hand(model, cut, "constant")
    whole, _ = step(model, transcripts, plan())
    for name, gradient in theirs.items():
        torch.testing.assert_close(ours[name], gradient, atol=2e-6, rtol=1e-3)
    assert not torch.allclose(ours["embedding.weight"], whole["embedding.weight"], atol=1e-6)
    assert seen.masked == pytest.approx(1 / PROMPTS)


def test_a_batch_that_teaches_nothing_changes_nothing(model, transcripts) -> None:
    same = copy.copy(transcripts)
    same.rewards_B = torch.ones(PROMPTS * GROUP)
    own = copy.deepcopy(model)
    seen = update(own, model, torch.optim.AdamW(own.parameters(), lr=0.1), same, plan(epochs=2))
    assert all(torch.equal(a, b) for a, b in zip(own.parameters(), model.parameters(), strict=True))
    assert (seen.zero_std_groups, seen.taught, seen.trained_tokens) == (1.0, 0.0, 0.0)
    assert all(math.isnan(value) for value in (seen.loss, seen.grad_norm, seen.entropy)), "nothing is not 0"


@pytest.mark.parametrize("value", [0.1, 0.3, 0.7, 1.1, 1 / 3, 2.3, -0.6])
@pytest.mark.parametrize("size", [3, 6, 7, 8])
@pytest.mark.parametrize("scaling", ["mean", "std", "batch"])
def test_equal_rewards_have_no_advantage_whatever_their_value(value: float, size: int, scaling: str) -> None:
    rewards = torch.full((2, size), value)
    rewards[1, 0] += 1.0
    assert (group_advantages(rewards, scaling)[0] == 0).all()


def test_batch_advantages_are_divided_by_the_spread_of_the_rewards() -> None:
    rewards = torch.tensor([[1.0, 1.0, 1.0, 0.9], [-1.0, -1.0, -1.0, -0.9]])
    spread = math.sqrt(sum((v - 0.0) ** 2 for v in [1, 1, 1, 0.9, 1, 1, 1, 0.9]) / 7)
    torch.testing.assert_close(
        group_advantages(rewards, "batch")[0], torch.tensor([0.025, 0.025, 0.025, -0.075]) / spread, atol=1e-5, rtol=0
    )


def test_the_weight_of_the_kl_does_not_depend_on_how_many_groups_teach(model, transcripts) -> None:
    """Its gradient is that of all rollouts, with the policy term's divisor; truncated ones count in it."""
    other = TinyTransformer(PolicySettings(width=32, layers=2, heads=2), 144, 8)

    def kl_gradient(**parts: Tensor) -> Tensor:
        changed, plain = copy.copy(transcripts), {}
        for name, value in parts.items():
            setattr(changed, name, value)
        for weight in (0.0, 0.5):
            own = copy.deepcopy(model)
            update(own, other, torch.optim.SGD(own.parameters(), lr=0.0), changed, plan(kl=weight))
            zero = torch.zeros_like(own.embedding.weight)
            plain[weight] = zero if own.embedding.weight.grad is None else own.embedding.weight.grad.clone()
        return plain[0.5] - plain[0.0]

    all_teach = kl_gradient(rewards_B=torch.rand(PROMPTS * GROUP, generator=torch.Generator().manual_seed(7)))
    none_teach = kl_gradient(rewards_B=torch.ones(PROMPTS * GROUP))
    truncated = kl_gradient(truncated_B=torch.arange(PROMPTS * GROUP) < GROUP)
    assert float(all_teach.abs().max()) > 1e-4
    for gradient in (none_teach, truncated):
        torch.testing.assert_close(gradient, all_teach, atol=1e-6, rtol=1e-3)


def test_kl_estimators_known_answers() -> None:
    fell = torch.tensor([0.0, math.log(2.0), -math.log(2.0)])
    expected = {
        "k1": [0.0, -math.log(2.0), math.log(2.0)],
        "k2": [0.0, math.log(2.0) ** 2 / 2, math.log(2.0) ** 2 / 2],
        "k3": [0.0, 1 - math.log(2.0), math.log(2.0) - 0.5],
    }
    for name, values in expected.items():
        torch.testing.assert_close(divergence(fell, name), torch.tensor(values))


def test_several_passes_leave_the_sampler_and_meet_the_clip(model, transcripts) -> None:
    own = copy.deepcopy(model)
    optimizer = torch.optim.SGD(own.parameters(), lr=30.0)
    seen = update(own, model, optimizer, transcripts, plan(epochs=3, minibatches=2))
    assert seen.clipped_low + seen.clipped_high > 0.01
    assert seen.ratio != 1.0
    # The ratio is against the weights before the batch, so the sampler's correction stays what it was.
    assert seen.mismatch_max < 1e-4


def test_kl_pulls_back_to_the_warm_start(model, transcripts) -> None:
    away = copy.deepcopy(model)
    with torch.no_grad():
        away.norm.weight.mul_(1.2)
    flat = copy.copy(transcripts)
    flat.rewards_B = transcripts.rewards_B * 1e-4

    def kl_after(weight: float) -> tuple[float, float]:
        own = copy.deepcopy(away)
        optimizer = torch.optim.SGD(own.parameters(), lr=0.05)
        values = [update(own, model, optimizer, flat, plan(kl=weight)).kl for _ in range(5)]
        return values[0], values[-1]

    before, after = kl_after(1.0)
    assert after < 0.95 * before
    start, end = kl_after(1e-9)  # measured on all rollouts, as at weight 1
    assert start == pytest.approx(before)
    assert end == pytest.approx(start, rel=1e-3)
    start, end = kl_after(0.0)
    assert end == pytest.approx(start, rel=1e-3)


def test_importance_weights_known_answers() -> None:
    gap = torch.tensor([0.0, math.log(1.5), math.log(4.0), -math.log(4.0)])
    expected = {"truncate": [1.0, 1.5, 2.0, 0.25], "mask": [1.0, 1.5, 0.0, 0.0], "none": [1.0] * 4}
    for name, values in expected.items():
        torch.testing.assert_close(importance_weights(gap, plan(importance=name)), torch.tensor(values))


def test_token_weights_sum_to_one_per_sequence_or_count_tokens() -> None:
    written = torch.tensor([[True, True, False], [False, True, False]])
    assert token_weights(written, plan(length="sequence")).sum(1).tolist() == [1.0, 1.0]
    assert token_weights(written, plan(length="constant")).sum(1).tolist() == [2.0, 1.0]


def test_the_kl_is_measured_on_every_fourth_rollout_that_teaches_or_on_all(model, transcripts) -> None:
    """Unless it is learned from: then on all. The gradient is the same with any warm start."""
    other = TinyTransformer(PolicySettings(width=32, layers=2, heads=2), 144, 8)
    taught = [row for row in range(PROMPTS * GROUP) if row >= GROUP]

    @torch.no_grad()
    def by_definition(rows: list[int]) -> float:
        values = []
        for row in rows:
            length = int(transcripts.lengths_B[row])
            tokens_1T = transcripts.tokens_BT[row : row + 1, :length]
            written_T = transcripts.written_BT[row, 1:length]
            own, start = (
                torch.log_softmax(policy.logits(policy(tokens_1T))[0, :-1], -1).gather(1, tokens_1T[0, 1:, None])[:, 0][
                    written_T
                ]
                for policy in (model, other)
            )
            values.append((start - own).exp() - 1 - (start - own))
        return float(torch.cat(values).mean())

    def learnt(**changes: Any) -> tuple[dict[str, Tensor], Update]:
        learner = copy.deepcopy(model)
        seen = update(learner, other, torch.optim.SGD(learner.parameters(), lr=0.0), transcripts, plan(**changes))
        return {name: value.grad for name, value in learner.named_parameters() if value.grad is not None}, seen

    quarter, seen = learnt()
    assert seen.kl == pytest.approx(by_definition(taught[::4]), rel=1e-4)
    assert learnt(kl=1e-9)[1].kl == pytest.approx(by_definition(list(range(PROMPTS * GROUP))), rel=1e-4)
    unchanged, _ = step(model, transcripts, plan())
    assert all(torch.equal(quarter[name], gradient) for name, gradient in unchanged.items())
