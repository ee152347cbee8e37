"""What it saves to play the next batch while this one is learned from, with the tiny policy on two cores.

Wall time, because overlap is about nothing else: read it where nothing else runs. Python's interpreter lock lets the two
threads of one process overlap only while torch computes, so the figure is a lower bound for engines of their own.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import torch

from maineffect.lab.settings import LabSettings
from maineffect.lab.train.loop import train
from maineffect.lab.train.phases import Phases
from maineffect.lab.train.warmstart import warm_start

pytestmark = pytest.mark.benchmark


class _Context:
    """What training asks of a run, without any record."""

    def __init__(self, cache: Path) -> None:
        self.cache_dir = cache

    def seed(self, purpose: str) -> int:
        return len(purpose)

    def log(self, step: int, metrics: Any) -> None:
        """Nothing is kept."""

    def progress(self, done: int, total: int) -> None:
        """Nobody asks."""

    def save_checkpoint(self, step: int, write: Any) -> None:
        """Nothing is kept."""

    def latest_checkpoint(self) -> None:
        return None

    def check_cancelled(self) -> None:
        """Never."""


def test_overlap(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    seconds, shares = {}, {}
    for overlap in (False, True, False, True):
        settings = LabSettings.model_validate(
            {"warmstart": {"steps": 60}, "train": {"steps": 8, "staleness": 1, "overlap": overlap}}
        )
        context, phases = _Context(tmp_path), Phases()
        model = warm_start(settings, 1, tmp_path)
        started = time.perf_counter()
        train(model, settings, context, phases=phases)  # type: ignore[arg-type]
        seconds[overlap] = min(seconds.get(overlap, 1e9), time.perf_counter() - started)
        played = phases.seconds["rollout"] + phases.beside["rollout"]
        shares[overlap] = (played, phases.seconds["train"], phases.seconds.get("wait", 0.0))
    print(
        f"\noverlap: {seconds[True] / 8:.3f} s a step against {seconds[False] / 8:.3f} waiting "
        f"({seconds[False] / seconds[True]:.2f} times as fast); rollouts {shares[True][0]:.1f} s, updates "
        f"{shares[True][1]:.1f} s, of which {shares[True][2]:.1f} s waited; waiting: {shares[False][0]:.1f} + {shares[False][1]:.1f} s"
    )
    assert seconds[True] < 1.5 * seconds[False]
