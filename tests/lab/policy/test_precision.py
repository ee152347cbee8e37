"""The precision of a language model follows the machine where that is asked, and a slow one is named."""

from __future__ import annotations

import pytest

from maineffect.lab import policy_settings, training
from maineffect.lab.policy_settings import PolicySettings
from maineffect.lab.settings import LabSettings


@pytest.mark.parametrize(("fast", "precision"), [(True, "bfloat16"), (False, "float32")])
def test_auto_is_what_the_machine_multiplies_in(
    fast: bool, precision: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(policy_settings, "_has_fast_bfloat16", lambda device: fast)
    plan = PolicySettings(dtype="auto").model_copy(update={"model": "a/model"})
    assert (plan.precision_name, plan.slow_here) == (precision, "")
    training._tell_precision(LabSettings().model_copy(update={"policy": plan}))
    assert f"policy.dtype auto is {precision} on this machine" in capsys.readouterr().err
    slow = plan.model_copy(update={"dtype": "bfloat16"})
    assert bool(slow.slow_here) is not fast, "no instructions for it"
    assert plan.model_copy(update={"dtype": "float32"}).slow_here == "", "a processor is not slower in it"
    on_gpu = plan.model_copy(update={"dtype": "float32", "device": "cuda"})
    assert bool(on_gpu.slow_here) is fast


def test_what_is_stated_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy_settings, "_has_fast_bfloat16", lambda device: True)
    assert PolicySettings().precision_name == "float32"
    assert PolicySettings(dtype="bfloat16").precision_name == "bfloat16"
