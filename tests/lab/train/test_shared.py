"""Reading what sequences begin with once changes no gradient: held to padded batches over random trees."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from maineffect.lab.policy.models import TinyTransformer
from maineffect.lab.policy.prefix_tree import PrefixTrees, distinct_tokens
from maineffect.lab.policy_settings import PolicySettings
from maineffect.lab.sampling.transcripts import Transcripts
from maineffect.lab.settings import TrainSettings
from maineffect.lab.train.adam import Adam
from maineffect.lab.train.agreement import agreed_way
from maineffect.lab.train.grpo import update

LONGEST, WORDS = 24, 40
PLANS = [
    {},
    {"kl": 0.1, "likelihood_guard": 0.05},
    {"kl": 0.2, "kl_estimator": "k2", "length": "token", "token_budget": 64},
    {"epochs": 2, "minibatches": 2, "kl": 0.1, "length": "sequence", "importance": "mask"},
    {"advantage": "batch", "slices": 3, "kl": 0.1, "kl_estimator": "k1"},
]


def model(seed: int = 3) -> TinyTransformer:
    made = TinyTransformer(PolicySettings(width=16, layers=2, heads=2), LONGEST, seed).double()
    for block in made.blocks:  # a fresh block passes its input on: then nothing of attention would be tested
        torch.nn.init.normal_(block.out.weight, std=0.3, generator=torch.Generator().manual_seed(seed))
        torch.nn.init.normal_(block.down.weight, std=0.3, generator=torch.Generator().manual_seed(seed + 1))
    return made


def batch(seed: int, questions: int, size: int) -> Transcripts:
    """Rollouts that fork anywhere, repeat each other, or are each other's beginnings, drawn by stale weights."""
    rng = np.random.default_rng(seed)
    rows: list[list[int]] = []
    for _ in range(questions):
        stem = rng.integers(1, WORDS, LONGEST).tolist()
        for _ in range(size):
            fork, length = int(rng.integers(1, LONGEST)), int(rng.integers(2, LONGEST + 1))
            rows.append((stem[:fork] + rng.integers(1, WORDS, LONGEST).tolist())[:length])
    count = len(rows)
    tokens, written = torch.zeros(count, LONGEST, dtype=torch.long), torch.zeros(count, LONGEST, dtype=torch.bool)
    for i, row in enumerate(rows):
        tokens[i, : len(row)] = torch.tensor(row)
        written[i, 1 : len(row)] = torch.from_numpy(rng.random(len(row) - 1) < 0.4)
    lengths = torch.tensor([len(row) for row in rows])
    with torch.no_grad():
        logp = torch.log_softmax((stale := model(4)).logits(stale(tokens)), -1)
    sampled = torch.zeros(count, LONGEST, dtype=torch.float64)
    sampled[:, 1:] = logp[:, :-1].gather(2, tokens[:, 1:, None])[..., 0]
    return Transcripts(
        tokens_BT=tokens,
        written_BT=written,
        logp_BT=sampled * written,
        lengths_B=lengths,
        rewards_B=torch.from_numpy(rng.choice([0.0, 0.4, 1.0], count)),
        components=[{} for _ in rows],
        turns_B=torch.ones(count),
        truncated_B=torch.from_numpy(rng.random(count) < 0.2),
    )


def gradients(played: Transcripts, plan: TrainSettings, way: str) -> tuple[list[Tensor], object]:
    own, initial = model(), model(5)
    optimizer = Adam(list(own.parameters()), 0.0)
    seen = update(own, initial, optimizer, played, plan, way)
    return [value.grad for value in own.parameters() if value.grad is not None], seen


@given(seed=st.integers(0, 10**6), questions=st.integers(1, 4), plan=st.sampled_from(PLANS))
def test_shared_and_padded_gradients_are_equal(seed: int, questions: int, plan: dict[str, object]) -> None:
    settings = TrainSettings(prompts=questions, group_size=4, grad_clip=1e9, staleness=1, **plan)
    played = batch(seed, questions, 4)
    (ours, seen), (theirs, plain) = (gradients(played, settings, way) for way in ("shared", "padded"))
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-10, rtol=1e-10)
    for name in ("loss", "entropy", "ratio", "mismatch_mean", "positive_logp", "taught", "grad_norm"):
        assert getattr(seen, name) == pytest.approx(getattr(plain, name), rel=1e-9, abs=1e-12, nan_ok=True)
    assert seen.trained_tokens <= plain.trained_tokens


@given(seed=st.integers(0, 10**6))
def test_a_tree_holds_every_beginning_once(seed: int) -> None:
    played = batch(seed, 2, 4)
    lengths = played.lengths_B
    rows = [tuple(row[: int(n)]) for row, n in zip(played.tokens_BT.tolist(), lengths, strict=True)]
    beginnings = {row[:n] for row in rows for n in range(1, len(row) + 1)}
    trees = PrefixTrees.of(played.tokens_BT, lengths)
    assert trees.distinct == len(beginnings) == sum(distinct_tokens(played.tokens_BT, lengths))
    for row, nodes in zip(rows, trees.node_NT.tolist(), strict=True):
        path = nodes[: len(row)]
        assert tuple(trees.tokens_KP[0, path].tolist()) == row
        assert trees.depth_KP[0, path].tolist() == list(range(len(row)))
        sees = torch.nonzero(trees.visible_KPP[0, path[-1]])[:, 0].tolist()
        assert sorted(path) == sees, "its ancestors and itself, and nothing else"


@given(seed=st.integers(0, 10**6), trees=st.integers(1, 3))
def test_in_depth_first_order_a_node_is_seen_by_one_stretch(seed: int, trees: int) -> None:
    played = batch(seed, trees, 4)
    made = PrefixTrees.of(played.tokens_BT, played.lengths_B, torch.arange(trees).repeat_interleave(4))
    order_KP, end_KP = made.tour()
    size = order_KP.shape[1]
    place = torch.arange(size)
    seen_KPP = (place[None, None] <= place[None, :, None]) & (place[None, :, None] < end_KP[:, None])
    for tree in range(trees):
        order = order_KP[tree]
        assert order.sort().values.tolist() == place.tolist()
        assert torch.equal(seen_KPP[tree], made.visible_KPP[tree][order][:, order])


def test_logits_in_parts_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    played, settings = batch(1, 3, 4), TrainSettings(prompts=3, group_size=4, grad_clip=1e9, kl=0.1)
    whole, _ = gradients(played, settings, "shared")
    monkeypatch.setattr("maineffect.lab.policy.reading._MOST_LOGITS", 5 * model().vocabulary)
    for mine, other in zip(gradients(played, settings, "shared")[0], whole, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-12, rtol=1e-10)


def test_a_model_that_trees_would_change_is_padded(capsys: pytest.CaptureFixture[str]) -> None:
    played = batch(2, 1, 4)
    sequences = (played.tokens_BT, played.lengths_B, played.written_BT)
    policy = model()
    assert agreed_way(policy, *sequences) == "shared"
    assert capsys.readouterr().err == ""
    whole = policy.trees
    policy.trees = lambda tokens, depth, above, visible: whole(tokens, depth, above, torch.ones_like(visible))
    assert agreed_way(policy, *sequences) == "padded"
    assert "policy.batching shared is not exact for this model, so batches are padded" in capsys.readouterr().err


def test_adam_is_torchs() -> None:
    ours, theirs = model(), copy.deepcopy(model())
    mine = Adam(list(ours.parameters()), 0.01)
    reference = torch.optim.AdamW(theirs.parameters(), lr=0.01, betas=(0.9, 0.95), weight_decay=0.0)
    noise = torch.Generator().manual_seed(0)
    for _ in range(7):
        for one, two in zip(ours.parameters(), theirs.parameters(), strict=True):
            one.grad = torch.randn(one.shape, generator=noise, dtype=torch.float64)
            two.grad = one.grad.clone()
        mine.step()
        reference.step()
    for one, two in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, two, atol=1e-14, rtol=1e-12)
