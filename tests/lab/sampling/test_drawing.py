"""Drawing tokens by inversion, where probabilities stay on a GPU and noise is the processor's."""

from __future__ import annotations

import torch

from maineffect.lab.sampling.tree_turns import drawn


def test_a_grid_of_uniform_numbers_gives_the_probabilities() -> None:
    probability = torch.tensor([[0.5, 0.0, 0.3, 0.2], [0.1, 0.2, 0.0, 0.7]])
    count = 1000
    grid = (torch.arange(count) + 0.5) / count
    for row in range(2):
        token = drawn(probability.log(), torch.full((count,), row), grid)
        assert torch.bincount(token, minlength=4).tolist() == (probability[row] * count).round().int().tolist()


def test_the_ends_of_the_unit_interval_are_tokens_that_can_be_drawn() -> None:
    logp = torch.log_softmax(torch.tensor([[-1e9, 0.0, 1.0, -1e9]]), -1)
    ends = torch.tensor([0.0, 1.0 - 2.0**-24])
    assert drawn(logp, torch.zeros(2, dtype=torch.long), ends).tolist() == [1, 2]
