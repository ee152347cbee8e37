"""The journey from Python gives what the command line gives: the same study, the same runs, the same numbers."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import altair
import pandas as pd
import pytest
from tests.homes import ready_home
from tests.played import play

from maineffect import Result, Study, Sweep
from maineffect.api.sweep import place_of
from maineffect.errors import SpecError, UsageError
from maineffect.journey.run.submit import settle_submission
from maineffect.study import analyse_sweep, check

TRAIN = """\
from pydantic import BaseModel


class Settings(BaseModel):
    a: float = 0.0
    b: str = "x"
    steps: int = 3


def train(request, context):
    for step in range(request.settings.get("steps", 3)):
        context.log(step, {"reward": float(step)})
    return {"skill": 5.0 + 2.0 * request.levels["a"]}


train.settings_model = Settings
train.response_names = ("skill",)
"""
CLAIM = {"id": "H1", "term": "a", "response": "skill", "direction": "increase"}


def module_in(folder: Path) -> ModuleType:
    """The module of a trainable that lies in a folder, as a script beside it would import it."""
    (folder / "mytrain.py").write_text(TRAIN)
    spec = importlib.util.spec_from_file_location("mytrain", folder / "mytrain.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def made(folder: Path, name: str = "mine", **more: Any) -> Study:
    sections: dict[str, Any] = {"factors": {"a": [0.0, 1.0], "b": ["x", "y"]}, "seed": 3, **more}
    responses = {"skill": {"goal": "maximize", "smallest_effect": 0.5}}
    return Study(name, responses=responses, trainable=module_in(folder).train, hypotheses=[CLAIM], **sections)


def test_a_function_and_python_objects_are_a_study_file_beside_the_function(tmp_path: Path) -> None:
    study = made(tmp_path)
    assert study.path == tmp_path / "mine.yaml"
    assert study.check() == []
    checked = check(study.path)
    assert checked.study.trainable == "mytrain:train"
    design = study.design()
    assert list(design["run_id"]) == [run.run_id for run in checked.design.runs]
    assert design.groupby(["a", "b"]).size().tolist() == [2, 2, 2, 2]
    assert list(study.power()["term"]) == ["a", "b", "a:b"]
    assert study.try_run(settings={"steps": 1})["skill"] in {5.0, 7.0}
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "mytrain.py").write_text(TRAIN)
    again = Study.from_dict(_document(study.path), folder=tmp_path / "copy")
    assert check(again.path).plan_hash == checked.plan_hash, "the same study, however it is written"
    assert Study.from_yaml(study.path).register() == checked.plan_hash


def _document(path: Path) -> Any:
    import yaml

    return yaml.safe_load(path.read_text())


def test_a_file_that_somebody_else_wrote_is_not_written_over(tmp_path: Path) -> None:
    study = made(tmp_path)
    made(tmp_path, seed=4)
    assert "seed: 4" in study.path.read_text(), "its own file follows the study"
    study.path.write_text("name: somebody's\n")
    with pytest.raises(UsageError, match="somebody else wrote it"):
        made(tmp_path)
    assert study.path.read_text() == "name: somebody's\n"


def test_what_is_wrong_is_said_as_for_a_file(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="two levels or more"):
        made(tmp_path, factors={"a": [1.0], "b": ["x", "y"]})
    with pytest.raises(UsageError, match="has no name that another process could import"):
        Study("other", factors={"a": [0, 1]}, responses={"y": "maximize"}, trainable=lambda request, context: {})

    def inside(request: Any, context: Any) -> dict[str, float]:
        return {}

    with pytest.raises(UsageError, match="has no name that another process could import"):
        Study("other", factors={"a": [0, 1]}, responses={"y": "maximize"}, trainable=inside)


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Sweep, Callable[[], Any]]:
    """A sweep whose eight runs are recorded; and its analysis by the function that the command line calls."""
    folder = tmp_path_factory.mktemp("api")
    study = made(folder)
    place = place_of(ready_home(folder / "home"))
    settled = settle_submission(
        study.path, place, register_again=False, reuse=None, go_on=False, accept_unequal=False, on_notice=None
    )
    play(settled, place, lambda request: {"skill": 5.0 + 2.0 * request.levels["a"] + (request.seed % 7) / 100})
    return Sweep.open("mine", home=place.home), lambda: analyse_sweep("mine", place)


def test_tables_are_those_of_the_analysis(swept: tuple[Sweep, Callable[[], Any]]) -> None:
    sweep, analysed = swept
    result, record = sweep.analyse(), analysed()
    assert isinstance(result, Result)
    effects = result.effects.set_index("term")
    for effect in record.responses["skill"].effects:
        row = effects.loc[effect.term]
        assert (row["response"], row["estimate"], row["ci_low"]) == ("skill", effect.estimate, effect.ci_low)
    verdict = result.verdicts.iloc[0]
    assert (verdict["id"], verdict["verdict"]) == ("H1", "supported")
    assert verdict["answer"] == record.hypotheses[0].answer
    assert len(result.means) == len(record.responses["skill"].means)
    runs = result.runs.set_index("run_id")
    assert runs.loc[record.runs[0].run_id, "skill"] == record.runs[0].responses["skill"]
    assert result.warnings == record.warnings
    assert repr(result).splitlines()[1] == f"  H1 supported: {record.hypotheses[0].answer}"


def test_figures_cards_and_the_report(swept: tuple[Sweep, Callable[[], Any]], tmp_path: Path) -> None:
    result = swept[0].analyse()
    chart = result.figure("forest")
    assert isinstance(chart, altair.TopLevelMixin)
    chart.to_dict()  # Altair's own schema accepts it
    chart.save(tmp_path / "forest.svg")
    assert ">b</tspan>" in (tmp_path / "forest.svg").read_text()
    assert result.figure("effects_skill").to_dict() == chart.to_dict()
    with pytest.raises(UsageError, match="no figure 'violin'"):
        result.figure("violin")
    shown = result._repr_html_()
    assert "supported" in shown
    assert shown.count("<svg") == 1
    assert result.report(tmp_path / "report.html") == tmp_path / "report.html"


def test_the_state_of_a_sweep(swept: tuple[Sweep, Callable[[], Any]]) -> None:
    sweep, _ = swept
    row = sweep.status.iloc[0]
    assert (row["finished"], row["failed"], row["next"]) == (8, 0, f"maineffect report {sweep.id}")
    assert list(sweep.runs.columns)[:3] == ["run_id", "a", "b"]
    assert set(sweep.runs["state"]) == {"finished"}
    assert list(sweep.curves.columns) == ["run_id", "metric", "step", "value"]
    assert sweep.failures.empty
    assert sweep.items.empty
    assert sweep.next()["kind"].tolist()[0] == "stop"
    assert repr(sweep).startswith(f"Sweep {sweep.id}: ")
    assert "finished" in sweep._repr_html_()
    with pytest.raises(UsageError, match="no sweep 'other'"):
        Sweep.open("other", home=sweep._place.home)


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = (
        "import sys; from maineffect import Study, Sweep; "
        "print([m for m in ('pandas', 'numpy', 'mlflow', 'ray', 'torch', 'altair', 'scipy') if m in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


@pytest.mark.live
@pytest.mark.ray
def test_from_a_function_to_a_verdict_and_back_after_a_failure(tmp_path: Path) -> None:
    text = TRAIN.replace(
        "    return {",
        "    from pathlib import Path\n"
        "    mark = Path(__file__).with_name(f'tried-{request.run_id}')\n"
        "    if request.levels['b'] == 'y' and not mark.exists():\n"
        "        mark.touch()\n"
        "        raise ValueError('once')\n"
        "    return {",
    )
    study = made(tmp_path)
    (tmp_path / "mytrain.py").write_text(text)
    sweep = study.submit(home=ready_home(tmp_path / "home"), progress=False)
    assert set(sweep.failures["class"]) == {"user-error"}
    assert len(sweep.failures) == 4
    sweep.resubmit(progress=False)
    assert sweep.status.iloc[0]["finished"] == 8
    estimate = sweep.analyse().effects.set_index("term").loc["a", "estimate"]
    assert estimate == pytest.approx(2.0)
    assert isinstance(sweep.curves, pd.DataFrame)
    assert len(sweep.curves) == 8 * 3
