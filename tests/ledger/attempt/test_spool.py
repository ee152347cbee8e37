"""The spool never raises, never glues lines together, and never outgrows its limit."""

from __future__ import annotations

import math
import os
import stat
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.entities import Metric
from mlflow.utils.validation import _validate_metric_name

from maineffect.ledger.attempt.spool import Spool, metric_key, read_batch, read_points


def test_what_was_logged_is_read_back(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "run" / "spool.jsonl")
    spool.log(0, {"loss": 0.1, "reward": -1.0})
    spool.log(1, {"loss": float("nan"), "reward": float("inf")})
    spool.close()
    spool.close()
    points = list(read_points(tmp_path / "run" / "spool.jsonl"))
    assert [(p.step, p.key) for p in points] == [(0, "loss"), (0, "reward"), (1, "loss"), (1, "reward")]
    assert points[0].value == 0.1
    assert math.isnan(points[2].value)
    assert points[3].value == math.inf
    assert stat.S_IMODE((tmp_path / "run" / "spool.jsonl").stat().st_mode) == 0o600


def test_numbers_of_other_kinds_are_taken_and_what_is_none_is_counted(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.jsonl")
    spool.log(np.int64(3), {"a": np.float32(0.5), "b": "high", "c": None, "d": True})  # type: ignore[dict-item]
    spool.log(4, {"a": object()})  # type: ignore[dict-item]
    spool.close()
    assert {(p.step, p.key, p.value) for p in read_points(tmp_path / "spool.jsonl")} == {(3, "a", 0.5), (3, "d", 1.0)}
    assert spool.lost == 3


def test_a_line_torn_by_a_kill_is_skipped_and_the_next_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "spool.jsonl"
    first = Spool(path)
    first.log(0, {"a": 1.0})
    first.close()
    with path.open("ab") as file:
        file.write(b'{"t": 1, "s": 1, "m": {"a"')
    points, offset = read_batch(path, 0, 100)
    assert [p.step for p in points] == [0]
    assert offset < path.stat().st_size, "the torn line waits"
    second = Spool(path)
    second.log(2, {"a": 3.0})
    second.close()
    assert [p.step for p in read_points(path)] == [0, 2]


def test_a_full_spool_thins_evenly_and_stays_below_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "spool.jsonl"
    spool = Spool(path, most_bytes=20_000)
    for step in range(20_000):
        spool.log(step, {"loss": 1.0})
    spool.close()
    steps = [p.step for p in read_points(path)]
    assert path.stat().st_size <= 20_000
    assert spool.thinned == 20_000 - len(steps)
    assert steps == sorted(steps)
    assert steps[-1] > 1000, "late points are kept too"
    half = len(steps) // 2
    assert steps[:half] == list(range(half)), "nothing is left out while there is room"


def test_a_full_disk_costs_points_not_the_training() -> None:
    spool = Spool(Path("/dev/full"))
    for step in range(5):
        spool.log(step, {"loss": 1.0})
    assert spool.lost == 5
    os.close(spool._descriptor)


@given(st.text(min_size=0, max_size=400))
def test_any_name_becomes_a_key_that_mlflow_takes(name: str) -> None:
    _validate_metric_name(metric_key(name))
    Metric(metric_key(name), 1.0, 0, 0)


@pytest.mark.parametrize("name", ["loss", "reward/mean", "grad norm", "kl-div.v2"])
def test_good_names_stay(name: str) -> None:
    assert metric_key(name) == name


@given(
    st.lists(st.dictionaries(st.sampled_from("abc"), st.floats(), max_size=3), max_size=30),
    st.integers(min_value=1, max_value=20),
)
def test_batches_hold_every_point_once(tmp_path_factory: pytest.TempPathFactory, rows: list, most: int) -> None:
    path = tmp_path_factory.mktemp("spool") / "spool.jsonl"
    spool = Spool(path)
    for step, row in enumerate(rows):
        spool.log(step, row)
    spool.close()
    offset, seen = 0, []
    while True:
        points, end = read_batch(path, offset, most)
        if end == offset:
            break
        assert len(points) <= max(most, 3)
        seen += [(p.step, p.key) for p in points]
        offset = end
    assert seen == [(step, key) for step, row in enumerate(rows) for key in row]
