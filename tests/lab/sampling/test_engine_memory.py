"""An engine's memory: weights in parts, sleep without a copy of them, and a start that finds too little is tried again."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from maineffect.contracts import RunLost
from maineffect.errors import PluginError
from maineffect.execute.attempt.outcome import classify
from maineffect.lab.sampling.vllm_engine import EnginePlan, RemoteEngine, VllmEngine
from maineffect.lab.sampling.vllm_sampler import VllmSampler
from maineffect.lab.sampling.weight_transport import parts

PLAN = EnginePlan("folder", "float32", 64, 8, 1, True, 0.35, True)


class Vllm:
    """Stands for vLLM's LLM, which has no GPU here: writes down what it is asked."""

    def __init__(self, **options: Any) -> None:
        self.options, self.asked = options, []
        self.loaded: dict[str, Tensor] = {}

    def sleep(self, level: int) -> None:
        self.asked.append(f"sleep {level}")

    def wake_up(self, tags: list[str]) -> None:
        self.asked.append(f"wake {tags}")

    def collective_rpc(self, name: str, kwargs: dict[str, Any]) -> None:
        self.asked.append(name)
        self.loaded = {name: value.clone() for name, value in kwargs["weights_iterator"]}

    def apply_model(self, function: Any) -> None:
        self.asked.append(function.__name__)

    def reset_prefix_cache(self) -> None:
        self.asked.append("reset")


def vllm_whose_engine_is(monkeypatch: pytest.MonkeyPatch, made: Any) -> None:
    module = ModuleType("vllm")
    module.LLM = made
    monkeypatch.setitem(sys.modules, "vllm", module)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> VllmEngine:
    vllm_whose_engine_is(monkeypatch, Vllm)
    return VllmEngine(PLAN)


def weights() -> list[tuple[str, Tensor]]:
    return [(str(i), torch.full((size,), float(i))) for i, size in enumerate((4, 4, 4, 20, 4))]


def test_parts_hold_what_fits_and_no_more_is_made_than_is_sent() -> None:
    made: list[str] = []

    def one_by_one() -> Any:
        for name, value in weights():
            made.append(name)
            yield name, value

    sent = []
    for part in parts(one_by_one(), 40):
        sent.append([name for name, _ in part])
        assert len(made) <= sum(map(len, sent)) + 1
    assert sent == [["0", "1"], ["2"], ["3"], ["4"]]
    assert list(parts([], 40)) == []


def test_an_engine_elsewhere_gets_all_of_them_part_by_part(engine: VllmEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "__defaults__", (40,))
    calls: list[str] = []

    def call(method: str, *arguments: Any) -> Any:
        calls.append(method)
        out = getattr(engine, method)(*arguments)
        for packed in arguments:
            for _, values in packed.values():
                values[:] = -1  # shared memory is used again for the next part
        return out

    RemoteEngine(SimpleNamespace(call=call)).load(weights())
    assert calls == ["take"] * 4 + ["load_taken"]
    assert {name: value.tolist() for name, value in engine._engine.loaded.items()} == {
        name: [float(name)] * len(value) for name, value in weights()
    }
    assert engine._taken == {}


def test_sleep_keeps_no_copy_and_weights_come_before_the_cache(
    engine: VllmEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: engine._engine.asked.append("empty"))
    engine.sleep()
    engine.wake()
    engine.load(weights())
    weights_first = ["sleep 2", "empty", "wake ['weights']", "reload_weights", "tie_head", "wake ['kv_cache']", "reset"]
    assert engine._engine.asked == weights_first
    engine.load(weights())
    assert engine._engine.asked[7:] == ["reload_weights", "tie_head", "reset"]


def test_after_sleep_the_same_version_is_loaded_again(engine: VllmEngine) -> None:
    sampler = VllmSampler.__new__(VllmSampler)
    sampler.engine, sampler.version, sampler._sleeps, sampler._asleep = engine, 3, True, False
    settings = SimpleNamespace(weight_sync="memory", precision_name="bfloat16")
    policy: Any = SimpleNamespace(settings=settings, whole_weights=weights)
    sampler.sync(policy, 3)
    assert engine._engine.asked == []
    sampler.sleep()
    sampler.sync(policy, 3)
    assert engine._engine.loaded["3"].dtype == torch.bfloat16
    sampler.sync(policy, 3)
    assert engine._engine.asked.count("reload_weights") == 1


# Sentences of vLLM 0.32.0: v1/worker/utils.py (request_memory), v1/worker/gpu_worker.py (determine_available_memory).
CROWDED = (
    "Free memory on device cuda:0 (7.1/79.2 GiB) on startup is less than desired GPU memory utilization (0.35, 27.7 GiB). "
    "Decrease GPU memory utilization or reduce GPU memory used by other processes."
)
MOVED = "Error in memory profiling. Initial free memory 20.0 GiB, current free memory 31.0 GiB. This happens when …"


def refusing(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def refuse(**_: Any) -> None:
        raise error

    vllm_whose_engine_is(monkeypatch, refuse)


@pytest.mark.parametrize(
    "error",
    [ValueError(CROWDED), AssertionError(MOVED), RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB.")],
)
def test_a_start_that_finds_too_little_memory_is_tried_again(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    refusing(monkeypatch, error)
    with pytest.raises(RunLost, match=r"found too little memory .*lower policy\.sampler_memory \(0\.35\)") as raised:
        VllmEngine(PLAN)
    assert classify(raised.value).transient


@pytest.mark.parametrize("said", ["No available memory for the cache blocks. Try increasing", "no such model", ""])
def test_any_other_start_is_the_users_affair(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    refusing(monkeypatch, ValueError(said))
    with pytest.raises(PluginError, match="vLLM did not start: ") as raised:
        VllmEngine(PLAN)
    assert not classify(raised.value).transient
