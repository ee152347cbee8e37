"""The pretrained files with adapters added in, elsewhere: the very numbers of the trainer's merge."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from maineffect.lab.policy.causal import Adapter
from maineffect.lab.sampling.weight_transport import mergeable, merged

safetensors = pytest.importorskip("safetensors.torch", reason="safetensors comes with transformers")


def weights(count: int = 6) -> list[tuple[str, Tensor]]:
    noise = torch.Generator().manual_seed(1)
    return [(f"layer.{i}.weight", torch.randn(8, 4, generator=noise)) for i in range(count)]


@pytest.fixture
def folder(tmp_path: Path) -> str:
    own = dict(weights())
    safetensors.save_file({name: own[name] for name in list(own)[:3]}, tmp_path / "model-1.safetensors")
    safetensors.save_file({name: own[name] for name in list(own)[3:]}, tmp_path / "model-2.safetensors")
    return str(tmp_path)


def adapter(name: str, outputs: int = 8) -> Adapter:
    noise = torch.Generator().manual_seed(2)
    return Adapter(name, torch.randn(2, 4, generator=noise), torch.randn(outputs, 2, generator=noise), 2.0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_adapters_are_added_as_the_trainer_adds_them(folder: str, dtype: torch.dtype) -> None:
    one = adapter("layer.4.weight")
    assert mergeable(folder, [one])
    got = dict(merged(folder, [one], dtype))
    assert list(got) == [name for name, _ in weights()]
    for name, value in weights():
        plain = value.to(dtype)
        changed = plain.float() + 2.0 * (one.up_OR @ one.down_RI) if name == one.name else plain
        assert torch.equal(got[name], changed.to(dtype))


def test_what_the_files_do_not_hold_is_not_merged_there(folder: str) -> None:
    assert not mergeable(folder, [])
    assert not mergeable(folder, [adapter("layer.9.weight")])
    assert not mergeable(folder, [adapter("layer.4.weight", outputs=6)]), "another shape is another layer"
    assert not mergeable("organisation/model", [adapter("layer.4.weight")])
