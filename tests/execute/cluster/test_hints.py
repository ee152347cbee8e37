"""Hints blame only what was checked: who does not answer, what is free, what killed the node."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from maineffect.execute.cluster import embedded, starting
from maineffect.execute.cluster.connect import _not_joined, connect
from maineffect.execute.cluster.needs import Needs

pytestmark = pytest.mark.ray

JOIN = """
from maineffect.errors import MaineffectError
from maineffect.execute.cluster.connect import connect
from maineffect.execute.cluster.needs import Needs
try:
    connect("127.0.0.1:1", Needs())
except MaineffectError as error:
    print(error)
"""


def test_a_cluster_where_nothing_listens_is_told_from_one_that_refuses() -> None:
    done = subprocess.run([sys.executable, "-c", JOIN], capture_output=True, text=True, timeout=240)
    assert done.stdout == (
        "nothing answers at the address of the Ray cluster, 127.0.0.1:1: connection refused\n"
        "  → check that the cluster runs, and the --address\n"
    )
    refused = _not_joined("auto", RuntimeError("Version mismatch: The cluster was started with\nRay: 2.9"))
    assert refused.message == "the Ray cluster auto cannot be joined: Version mismatch: The cluster was started with"


def test_a_run_that_waits_is_told_what_is_free(ray_here) -> None:
    cluster = connect(None, Needs(cpus=1.0), workers=2)
    try:
        assert re.fullmatch(r"it needs 1 CPU \(free [012] of 2\) and waits for it", cluster.room())
    finally:
        cluster.close()


def test_the_end_of_a_node_is_put_down_to_memory_only_by_the_kernels_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "_KILLS_BEFORE", starting._kernel_kills())
    assert "no process of this machine for want of memory" in embedded.last_words()
    monkeypatch.setattr(starting, "_KILLS_BEFORE", starting._kernel_kills() - 3)
    assert "the kernel has ended 3 process(es) of this machine for want of memory" in embedded.last_words()
