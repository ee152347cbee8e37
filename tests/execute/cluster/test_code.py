"""A run is trained by the code that will be recorded for it, or not at all."""

from __future__ import annotations

import os
import socket
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import maineffect
from maineffect.code_version import CODE_VARIABLE, OtherCodeError, code_version, packages_to_send, require_code
from maineffect.contracts import FailureClass, RunState
from maineffect.errors import LedgerError, disk_way_out
from maineffect.execute.attempt.home import apart, mark_home
from maineffect.execute.attempt.one_run import WorkOrder, run_attempt
from maineffect.execute.cluster.embedded import NOT_SENT
from maineffect.execute.cluster.runtime_env import RuntimeEnv

TRAINABLE = "misfits:train"


def of_version(requests, version: str) -> list:
    return [replace(request, code_version=version) for request in requests]


def test_an_attempt_with_other_code_is_refused_and_says_what_where_and_the_way_out(bench) -> None:
    (request,) = of_version(bench.requests(1), "0123456789ab")
    outcome = run_attempt(WorkOrder(request, 1, "me", bench.ledger, bench.home, bench.folder))
    (end,) = bench.ledger.state().runs["r0"].ends
    assert (outcome.failure, end.failure, end.message) == (
        FailureClass.OTHER_CODE,
        FailureClass.OTHER_CODE,
        outcome.message,
    )
    here = code_version(TRAINABLE, bench.folder)
    for said in (TRAINABLE, here, "0123456789ab", socket.gethostname(), "misfits.py", "--send-code", "build the image"):
        assert said in outcome.message
    assert bench.lines() == [], "the trainable was never entered"
    assert not FailureClass.OTHER_CODE.transient


def test_on_the_drivers_own_machine_nothing_is_to_be_deployed(bench) -> None:
    (request,) = of_version(bench.requests(1), "0123456789ab")
    order = WorkOrder(request, 1, "me", bench.ledger, bench.home, bench.folder, driver=socket.gethostname())
    message = run_attempt(order).message
    assert message.endswith("; restore what differs, or submit again to run the code as it is")
    assert "deploy" not in message


def test_the_same_code_runs_and_unknown_code_is_not_held_to_anything(bench) -> None:
    here = code_version(TRAINABLE, bench.folder)
    requests = bench.requests(3)
    for request, version in zip(requests, (here, "", "unknown"), strict=True):
        order = WorkOrder(replace(request, code_version=version), 1, "me", bench.ledger, bench.home, bench.folder)
        assert run_attempt(order).failure is None


@pytest.mark.live
@pytest.mark.ray
@pytest.mark.usefixtures("ray_here")
def test_code_that_changes_after_the_submission_stops_it_and_submitting_again_goes_on(bench) -> None:
    requests = bench.requests(3)
    before = of_version(requests, code_version(TRAINABLE, bench.folder))
    with (bench.folder / "misfits.py").open("a") as file:
        file.write("\n# another thought\n")
    runs = bench.run(before)
    assert bench.entered() == {}
    failed = {run_id for run_id, status in runs.items() if status.state is RunState.FAILED}
    assert 1 <= len(failed) <= 2, "two run at a time, and no third is sent after them"
    assert all(len(runs[run_id].ends) == 1 for run_id in failed), "never tried again by itself"
    assert set(bench.failures().values()) == {FailureClass.OTHER_CODE}
    assert "nothing new starts: the code of 'misfits:train'" in bench.notices()

    runs = bench.run(of_version(requests, code_version(TRAINABLE, bench.folder)))
    assert {status.state for status in runs.values()} == {RunState.FINISHED}
    assert bench.entered() == {request.run_id: 1 for request in requests}


def test_a_version_is_required_by_content(tmp_path: Path) -> None:
    (tmp_path / "mine_here.py").write_text("def train(request, context): return {}\n")
    version = code_version("mine_here:train", tmp_path)
    require_code("mine_here:train", tmp_path, version)
    (tmp_path / "mine_here.py").write_text("def train(request, context): return {'a': 1}\n")
    with pytest.raises(OtherCodeError, match=f"submitted with {version}") as error:
        require_code("mine_here:train", tmp_path, version)
    assert "submit again from a machine that has the code" in error.value.hint


def test_what_a_hidden_folder_holds_is_no_code_of_the_trainable(tmp_path: Path) -> None:
    package = tmp_path / "mine_with_venv"
    (package / ".venv" / "lib").mkdir(parents=True)
    (package / "__init__.py").write_text("def train(request, context): return {}\n")
    before = code_version("mine_with_venv:train", tmp_path)
    (package / ".venv" / "lib" / "somebody_elses.py").touch()
    assert code_version("mine_with_venv:train", tmp_path) == before
    (package / "part.py").touch()
    assert code_version("mine_with_venv:train", tmp_path) != before


def test_what_is_sent_is_what_the_cluster_may_not_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = Path(maineffect.__file__).parent
    study, elsewhere = tmp_path / "study", tmp_path / "elsewhere"
    for folder in (study, elsewhere / "sent_a" / "deep"):
        folder.mkdir(parents=True)
    body = "def train(request, context): return {}\n"
    (study / "beside_it.py").write_text(body)
    (elsewhere / "sent_a" / "__init__.py").touch()
    (elsewhere / "sent_a" / "deep" / "__init__.py").write_text(body)
    (elsewhere / "sent_b.py").write_text(body)
    monkeypatch.syspath_prepend(str(elsewhere))
    assert packages_to_send("beside_it:train", study) == (ours,), "the folder is sent in any case"
    assert packages_to_send("sent_a.deep:train", study) == (ours, elsewhere / "sent_a")
    assert packages_to_send("sent_b:train", study) == (ours, elsewhere / "sent_b.py")
    assert packages_to_send("maineffect.lab:train_search_agent", study) == (ours,)


def test_a_shipment_carries_the_version_and_what_is_to_come_along(bench) -> None:
    (request,) = of_version(bench.requests(1), "0123456789ab")
    sent = RuntimeEnv.of(request, bench.folder, (Path("pack"),)).environment()
    assert sent["env_vars"][CODE_VARIABLE] == "misfits:train@0123456789ab"
    assert (sent["working_dir"], sent["py_modules"]) == (str(bench.folder), ["pack"])
    assert sent["excludes"] == list(NOT_SENT)
    assert set(RuntimeEnv().environment()) == {"env_vars"}
    assert CODE_VARIABLE not in RuntimeEnv.of(replace(request, code_version=""), None).environment()["env_vars"]


def test_a_home_is_known_by_its_marker(tmp_path: Path) -> None:
    home, other = tmp_path / "home", tmp_path / "other"
    mark = mark_home(home)
    assert len(mark) == 32
    assert mark_home(home) == mark, "the next driver reads it"
    assert [path.name for path in home.iterdir()] == ["home.id"], "nothing is left beside it"
    assert apart(home, mark) == ""
    assert "is not the driver's folder" in apart(other, mark)
    assert mark_home(other) != mark
    assert "--home that every node sees" in apart(other, mark)
    assert apart(other, "") == "", "a driver that cannot mark its home claims nothing"
    (tmp_path / "file").touch()
    assert mark_home(tmp_path / "file" / "home") == ""


def test_a_disks_way_out_follows_from_the_systems_number() -> None:
    """``ENOSPC`` asks for space and ``EACCES`` for leave; of any other number nothing is known."""
    said = {number: disk_way_out(OSError(number, os.strerror(number)), "/d") for number in (28, 122, 13, 30, 5, 24)}
    assert said == {
        **dict.fromkeys((28, 122), "free space in /d"),
        **dict.fromkeys((13, 30), "make /d writable"),
        **dict.fromkeys((5, 24), ""),
    }


@pytest.mark.live
@pytest.mark.ray
@pytest.mark.usefixtures("ray_here")
def test_a_home_that_is_not_the_drivers_is_said_once_and_fails_nothing(bench, monkeypatch) -> None:
    def elsewhere(home: Path) -> str:
        mark_home(home)
        return "what the marker says on another machine"

    monkeypatch.setattr("maineffect.execute.drive.driver.mark_home", elsewhere)
    runs = bench.run(bench.requests(4, way="steps 2 0.1"))
    assert {status.state for status in runs.values()} == {RunState.FINISHED}
    assert bench.notices().count("is not the driver's folder") == 1


@pytest.mark.live
@pytest.mark.ray
@pytest.mark.usefixtures("ray_here")
def test_a_shared_home_is_worth_no_word(bench) -> None:
    bench.run(bench.requests(2, way="steps 2 0.1"))
    assert bench.notices() == ""


def test_a_folder_that_cannot_be_made_names_the_home(bench) -> None:
    (request,) = bench.requests(1)
    (bench.folder / "file").touch()
    order = WorkOrder(request, 1, "me", bench.ledger, bench.folder / "file" / "home", bench.folder, driver="elsewhere")
    with pytest.raises(LedgerError, match="give another --home, or a --home that every node can write to") as error:
        run_attempt(order)
    with pytest.raises(LedgerError, match=r"give another --home$"):
        run_attempt(replace(order, attempt=2, driver=socket.gethostname()))
    assert os.sep in error.value.message
    assert "misfits" not in sys.modules or bench.lines() == []
