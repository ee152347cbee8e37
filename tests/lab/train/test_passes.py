"""A batch in passes under a token budget: every row once, nothing over the budget, the same gradient."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from maineffect.lab.policy.models import TinyTransformer
from maineffect.lab.policy_settings import PolicySettings
from maineffect.lab.sampling.tiny_sampler import rollout
from maineffect.lab.settings import LabSettings, TrainSettings
from maineffect.lab.train.grpo import update
from maineffect.lab.train.passes import passes
from maineffect.lab.world.episode import Episodes


@given(st.lists(st.integers(1, 200), min_size=1, max_size=40), st.integers(64, 800), st.integers(1, 4))
def test_every_row_is_in_one_pass_within_the_budget(lengths: list[int], budget: int, slices: int) -> None:
    lengths_N = torch.tensor(lengths)
    rows_N = torch.arange(len(lengths))
    parts = passes(rows_N, lengths_N, TrainSettings(slices=slices, token_budget=budget))
    assert sorted(torch.cat(parts).tolist()) == rows_N.tolist()
    for part in parts:
        assert len(part) == 1 or len(part) * int(lengths_N[part].max()) <= budget


@given(st.lists(st.integers(1, 200), min_size=1, max_size=40), st.integers(64, 800))
def test_packed_rows_fill_the_budget(lengths: list[int], budget: int) -> None:
    """Every row once, nothing over the budget; no two passes would fit into one, as first fit promises."""
    lengths_N = torch.tensor(lengths)
    parts = passes(torch.arange(len(lengths)), lengths_N, TrainSettings(token_budget=budget), packed=True)
    assert sorted(torch.cat(parts).tolist()) == list(range(len(lengths)))
    sums = [int(lengths_N[part].sum()) for part in parts]
    assert all(total <= budget or len(part) == 1 for total, part in zip(sums, parts, strict=True))
    assert all(a + b > budget for i, a in enumerate(sums) for b in sums[:i])


def test_first_fit_decreasing_known_answer() -> None:
    """Padding would take 100 + 100 + 60 tokens in three passes of at most 130; packed, two passes take all."""
    lengths_N = torch.tensor([30, 100, 60, 40, 30])
    parts = passes(torch.arange(5), lengths_N, TrainSettings(token_budget=130), packed=True)
    assert [part.tolist() for part in parts] == [[1, 4], [0, 2, 3]]


def test_without_slices_or_budget_rows_keep_their_order() -> None:
    rows = torch.tensor([4, 1, 3])
    assert passes(rows, torch.tensor([5, 4, 3, 2, 1]), TrainSettings(slices=1)) == [rows]


@pytest.mark.parametrize("variant", [{}, {"epochs": 2, "minibatches": 2}])
def test_a_budget_changes_the_update_by_rounding_only(variant) -> None:
    model = TinyTransformer(PolicySettings(width=32, layers=2, heads=2), 144, 3)
    episodes = Episodes(LabSettings(), 9)
    batch = [episode for i in range(4) for episode in episodes.group(i, 4)]
    played = rollout(model, batch, torch.Generator().manual_seed(1))
    played.rewards_B = torch.rand(16, generator=torch.Generator().manual_seed(2))
    after = []
    for budget in (None, 300):
        learner = copy.deepcopy(model)
        plan = TrainSettings.model_validate({"group_size": 4, "slices": 1, "token_budget": budget, **variant})
        optimizer = torch.optim.SGD(learner.parameters(), lr=0.1)
        update(learner, copy.deepcopy(model).requires_grad_(False), optimizer, played, plan)
        after.append(learner)
    assert not torch.equal(after[0].embedding.weight, model.embedding.weight)
    for (name, a), (_, b) in zip(*(learner.named_parameters() for learner in after), strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-4, msg=name)
