"""A finished sweep → a search from its runs → a recommendation → its confirmation, as they are recorded."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.homes import ready_home
from tests.played import play

from maineffect.contracts import RunDiverged, RunRequest
from maineffect.errors import AnalysisError, PlanChangedError, SpecError, UsageError
from maineffect.journey.plan.place import Place
from maineffect.journey.read.analyse import analyse_sweep
from maineffect.journey.run.optimise import choose, export_search, preview_search, recommended_by, search_state
from maineffect.journey.run.search import check_search
from maineffect.journey.run.submission import stored_submission
from maineffect.journey.run.submit import Settled, settle_checked, settle_resubmission, settle_submission
from maineffect.ledger.sweep.phases import LedgerPhases
from maineffect.report.page import render_report
from maineffect.seeds import generator

TRAINABLE = """\
from pydantic import BaseModel, Field


class World(BaseModel):
    a: float = Field(ge=0, le=1)
    b: float = 0.0
    c: str = "x"


class Settings(BaseModel):
    world: World


def train(request, context):
    raise NotImplementedError


train.settings_model = Settings
"""
STUDY = """\
schema_version: 1
name: surface
trainable: mine:train
factors:
  a: {levels: [0.0, 1.0], binds: world.a}
  b: {levels: [0, 2], binds: world.b}
  c: {levels: [x, y], binds: world.c}
design: {kind: full, replicates: 2}
responses:
  skill: {goal: maximize, smallest_effect: 0.5}
  clean: {goal: maximize}
analysis: {terms: two_way}
seed: 7
"""
FOLLOW = """\
schema_version: 1
name: best
optimise:
  from: surface
  factors: {a: {range: [0, 1]}, b: {range: [0, 2]}}
  fixed: {c: x}
  objectives: {skill: maximize}
  runs: 8
  confirm: {replicates: 4, against: {a: 0, b: 0}}
"""


def surface(request: RunRequest) -> Mapping[str, float]:
    """Best at a = .6, b = 1.2, where it is 5.3 with c = x; noise from the run's own seed, and from arm and seed."""
    world = request.settings["world"]
    noise = generator(request.seed, "noise", request.run_id).normal(0.0, 0.1, size=2)
    skill = 5.0 - (world["a"] - 0.6) ** 2 - (world["b"] - 1.2) ** 2 + 0.3 * (world["c"] == "x")
    return {"skill": skill + noise[0], "clean": 1.0 - 0.3 * world["a"] + 0.1 * noise[1]}


def seconds(request: RunRequest) -> float:
    """An hour, and one for each unit of b."""
    return 3600.0 * (1.0 + request.settings["world"]["b"])


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished sweep of 16 runs."""
    folder = tmp_path_factory.mktemp("swept")
    (folder / "mine.py").write_text(TRAINABLE)
    (folder / "study.yaml").write_text(STUDY)
    place = Place(home=ready_home(folder / "home"))
    assert len(play(submitted(folder / "study.yaml", place), place, surface, seconds)) == 16
    return folder


@pytest.fixture
def finished(swept: Path, tmp_path: Path) -> Place:
    """A copy of it."""
    shutil.copytree(swept, tmp_path / "copy")
    return Place(home=tmp_path / "copy" / "home")


def submitted(path: Path, place: Place) -> Settled:
    return settle_submission(path, place, register_again=False, reuse=None, go_on=False, on_notice=None)


def follow(place: Place, text: str = FOLLOW, **changes: str) -> Path:
    path = place.home.parent / "follow.yaml"
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    return path


def begun(path: Path, place: Place) -> Settled:
    return settle_checked(
        check_search(path, place), place, register_again=False, reuse=None, go_on=False, on_notice=None
    )


def confirmed(sweep: str, place: Place) -> list[RunRequest]:
    choose(search_state(sweep, place))
    settled = settle_resubmission(sweep, place, runs=(), cells=(), reuse=None, go_on=False, on_notice=None)
    return play(settled, place, surface)


def swept_seed(place: Place) -> int:
    """What the sweep's runs start from: a seed of its own, or that of its first run, where runs of a seed share one."""
    checked, _ = stored_submission("surface", place)
    return int(checked.plan.get("base_seed", checked.design.runs[0].seed))


def test_where_seeds_share_a_warm_start_the_search_takes_the_sweeps_and_the_confirmation_has_others(
    tmp_path: Path,
) -> None:
    (tmp_path / "mine.py").write_text(TRAINABLE)
    shared = STUDY.replace("replicates: 2}", "replicates: 2, common_random_numbers: true}")
    (tmp_path / "study.yaml").write_text(shared)
    place = Place(home=ready_home(tmp_path / "home"))
    play(submitted(tmp_path / "study.yaml", place), place, surface, seconds)
    checked, _ = stored_submission("surface", place)
    assert "base_seed" not in checked.plan
    trials = play(begun(follow(place), place), place, surface)
    assert {run.base_seed for run in trials} == {swept_seed(place)}
    pairs = {run.seed for run in search_state("best", place).checked.design.runs}
    assert not pairs & {run.base_seed for run in trials}, "each pair has a warm start that nothing has seen"


def test_what_a_search_reserves_is_held_against_what_its_runs_use(finished: Place) -> None:
    needs = """

def needs(settings, resources):
    from maineffect.errors import Problem

    return [Problem("no GPU is used", "resources.gpus", hint="leave it out")] if resources["gpus"] else []


def lacks(settings):
    from maineffect.errors import Problem

    return [Problem("nothing of it is here", "settings.world")]


train.check_resources, train.lacks = needs, lacks
"""
    (finished.home.parent / "mine.py").write_text(TRAINABLE + needs)
    with pytest.raises(SpecError) as refused:
        check_search(follow(finished, FOLLOW + "resources: {gpus: 1}\n"), finished)
    (problem,) = refused.value.problems
    assert (problem.message, problem.line) == ("no GPU is used", 10)
    checked = check_search(follow(finished), finished)
    assert [one.message for one in checked.lacks] == ["nothing of it is here"]
    assert set(checked.lacks) <= set(checked.warnings)
    with pytest.raises(SpecError, match="nothing of it is here"):
        settle_checked(checked, finished, register_again=False, reuse=None, go_on=False, on_notice=None)


def test_from_a_sweep_to_a_confirmed_optimum(finished: Place) -> None:
    place = finished
    path = follow(place)
    shown = preview_search("surface", place, path)
    assert (shown["known"], shown["runs"], shown["confirmation_runs"]) == (16, 8, 8)
    assert shown["sampler"] == "augment", "one batch is all that is asked for"
    assert shown["cost"]["cpu_hours"] == pytest.approx(16 * 2.0), "at the two hours of the mean run of the sweep"
    assert not (place.home.parent / "follow.registration.json").exists(), "looking writes nothing"

    settled = begun(path, place)
    trials = play(settled, place, surface)
    assert len(trials) == 8, "nothing is confirmed by itself"
    sweep = settled.ledger.sweep_id
    state = search_state(sweep, place)
    assert state.complete
    assert not state.drift, "the same code made all runs"
    best = recommended_by(state)
    assert best.values["a"] == pytest.approx(0.6, abs=0.15)
    assert best.values["b"] == pytest.approx(1.2, abs=0.15)
    assert best.predictions[0].low <= 5.3 <= best.predictions[0].high
    with pytest.raises(AnalysisError, match="not confirmed yet"):
        analyse_sweep(sweep, place)

    runs = confirmed(sweep, place)
    assert len(runs) == 8
    parent = search_state(sweep, place).asked
    assert {run.evaluation_seed for run in trials} == {parent.evaluation_seed}, (
        "the search goes on with the sweep's items"
    )
    assert not {run.evaluation_seed for run in runs} & {parent.evaluation_seed}, "the confirmation has its own"
    assert not {run.seed for run in runs} & {run.seed for run in trials}
    assert {run.base_seed for run in trials} == {swept_seed(place)}, "it starts from the sweep's warm start"
    assert {run.base_seed for run in runs} == {None}, "and starts from warm starts of its own"
    assert {(run.settings["world"]["a"], run.settings["world"]["b"]) for run in runs} == {
        (0, 0),
        (best.values["a"], best.values["b"]),
    }
    by_pair = {run.replicate: {r.seed for r in runs if r.replicate == run.replicate} for run in runs}
    assert all(len(seeds) == 1 for seeds in by_pair.values()), "the runs of a pair share their seed"

    result = analyse_sweep(sweep, place)
    judged = result.hypotheses[0]
    assert (judged.id, judged.verdict, judged.post_hoc) == ("C1", "supported", None)
    searched = result.facts.searched
    assert searched is not None
    (paired,) = searched.confirmed
    # Optimum 5.3 against 5 − .36 − 1.44 + .3 = 3.5; the paired interval has three degrees of freedom.
    assert paired.difference == pytest.approx(1.8, abs=0.25)
    assert judged.estimate == pytest.approx(paired.difference)
    assert judged.ci_low == pytest.approx(paired.low)
    page = render_report(result)
    assert "of the recommended setting minus the comparator" in page
    assert "Confirmation on fresh seeds, worlds and items" in page
    assert page.index("Confirmation on fresh seeds") < page.index("How it was found: exploration")
    assert result.what_next is None
    assert not play(begun(path, place), place, surface), "nothing is run twice"


def test_batches_follow_from_the_records_and_a_killed_driver_leaves_one_proposal(finished: Place) -> None:
    """Six drivers die between a proposal and its claims; one that runs at the same moment computes the same."""
    place = finished
    path = follow(place, **{"  runs: 8": "  runs: 12\n  batch: 4\n  sampler: tpe"})
    for _ in range(6):
        settled = begun(path, place)
        state = search_state(settled.ledger.sweep_id, place)
        state.plan.advance({"optimum": state.search}, {}, LedgerPhases(settled.ledger))
    notes = LedgerPhases(settled.ledger).notes()
    assert list(notes) == ["propose.optimum.0"]
    first = json.loads(notes["propose.optimum.0"].split(":", 3)[3])
    trials = play(begun(path, place), place, surface)
    assert [[t.settings["world"]["a"], t.settings["world"]["b"]] for t in trials[:4]] == first
    state = search_state(settled.ledger.sweep_id, place)
    notes = LedgerPhases(settled.ledger).notes()
    assert sorted(notes) == ["propose.optimum.0", "propose.optimum.1", "propose.optimum.2"]
    for batch in range(3):  # a study rebuilt from the committed runs proposes the same to the digit
        seen = [*state.plan.known, *state.trials[: 4 * batch]]
        again = state.plan.propose(seen, 4, 4 * batch)
        assert json.dumps(again) == notes[f"propose.optimum.{batch}"].split(":", 3)[3]
    assert choose(state) == choose(search_state(settled.ledger.sweep_id, place))


def test_several_objectives_have_a_front_and_one_of_it_is_confirmed(finished: Place) -> None:
    place = finished
    path = follow(
        place, **{"{skill: maximize}": "{skill: maximize, clean: maximize}", "  runs: 8": "  runs: 8\n  sampler: tpe"}
    )
    settled = begun(path, place)
    play(settled, place, surface)
    state = search_state(settled.ledger.sweep_id, place)
    best = recommended_by(state)
    skill, clean = (np.array([point.predictions[j].estimate for point in best.front]) for j in (0, 1))
    assert len(best.front) > 3
    assert (np.diff(skill[np.argsort(clean)]) <= 1e-9).all(), "more of one is less of the other"
    with pytest.raises(UsageError, match="there is no line 99"):
        choose(state, 99)
    chosen = choose(state, 1)
    assert {name: chosen[name] for name in ("a", "b")} == best.front[0].values
    with pytest.raises(UsageError, match="another setting was chosen before"):
        choose(search_state(settled.ledger.sweep_id, place), 2)
    confirmed(settled.ledger.sweep_id, place)
    result = analyse_sweep(settled.ledger.sweep_id, place)
    assert [h.response for h in result.hypotheses] == ["skill", "clean"]
    assert "Pareto front" in render_report(result)


def test_limits_costs_and_categories(finished: Place) -> None:
    """Clean keeps its limit of .85 for a ≤ .5; training beyond .95 diverges; c is a category; b costs time."""
    place = finished
    path = follow(
        place,
        **{
            "b: {range: [0, 2]}}": "b: {range: [0, 2]}, c: {levels: [x, y]}}",
            "  fixed: {c: x}\n": "",
            "b: 0}": "b: 0, c: y}",
            "{skill: maximize}": "{skill: maximize, cost/cpu_hours: minimize}",
            "  runs: 8": '  constraints: {clean: ">= 0.85"}\n  runs: 16',
        },
    )
    settled = begun(path, place)
    assert settled.checked.study.optimise.method == "tpe"  # type: ignore[union-attr]

    def costly(request: RunRequest) -> Mapping[str, float]:
        if request.settings["world"]["a"] > 0.95:
            raise RunDiverged("the loss is not finite")
        return surface(request)

    trials = play(settled, place, costly, seconds)
    state = search_state(settled.ledger.sweep_id, place)
    assert state.complete
    assert sum(not trial.scores for trial in state.trials) == sum(t.settings["world"]["a"] > 0.95 for t in trials)
    best = recommended_by(state)
    assert best.feasible
    for point in best.front:
        clean, hours = (next(p for p in point.predictions if p.name == n) for n in ("clean", "cost/cpu_hours"))
        assert clean.low >= 0.85, "the interval keeps the limit, not the mean"
        assert hours.estimate == pytest.approx(1 + float(point.values["b"]), abs=0.05), "in core-hours"
    assert {point.values["c"] for point in best.front} == {"x"}
    assert best.values["a"] < 0.5

    import optuna

    file = place.home.parent / "optuna.db"
    export_search(settled.ledger.sweep_id, place, file)
    study = optuna.load_study(study_name="best", storage=f"sqlite:///{file}")
    assert [way.name for way in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert len(study.trials) == 32
    assert all(set(trial.constraints) == {"clean"} for trial in study.trials)
    assert study.best_trials, "Optuna knows which trials keep the limit"


def test_optuna_opens_the_export(finished: Place) -> None:
    import optuna

    place = finished
    settled = begun(follow(place), place)
    play(settled, place, surface)
    file = place.home.parent / "optuna.db"
    assert export_search(settled.ledger.sweep_id, place, file) == 24
    with pytest.raises(UsageError, match="exists"):
        export_search(settled.ledger.sweep_id, place, file)
    study = optuna.load_study(study_name="best", storage=f"sqlite:///{file}")
    assert len(study.trials) == 24
    assert study.metric_names == ["skill"]
    assert study.trials[0].user_attrs["sweep"].startswith("surface-")
    assert study.trials[-1].user_attrs["run"].startswith("prep-search-trial-")
    state = search_state(settled.ledger.sweep_id, place)
    last = state.trials[-1]
    assert study.trials[-1].params == dict(zip("ab", last.values, strict=True))
    assert study.trials[-1].value == last.scores[0]
    import matplotlib as mpl

    mpl.use("Agg")
    importances = optuna.visualization.matplotlib.plot_param_importances(study)
    assert {text.get_text() for text in importances.get_yticklabels()} == {"a", "b"}
    assert optuna.visualization.matplotlib.plot_contour(study, params=["a", "b"]) is not None


REFUSED: list[tuple[Callable[[str], str], int, str]] = [
    (lambda t: t.replace("from: surface", "from: surfaze"), 4, "no sweep"),
    (lambda t: t.replace("skill: maximize", "skil: maximize"), 7, "no response 'skil'"),
    (lambda t: t.replace("skill: maximize", "skill: minimize"), 7, "goal: maximize"),
    (lambda t: t.replace("skill: maximize", "cost/gpu_hours: minimize"), 7, "the runs use no GPU"),
    (lambda t: t.replace("skill: maximize", "cost/hours: minimize"), 7, "no cost 'cost/hours'"),
    (lambda t: t.replace("range: [0, 1]", "range: [0, 3]"), 5, "the trainable does not take 3.0"),
    (lambda t: t.replace("a: {range: [0, 1]}", "a: {range: [0.5, 1], integer: true}"), 5, "whole ends of the range"),
    (lambda t: t.replace("range: [0, 1]", "range: [1, 0]"), 5, "from the smaller to the larger"),
    (lambda t: t.replace("range: [0, 1]", "range: [0.2, 0.8]"), 5, "no run of the sweep has a between 0.2 and 0.8"),
    (lambda t: t.replace("a: {range: [0, 1]}", "d: {range: [0, 1]}"), 9, "confirm.against"),
    (lambda t: t.replace("  fixed: {c: x}\n", ""), 3, "'c', a factor of the sweep, is neither looked for nor fixed"),
    (lambda t: t.replace("c: x", "c: z"), 6, "no level 'z' of c"),
    (lambda t: t.replace("runs: 8", "runs: 8\n  constraints: {clean: near 3}"), 9, "is no limit"),
    (lambda t: t.replace("{a: 0, b: 0}", "{a: 0}"), 9, "b has no value there"),
    (lambda t: t.replace("replicates: 4", "replicates: 2"), 9, "a number of at least 4 is needed"),
    (lambda t: t.replace("name: best", "name: surface"), 2, "the name of the sweep's study"),
    (lambda t: t.replace("name: best", "name: best\nseed: 7"), 3, "nothing would be fresh"),
    (lambda t: t.replace("runs: 8", "runs: 8\n  sampling: tpe"), 9, "unknown key 'sampling'"),
]


def test_what_cannot_be_looked_for_is_refused_with_its_line(finished: Place) -> None:
    for change, line, said in REFUSED:
        path = follow(finished, change(FOLLOW))
        with pytest.raises(SpecError) as caught:
            check_search(path, finished)
        assert f"follow.yaml:{line}:" in str(caught.value), (said, str(caught.value))
        assert said in str(caught.value), str(caught.value)


def test_too_few_runs_for_a_model_are_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(TRAINABLE)
    (tmp_path / "study.yaml").write_text(STUDY.replace("replicates: 2", "replicates: 1"))
    place = Place(home=ready_home(tmp_path / "home"))
    play(submitted(tmp_path / "study.yaml", place), place, surface)
    path = follow(place, **{"runs: 8": "runs: 1"})
    with pytest.raises(
        SpecError, match="8 known and 1 new runs cannot fit a second-order model of 2 factors"
    ) as caught:
        check_search(path, place)
    assert "runs: 2 at least" in str(caught.value)
    path = follow(place, **{"[0, 1]": "[0.5, 1]", "range: [0, 2]": "range: [1, 2]"})
    with pytest.raises(SpecError, match=r"2 finished run\(s\) of surface-\w+ lie within the box, and a model needs 4"):
        check_search(path, place)


def test_a_changed_file_is_another_plan(finished: Place) -> None:
    begun(follow(finished), finished)
    with pytest.raises(PlanChangedError, match="runs"):
        begun(follow(finished, **{"runs: 8": "runs: 9"}), finished)


def test_the_verbs_speak(finished: Place, here: Any) -> None:
    place, folder = finished, finished.home.parent
    follow(place)
    where = ("--home", str(place.home))
    told = json.loads(here("check", "follow.yaml", "--json", *where, cwd=folder).stdout)
    assert told["n_runs"] == 8
    shown = here("optimise", "surface", "--study", "follow.yaml", "--dry-run", *where, cwd=folder).stdout
    assert "8 runs in 1 batch(es) by augment, from 16 runs of surface-" in shown
    assert "core-hours" in shown
    refused = here("submit", "follow.yaml", *where, cwd=folder, expect=3)
    assert "maineffect optimise SWEEP --study follow.yaml" in refused.stderr
    refused = here("confirm", "surface", *where, cwd=folder, expect=2)
    assert "is no search" in refused.stderr
    settled = begun(folder / "follow.yaml", place)
    sweep = settled.ledger.sweep_id
    assert (
        json.loads(here("status", "best", "--json", *where, cwd=folder).stdout)["next"]
        == f"maineffect optimise {sweep}"
    )
    refused = here("confirm", "best", *where, cwd=folder, expect=2)
    assert "0 of the 8 runs" in refused.stderr
    play(settled, place, surface)
    document = json.loads(here("optimise", "best", "--export", "out.db", "--json", *where, cwd=folder).stdout)
    assert document["exported"]["trials"] == 24
    assert document["recommended"]["values"]["a"] == pytest.approx(0.6, abs=0.15)
    assert document["next"] == f"maineffect confirm {sweep}"
    refused = here("next", "best", *where, cwd=folder, expect=2)
    assert "ends in its confirmation" in refused.stderr
    refused = here("optimise", "best", "--dry-run", *where, cwd=folder, expect=2)
    assert "--study" in refused.stderr
