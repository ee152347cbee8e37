"""What a machine lets this process have, and what can never fit into it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from pydantic import ValidationError

from maineffect.errors import MaineffectError
from maineffect.execute.cluster.connect import connect
from maineffect.execute.cluster.needs import Needs
from maineffect.execute.cluster.room import accelerators_here, require_room, usable_cores, usable_memory
from maineffect.spec.study import Resources


def test_affinity_is_heeded() -> None:
    one = min(os.sched_getaffinity(0))
    code = (
        f"import os; os.sched_setaffinity(0, {{{one}}})\n"
        "from maineffect.execute.cluster.room import usable_cores; print(usable_cores())"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert 0 < float(said) <= 1


@pytest.mark.parametrize(
    ("member", "files", "cores"),
    [
        ("0::/pod/mine", {"pod/mine/cpu.max": "50000 100000", "cpu.max": "max 100000"}, 0.5),
        ("0::/pod/mine", {"pod/cpu.max": "25000 100000", "pod/mine/cpu.max": "max 100000"}, 0.25),
        ("0::/elsewhere", {"cpu.max": "10000 100000"}, 0.1),
        (
            "4:cpu,cpuacct:/mine",
            {"cpu/mine/cpu.cfs_quota_us": "75000", "cpu/mine/cpu.cfs_period_us": "100000"},
            0.75,
        ),
        ("4:cpu:/", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ("0::/", {}, None),
    ],
)
def test_the_quota_of_a_container_is_heeded(member: str, files: dict[str, str], cores: float, tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / "groups" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "groups" / name).write_text(text + "\n")
    (tmp_path / "member").write_text(member + "\n")
    expected = len(os.sched_getaffinity(0)) if cores is None else cores
    assert usable_cores(tmp_path / "groups", tmp_path / "member") == pytest.approx(expected)


def test_the_memory_of_a_container_is_heeded(tmp_path: Path) -> None:
    (tmp_path / "groups").mkdir()
    (tmp_path / "member").write_text("0::/\n")
    assert usable_memory(tmp_path / "groups", tmp_path / "member") == psutil.virtual_memory().total
    (tmp_path / "groups" / "memory.max").write_text("1000000\n")
    assert usable_memory(tmp_path / "groups", tmp_path / "member") == 1e6


@pytest.mark.parametrize(
    ("needs", "said"),
    [
        (Needs(memory_gb=9e6), "9e+06 GB of memory"),
        (Needs(cpus=9000), "9000 CPU"),
        (Needs(bundles=({"CPU": 9000},)), "9001 CPU"),
        (Needs(gpus=9000), "9000 GPU"),
        (Needs(bundles=({"GPU": 9000}, {"CPU": 1})), "9000 GPU"),
        (Needs(bundles=({"engine": 1},)), "1 engine; this machine lets it have 0 engine"),
        (Needs(custom={"TPU": 1.0}, bundles=({"licence": 0.5},)), "0.5 licence; this machine lets it have 0 licence"),
    ],
)
def test_what_can_never_fit_is_refused_before_anything_starts(needs: Needs, said: str) -> None:
    import ray

    before = ray.is_initialized()
    if before:
        pytest.skip("a Ray of this session runs already")
    with pytest.raises(MaineffectError, match="one run needs") as refused:
        connect(None, needs)
    assert said in refused.value.message
    assert not ray.is_initialized(), "nothing was started"


def test_what_a_run_may_name_freely_is_not_refused() -> None:
    """A custom resource is what the study says it is, also where a bundle wants some of it; the node's own names too."""
    require_room(Needs(custom={"licence": 1.0}, bundles=({"licence": 1.0},)), {"licence": 2.0})
    require_room(Needs(bundles=({"node:127.0.0.1": 0.1},)))


def test_accelerators_are_counted_as_ray_counts_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """By Ray's own functions, which ask the driver; here four of a kind are planted where it would answer."""
    from ray._private.accelerators import NvidiaGPUAcceleratorManager as Nvidia

    monkeypatch.setattr(Nvidia, "get_current_node_num_accelerators", staticmethod(lambda: 4))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    here = accelerators_here()
    assert here is not None
    assert (here["GPU"], here["TPU"]) == (4.0, 0.0)
    require_room(Needs(gpus=4))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,2")
    with pytest.raises(MaineffectError, match="one run needs 4 GPU; this machine lets it have 2 GPU"):
        require_room(Needs(gpus=4))


@pytest.mark.parametrize(
    "resources",
    [{"cpus": 1e-5}, {"gpus": 1e-6}, {"gpus": 1.5}, {"custom": {"licence": 1e-9}}, {"bundles": [{"CPU": 1e-7}]}],
)
def test_amounts_that_ray_does_not_know_are_refused(resources: dict) -> None:
    with pytest.raises(ValidationError):
        Resources.model_validate(resources)
