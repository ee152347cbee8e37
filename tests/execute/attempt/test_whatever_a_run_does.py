"""Whatever a trainable logs, raises, prints or returns, its run ends in a recorded state, and its numbers are kept."""

from __future__ import annotations

import io
import json
import math
import os
import shutil
import sys
import types
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maineffect.contracts import FailureClass, RunResult, RunState
from maineffect.execute.attempt.context import attempt_folder
from maineffect.execute.attempt.one_run import AttemptOutcome, WorkOrder, run_attempt
from maineffect.ledger.store.artifacts import artifact_folder
from maineffect.ledger.store.connection import client
from maineffect.ledger.sweep.ledger import sweep_results


class SilentError(Exception):
    """An error that cannot say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


class Odd:
    """A value that can be neither shown nor turned into a number."""

    def __repr__(self) -> str:
        raise RuntimeError("no words")

    def __float__(self) -> float:
        raise RuntimeError("no number")


@pytest.fixture
def does(bench: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run one attempt of a trainable that is given as a function; returns how it ended."""
    count = [0]

    def attempt(train: Any, responses: tuple[str, ...] = ("skill",)) -> AttemptOutcome:
        module = types.ModuleType("whatever")
        module.train = train  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "whatever", module)
        count[0] += 1
        (request,) = bench.requests(1)
        request = replace(request, run_id=f"w{count[0]}", trainable="whatever:train", responses=responses)
        return run_attempt(WorkOrder(request, 1, "me", bench.ledger, bench.home, bench.folder))

    return attempt


def folder_of(bench: Any, run_id: str) -> Path:
    """Where a finished run's artifacts are."""
    status = bench.ledger.state().runs[run_id]
    folder = artifact_folder(bench.ledger.uri, status.tracking_run_id)
    assert folder is not None
    return folder


# ---------------------------------------------------------------- one by one


def test_a_response_may_have_the_name_of_a_curve_a_measure_or_the_time(bench: Any, does: Any) -> None:
    names = ("train/reward", "measure/loss", "seconds", "response/x", "x")

    def train(request: Any, context: Any) -> RunResult:
        context.log(1, {"reward": 0.25, "response/x": 3.0})
        return RunResult({name: float(i) for i, name in enumerate(names)}, {"loss": 9.0})

    outcome = does(train, names)
    assert (outcome.failure, outcome.recorded) == (None, True)
    result = sweep_results(bench.ledger)[outcome.run_id]
    assert result["responses"] == {name: float(i) for i, name in enumerate(names)}
    kept = client(bench.ledger.uri).get_run(bench.ledger.state().runs[outcome.run_id].tracking_run_id).data.metrics
    assert (kept["train/reward"], kept["measure/loss"], kept["response/train/reward"]) == (0.25, 9.0, 0.0)


def test_names_that_a_store_squeezes_into_one_are_kept_apart(bench: Any, does: Any) -> None:
    names = ("acc@1", "acc#1", "准确率", "召回率", "acc_1")
    outcome = does(lambda request, context: {name: float(i) for i, name in enumerate(names)}, names)
    assert outcome.failure is None
    kept = client(bench.ledger.uri).get_run(bench.ledger.state().runs[outcome.run_id].tracking_run_id).data.metrics
    assert kept["acc_1"] == 4.0
    assert sorted(value for key, value in kept.items() if key != "seconds")[:5] == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_a_run_that_deletes_its_own_folder_is_recorded(bench: Any, does: Any) -> None:
    def train(request: Any, context: Any) -> dict[str, float]:
        context.log(1, {"reward": 1.0})
        shutil.rmtree(context.run_dir)
        return {"skill": 0.5}

    outcome = does(train)
    assert (outcome.failure, outcome.recorded) == (None, True)
    assert sweep_results(bench.ledger)[outcome.run_id]["responses"] == {"skill": 0.5}


def test_one_value_that_is_no_number_costs_no_other(bench: Any, does: Any, capsys: pytest.CaptureFixture[str]) -> None:
    def train(request: Any, context: Any) -> dict[str, float]:
        context.log(1, {"reward": 1.0, "kl": None, "phase": "warmup"})
        context.log(np.int64(2), {"reward": np.float32(2.0)})
        for step in (math.inf, -math.inf, math.nan, 10**30, "three", None):
            context.log(step, {"reward": 9.0})
        context.log(-1, {"reward": 0.5, "huge": 10**400, "odd": Odd()})
        context.log(3, Odd())
        return {"skill": 0.5}

    outcome = does(train)
    assert outcome.failure is None
    curves = json.loads((folder_of(bench, outcome.run_id) / "curves.json").read_text())
    assert curves == {"reward": {"steps": [-1, 1, 2], "values": [0.5, 1.0, 2.0]}}
    told = capsys.readouterr().err
    assert told.count("left out of the curves, as it is no number") == 1, "said once a run"
    assert "11 values or calls left out of the curves" in told, "and counted at its end"


def test_what_stands_beside_the_numbers_never_costs_them(bench: Any, does: Any) -> None:
    items = [
        {"meta": {}, "count": 2**70, "text": "\ud800", "mixed": 1, "right": True, "score": 0.5, "n": np.int32(3)},
        {"meta": {"a": 1}, "count": 1, "text": "fine", "mixed": "x", "right": None, "score": 1.0, "n": np.int32(4)},
    ]
    texts = {"note.txt": b"bytes \xff", "none.txt": None, "x" * 300: "long", "a\0b": "nul", "a": "1", "a/b": "2"}
    outcome = does(lambda request, context: RunResult({"skill": 0.5}, {}, items, texts))
    assert (outcome.failure, outcome.recorded) == (None, True)
    folder = folder_of(bench, outcome.run_id)
    table = pq.read_table(folder / "items.parquet").to_pydict()
    assert table["score"] == [0.5, 1.0]
    assert table["right"] == [True, None]
    assert table["n"] == [3, 4]
    assert [json.loads(cell) for cell in table["meta"]] == [{}, {"a": 1}]
    assert [json.loads(cell) for cell in table["mixed"]] == [1, "x"]
    assert (folder / "note.txt").read_text() == "bytes \\xff"
    assert [path.read_text() for path in folder.iterdir() if path.name.startswith("xxx")] == ["long"]


def test_parts_that_are_none_are_none_of_them(bench: Any, does: Any) -> None:
    outcome = does(lambda request, context: RunResult({"skill": 0.5}, None, None, None))  # type: ignore[arg-type]
    assert (outcome.failure, outcome.recorded) == (None, True)


def test_undeclared_values_that_are_no_numbers_are_left_out_and_named(
    bench: Any, does: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    returned = {"skill": 0.5, "note": "good", "best": None, "path": Path("/tmp/x"), "extra": 2}
    outcome = does(lambda request, context: returned)
    assert outcome.failure is None
    result = sweep_results(bench.ledger)[outcome.run_id]
    assert (result["responses"], result["measures"]["extra"]) == ({"skill": 0.5}, 2.0)
    told = capsys.readouterr().err
    assert all(name in told for name in ("'note'", "'best'", "'path'"))


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        ({"skill": "very good"}, "'skill'"),
        ({"skill": None}, "'skill'"),
        ({"skill": Odd()}, "'skill'"),
        (RunResult({"skill": 1.0}, items=[1, 2]), "an item of the result is int"),  # type: ignore[list-item]
        (RunResult({"skill": 1.0}, items="abc"), "items are str"),  # type: ignore[arg-type]
        (RunResult({"skill": 1.0}, texts=["a"]), "texts are list"),  # type: ignore[arg-type]
        (RunResult([1.0]), "responses are list"),  # type: ignore[arg-type]
        (None, "NoneType"),
    ],
)
def test_the_trainables_own_mistake_is_a_bad_result(bench: Any, does: Any, returned: Any, words: str) -> None:
    outcome = does(lambda request, context: returned)
    assert (outcome.failure, outcome.recorded) == (FailureClass.BAD_RESULT, True)
    assert words in bench.ledger.state().runs[outcome.run_id].ends[0].message


@pytest.mark.parametrize("name", ["//planted/evil.txt", "/planted/evil.txt", "../../planted/evil.txt", "a/../../evil"])
def test_a_text_stays_in_the_runs_folder(bench: Any, does: Any, tmp_path: Path, name: str) -> None:
    planted = tmp_path / "planted"
    planted.mkdir()
    names = [name, name.replace("/planted", str(planted)), f"/{planted}/evil.txt", f"//{planted}/evil.txt"]
    outcome = does(lambda request, context: RunResult({"skill": 0.5}, texts=dict.fromkeys(names, "evil")))
    assert outcome.failure is None
    assert list(planted.iterdir()) == []
    inside = attempt_folder(bench.home, "misfits-12345678", outcome.run_id, 1) / "result"
    assert [path for path in inside.rglob("evil*") if path.is_file()]


@pytest.mark.parametrize("closed", ["closed", "gone"])
def test_a_run_that_closes_its_standard_error_keeps_its_result(
    bench: Any, does: Any, monkeypatch: pytest.MonkeyPatch, closed: str
) -> None:
    """Its log can be told nothing any more, and nothing else is lost."""

    def train(request: Any, context: Any) -> RunResult:
        stream = None
        if closed == "closed":
            stream = io.StringIO()
            stream.close()
        monkeypatch.setattr(sys, "stderr", stream)
        context.log(1, {"reward": None})
        return RunResult({"skill": 0.5, "note": "left out"}, {}, [{"meta": {}}], {"none.txt": None})  # type: ignore[dict-item]

    outcome = does(train)
    assert (outcome.failure, outcome.recorded) == (None, True)
    assert sweep_results(bench.ledger)[outcome.run_id]["responses"] == {"skill": 0.5}


def test_an_error_without_words_is_recorded(bench: Any, does: Any) -> None:
    def train(request: Any, context: Any) -> None:
        raise SilentError

    outcome = does(train)
    assert (outcome.failure, outcome.recorded) == (FailureClass.USER_ERROR, True)


# ---------------------------------------------------------------- anything at all

TEXT = st.text(alphabet=st.characters(), max_size=40) | st.sampled_from(
    ["\0", "\ud800", "a\nb", "é" * 300, "//x", ".."]
)
VALUE = (
    st.floats()
    | st.integers(min_value=-(2**80), max_value=2**80)
    | st.booleans()
    | TEXT
    | st.none()
    | st.binary(max_size=8)
    | st.just(np.float32(1.5))
    | st.builds(Odd)
)
STEP = st.integers(min_value=-(2**70), max_value=2**70) | st.floats() | st.none() | TEXT
LOGGED = st.lists(st.tuples(STEP, st.dictionaries(TEXT, VALUE, max_size=4)), max_size=4)
DEEP = st.recursive(
    VALUE, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=6
)
ITEMS = st.lists(st.dictionaries(TEXT, DEEP, max_size=3), max_size=3)
TEXTS = st.dictionaries(TEXT, TEXT | st.binary(max_size=8) | st.none(), max_size=3)
EXTRA = st.dictionaries(TEXT.filter(lambda name: name != "skill"), DEEP, max_size=4)
ERROR = st.builds(ValueError, TEXT) | st.builds(SilentError) | st.builds(KeyError, DEEP) | st.builds(SystemExit, VALUE)


def anything(bench: Any, does: Any, logged: Any, printed: str, items: Any, texts: Any, extra: Any, error: Any) -> None:
    def train(request: Any, context: Any) -> RunResult:
        for step, metrics in logged:
            context.log(step, metrics)
        sys.stderr.write(printed.encode("utf-8", "backslashreplace").decode())
        if error is not None:
            raise error
        return RunResult({"skill": 0.5, **extra}, extra, items, texts)

    outcome = does(train)
    status = bench.ledger.state().runs[outcome.run_id]
    assert outcome.recorded
    if error is None:
        assert status.state is RunState.FINISHED
        assert sweep_results(bench.ledger)[outcome.run_id]["responses"] == {"skill": 0.5}
    else:
        assert status.state is RunState.FAILED
        assert status.ends[-1].failure is FailureClass.USER_ERROR


ANYTHING = {
    "logged": LOGGED,
    "printed": TEXT,
    "items": ITEMS,
    "texts": TEXTS,
    "extra": EXTRA,
    "error": st.none() | st.none() | ERROR,
}
SHARED = {"deadline": None, "suppress_health_check": list(HealthCheck)}


@settings(max_examples=40, derandomize=True, **SHARED)
@given(**ANYTHING)
def test_every_run_ends_in_a_recorded_state(bench: Any, does: Any, **what: Any) -> None:
    anything(bench, does, **what)


@pytest.mark.slow
@settings(max_examples=400, **SHARED)
@given(**ANYTHING)
def test_every_run_ends_in_a_recorded_state_whatever_it_does(bench: Any, does: Any, **what: Any) -> None:
    anything(bench, does, **what)


def test_a_forked_child_that_returns_commits_nothing(bench: Any, does: Any) -> None:
    def train(request: Any, context: Any) -> dict[str, float]:
        child = os.fork()
        if child == 0:
            return {"skill": -1.0}
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1, "the child ended where it returned"
        return {"skill": 0.5}

    outcome = does(train)
    assert (outcome.failure, outcome.recorded) == (None, True)
    assert sweep_results(bench.ledger)[outcome.run_id]["responses"] == {"skill": 0.5}
