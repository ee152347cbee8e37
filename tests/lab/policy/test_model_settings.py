"""What a language model needs is said when the settings are read, in one sentence with the way out."""

from __future__ import annotations

import pickle
import re
from importlib.machinery import ModuleSpec
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from maineffect.errors import PluginError
from maineffect.lab import policy_settings as lab_settings
from maineffect.lab import train_search_agent
from maineffect.lab.machine import check_resources, lacks, require_here
from maineffect.lab.policy.pretrained import model_folder
from maineffect.lab.sampling.weight_transport import pack, unpack
from maineffect.lab.settings import LabSettings
from maineffect.plugins import check_settings


def lab(**policy: Any) -> dict[str, Any]:
    return {
        "world": {"language": "english"},
        "policy": {"model": "some/model", **policy},
        "train": {"learning_rate": 1e-5},
        "warmstart": {"learning_rate": 1e-4},
    }


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Names of packages that are to be found, instead of this machine's."""
    names = {"transformers", "accelerate", "gguf", "peft", "vllm"}
    monkeypatch.setattr(
        lab_settings, "find_spec", lambda name: ModuleSpec(name, None) if name in {"torch", *names} else None
    )
    return names


@pytest.mark.parametrize(
    ("policy", "absent", "said"),
    [
        ({}, {"transformers"}, "transformers not installed.*maineffect\\[lm\\]"),
        ({"sampler": "vllm"}, {"vllm"}, "vllm not installed.*maineffect\\[vllm\\]"),
        ({"lora_rank": 4}, {"peft"}, "peft not installed.*maineffect\\[lm\\]"),
        ({"model": "a.gguf"}, {"gguf"}, "gguf not installed.*maineffect\\[lm\\]"),
        ({"sampler": "vllm"}, {"vllm", "transformers"}, "transformers, vllm not installed.*maineffect\\[lm,vllm\\]"),
    ],
)
def test_an_absent_package_is_named_with_the_extra(installed, policy, absent, said) -> None:
    settings = lab(**policy)
    assert lacks(settings) == []
    installed -= absent
    (problem,) = lacks(settings)
    assert problem.path == "settings.policy"
    assert re.search(said, problem.message)
    assert check_settings(train_search_agent, settings) == [], "the form is checked where nothing is installed"
    with pytest.raises(PluginError, match=said):
        require_here(LabSettings.model_validate(settings))


def test_what_is_not_used_may_be_absent(installed) -> None:
    installed -= {"vllm", "peft", "gguf"}
    assert lacks(lab()) == []
    installed.clear()
    assert lacks({}) == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_an_absent_gpu_is_named(installed) -> None:
    (problem,) = lacks(lab(device="cuda"))
    assert "no GPU that torch can use" in problem.message


VLLM = {"sampler": "vllm", "placement": "actor"}


@pytest.mark.parametrize(
    ("policy", "resources", "path", "said"),
    [
        ({}, {"gpus": 8}, "resources.gpus", "8 GPU"),
        (None, {"gpus": 1}, "resources.gpus", "1 GPU"),
        ({}, {"bundles": [{"CPU": 1}]}, "resources.bundles", "stand idle"),
        ({"device": "cuda"}, {}, "settings.policy.device", "all GPUs of its node"),
        ({"device": "cuda"}, {"gpus": 4}, "resources.gpus", "3 of 4"),
        (VLLM, {}, "settings.policy.placement", "nothing is reserved"),
        ({**VLLM, "device": "cuda"}, {"gpus": 1, "bundles": [{"CPU": 2}]}, "resources.bundles", "no bundle has one"),
    ],
)
def test_what_is_reserved_is_held_against_what_is_used(installed, policy, resources, path, said) -> None:
    settings = {} if policy is None else lab(**policy)
    (problem,) = check_resources(settings, resources)
    assert problem.path == path
    assert said in problem.message
    assert problem.hint


@pytest.mark.parametrize(
    ("policy", "resources"),
    [
        ({}, {"gpus": 0.0, "bundles": ()}),
        ({"device": "cuda"}, {"gpus": 0.5}),
        (VLLM, {"bundles": [{"CPU": 1}]}),
        ({**VLLM, "device": "cuda"}, {"gpus": 1, "bundles": [{"CPU": 2, "GPU": 1}]}),
    ],
)
def test_what_fits_is_let_through(installed, policy, resources) -> None:
    assert check_resources(lab(**policy), resources) == []


@pytest.mark.parametrize("section", ["train", "warmstart"])
def test_the_tiny_policys_learning_rate_is_not_taken_for_a_language_model(installed, section) -> None:
    settings = lab()
    settings[section] = {}
    with pytest.raises(ValidationError, match=f"{section}.learning_rate"):
        LabSettings.model_validate(settings)
    settings[section] = {"steps": 0}
    assert LabSettings.model_validate(settings)


def test_vllm_and_gpus_are_not_for_the_tiny_policy(installed) -> None:
    for policy in ({"sampler": "vllm"}, {"device": "cuda"}):
        with pytest.raises(ValidationError, match=r"needs policy\.model"):
            LabSettings.model_validate({"policy": policy})


def test_words_need_a_stated_length(installed) -> None:
    words = {**lab(), "world": {}}
    with pytest.raises(ValidationError, match="max_tokens"):
        LabSettings.model_validate(words)
    assert LabSettings.model_validate({**words, "episode": {"max_tokens": 512}})


def test_packed_rows_need_a_length(installed) -> None:
    with pytest.raises(ValidationError, match=r"train\.token_budget"):
        LabSettings.model_validate(lab(batching="packed"))
    settings = lab(batching="packed")
    settings["train"]["token_budget"] = 2048
    with pytest.raises(ValidationError, match=r"warmstart\.token_budget"):
        LabSettings.model_validate(settings)
    settings["warmstart"] = {"steps": 0}
    assert LabSettings.model_validate(settings).policy.batching == "packed"
    with pytest.raises(ValidationError, match=r"needs policy\.model"):
        LabSettings.model_validate({"policy": {"batching": "packed"}})


def test_an_engine_of_its_own_is_vllms_and_gets_weights_through_memory(installed) -> None:
    assert LabSettings.model_validate(lab(sampler="vllm", placement="actor")).policy.placement == "actor"
    for wrong in ({}, {"sampler": "vllm", "weight_sync": "disk"}):
        with pytest.raises(ValidationError, match="placement actor is for sampler vllm with weight_sync memory"):
            LabSettings.model_validate(lab(placement="actor", **wrong))
    with pytest.raises(ValidationError, match=r"placement actor needs policy\.model"):
        LabSettings.model_validate({"policy": {"placement": "actor"}})


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_weights_travel_as_they_are(dtype: torch.dtype) -> None:
    """Through arrays and pickles, tied or strided, to the last bit."""
    noise = torch.Generator().manual_seed(1)
    weights = {"a": torch.randn(5, 3, generator=noise).to(dtype), "b": torch.randn(4, 6, generator=noise).to(dtype).T}
    sent = pickle.loads(pickle.dumps(pack(weights.items())))
    got = dict(unpack(sent))
    assert got.keys() == weights.keys()
    for name, value in weights.items():
        assert got[name].dtype == dtype
        assert torch.equal(got[name], value)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("not_installed:a.gguf", "no installed package 'not_installed'"),
        ("../x:a.gguf", "no installed package"),
        ("maineffect:none.gguf", "no file .*none.gguf"),
        ("/nowhere/a.gguf", "no file /nowhere/a.gguf"),
    ],
)
def test_a_missing_model_file_is_named(tmp_path, name, said) -> None:
    with pytest.raises(PluginError, match=said):
        model_folder(name, tmp_path)


def test_a_folder_or_hub_name_is_left_to_transformers(tmp_path) -> None:
    assert model_folder("organisation/model", tmp_path) == "organisation/model"


def test_without_torch_the_tiny_policy_lacks_the_labs_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab_settings, "find_spec", lambda name: None)
    (said,) = lacks({})
    assert said.message == "torch not installed, which the lab needs: pip install 'maineffect[lab]'"
