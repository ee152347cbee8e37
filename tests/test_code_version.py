"""A trainable's code is all that it imports from this machine's own files; a change is noticed and named."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tests.homes import ready_home

from maineffect.code_version import Code, OtherCodeError, code_of, code_version, kept_code, require_code
from maineffect.contracts import RunResult
from maineffect.errors import UsageError
from maineffect.journey.plan.check import check
from maineffect.journey.plan.place import Place
from maineffect.journey.plan.requests import plan_requests
from maineffect.journey.run.submit import settle_resubmission, settle_submission

TRAIN = """
import json
import numpy
from reward import score

def train(request, context):
    from later import bonus
    return {"y": score(1) + bonus()}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study's folder whose trainable imports a module, one late, a package, and a package of another folder."""
    study, elsewhere = tmp_path / "study", tmp_path / "elsewhere"
    for path, text in {
        study / "train.py": TRAIN,
        study / "reward.py": "from parts.deep import weight\n\ndef score(x):\n    return x * weight\n",
        study / "later.py": "import shared.bonus\n\ndef bonus():\n    return shared.bonus.value\n",
        study / "parts" / "__init__.py": "",
        study / "parts" / "deep.py": "from . import deeper\nweight = deeper.weight\n",
        study / "parts" / "deeper.py": "weight = 1.0\n",
        study / "unused.py": "nobody = 'imports this'\n",
        elsewhere / "shared" / "__init__.py": "",
        elsewhere / "shared" / "bonus.py": "value = 0.0\n",
    }.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(str(elsewhere))
    for name in ("train", "reward", "later", "parts", "shared"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return study


def test_the_code_is_what_is_imported(folder: Path) -> None:
    code = code_of("train:train", folder)
    assert set(code.files) == {
        *("train.py", "reward.py", "later.py", "parts/__init__.py", "parts/deep.py", "parts/deeper.py"),
        *("shared/__init__.py", "shared/bonus.py"),
    }


@pytest.mark.parametrize("name", ["reward.py", "later.py", "parts/deeper.py", "../elsewhere/shared/bonus.py"])
def test_editing_any_of_it_is_another_version_and_is_named(folder: Path, name: str) -> None:
    before = code_of("train:train", folder)
    path = folder / name
    path.write_text(path.read_text() + "# edited\n")
    after = code_of("train:train", folder)
    assert after.version != before.version
    (difference,) = after.differences(before)
    assert difference == f"{name.removeprefix('../elsewhere/')} changed"
    with pytest.raises(OtherCodeError, match=f"{Path(name).name} changed"):
        require_code("train:train", folder, before.version, submitted=before)


def test_what_nobody_imports_is_no_code(folder: Path) -> None:
    before = code_version("train:train", folder)
    (folder / "unused.py").write_text("other = 1\n")
    (folder / "notes.txt").write_text("notes")
    assert code_version("train:train", folder) == before


def test_a_file_that_came_since_is_not_the_submitted_code(folder: Path) -> None:
    before = code_of("train:train", folder)
    (folder / "parts" / "written_by_a_run.py").write_text("x = 1\n")
    assert code_version("train:train", folder) != before.version
    require_code("train:train", folder, before.version, submitted=before)
    with pytest.raises(OtherCodeError):
        require_code("train:train", folder, before.version)


def test_code_is_read_as_it_was_kept(folder: Path) -> None:
    code = code_of("train:train", folder)
    assert Code.parse(code.text()) == code
    assert Code.parse("{}") is None
    assert Code.parse("no JSON") is None
    assert not code.holds(Code("unknown")), "of what is not known nothing can be said"


STUDY = """\
schema_version: 1
name: edited
trainable: {trainable}
factors: {{a: {{levels: [0, 1]}}}}
design: {{kind: full, replicates: 2}}
responses: {{y: {{goal: maximize}}}}
{settings}
"""


def _submitted_and_half_done(folder: Path, trainable: str, settings: str = "") -> Place:
    """A sweep of which two of four runs are finished."""
    path = folder / "study.yaml"
    path.write_text(STUDY.format(trainable=trainable, settings=settings))
    place = Place(home=ready_home(folder.parent / "home"))
    settled = settle_submission(path, place, register_again=False, reuse=None, go_on=False, on_notice=None)
    for request in settled.requests[:2]:
        assert settled.ledger.claim(request.run_id, 1, "test")
        attempt = settled.ledger.start_attempt(request, 1, place.home / "runs" / request.run_id)
        assert attempt.commit(RunResult({"y": 1.0}), seconds=1.0)
    return place


def test_another_home_gets_the_code_that_the_sweep_has_kept(folder: Path) -> None:
    """Also where a run has written beside the study since, so that the code is not to be hashed again."""
    (folder / "run.py").write_text("print('trains')\n")
    place = _submitted_and_half_done(folder, "command", "settings: {command: 'python run.py --a {a}'}")
    (version,) = set(_resubmitted(place))
    (folder / "config.yaml").write_text("written: by the run\n")
    other = Place(home=folder.parent / "other", tracking_uri=place.uri())
    assert set(_resubmitted(other)) == {version}
    kept = [Code.parse(kept_code(home, version).read_text()) for home in (place.home, other.home)]
    assert kept[0] == kept[1]
    assert kept[1] is not None
    assert "config.yaml" not in kept[1].files


def _resubmitted(place: Place) -> list[str]:
    told: list[str] = []
    settled = settle_resubmission("edited", place, runs=(), cells=(), reuse=None, go_on=False, on_notice=told.append)
    return [request.code_version for request in settled.requests]


def test_an_edit_between_submit_and_resubmit_is_refused_by_name(folder: Path) -> None:
    place = _submitted_and_half_done(folder, "train:train")
    (folder / "reward.py").write_text("def score(x):\n    return 2 * x\n")
    with pytest.raises(UsageError, match=r"one analysis would mix them") as refused:
        _resubmitted(place)
    assert "reward.py changed" in refused.value.message


def test_a_command_that_writes_its_configuration_does_not_refuse_its_next_run(folder: Path) -> None:
    (folder / "run.py").write_text("print('trains')\n")
    settings = "settings: {command: 'python run.py --a {a}'}"
    place = _submitted_and_half_done(folder, "command", settings)
    versions = set(_resubmitted(place))
    (folder / "config.yaml").write_text("written: by the run\n")
    assert set(_resubmitted(place)) == versions
    checked = check(folder / "study.yaml")
    (now,) = {request.code_version for request in plan_requests(checked, "edited")}
    assert {now} != versions, "by itself the file would be code"
    (folder / "run.py").write_text("print('trains otherwise')\n")
    with pytest.raises(UsageError, match=r"run\.py changed"):
        _resubmitted(place)
