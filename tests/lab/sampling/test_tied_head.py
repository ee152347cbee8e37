"""After weights were renewed an output layer that is tied to the embeddings has the new ones, however deep these lie."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from maineffect.errors import PluginError
from maineffect.lab.sampling.vllm_engine import tie_head


class _Head(nn.Linear):
    """As vLLM's: what processes weights after loading is a part of the layer."""

    def __init__(self) -> None:
        super().__init__(4, 6, bias=False)
        self.processed: list[nn.Module] = []
        self.quant_method = SimpleNamespace(process_weights_after_loading=self.processed.append)


def _model(*path: str, tied: bool = True, more: bool = False) -> nn.Module:
    model = nn.Module()
    model.config = SimpleNamespace(tie_word_embeddings=tied)
    model.lm_head = _Head()
    inside = model
    for name in path:
        inside.add_module(name, nn.Module())
        inside = inside.get_submodule(name)
    inside.add_module("embed_tokens", nn.Embedding(6, 4))
    if more:
        model.add_module("audio", nn.Module())
        model.get_submodule("audio").add_module("embed_tokens", nn.Embedding(6, 4))
    return model


@pytest.mark.parametrize("path", [("model",), ("language_model", "model")])
def test_it_has_the_embeddings(path: tuple[str, ...]) -> None:
    model = _model(*path)
    tie_head(model)
    embeddings = model.get_submodule(".".join((*path, "embed_tokens")))
    assert model.lm_head.weight is embeddings.weight
    assert model.lm_head.processed == [model.lm_head]


def test_an_output_layer_of_its_own_is_left_alone() -> None:
    model = _model("model", tied=False)
    before = model.lm_head.weight.clone()
    tie_head(model)
    assert torch.equal(model.lm_head.weight, before)
    assert model.lm_head.processed == []


def test_where_it_is_not_clear_which_nothing_is_guessed() -> None:
    with pytest.raises(PluginError, match="one of 2 embeddings"):
        tie_head(_model("model", more=True))
