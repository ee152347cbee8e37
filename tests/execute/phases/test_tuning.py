"""Groups of runs, their trials, and what is written: equal budgets, own seeds and items, one choice whoever drives."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pytest

from maineffect.contracts import AttemptEnd, FailureClass, RunRequest, RunState, RunStatus
from maineffect.execute.phases.choosing import choose
from maineffect.execute.phases.proposals import Dimension, Trial
from maineffect.execute.phases.tuning import TuningPlan, advance, chosen_values, set_aside, standing, with_values
from maineffect.preparation import TrialRequest, is_preparatory

SPACE = (Dimension("rate", 1e-4, 1e-2, True, 1e-3),)


def request(cell: int, replicate: int) -> RunRequest:
    settings = {"train": {"steps": 3}, "width": cell}
    seed = 100 + replicate
    return RunRequest(
        "s", "s-1", f"c{cell}-r{replicate}", f"c{cell}", replicate, {"a": cell}, settings, seed, 9, ("skill", "x"), "m:t",
        base_seed=5,
    )  # fmt: skip


RUNS = [request(cell, replicate) for replicate in (1, 2) for cell in (0, 1)]


def plan(scope: str, sampler: str = "sobol", trials: int = 8) -> TuningPlan:
    groups: dict[str, list[RunRequest]] = {}
    for run in RUNS:
        groups.setdefault("all" if scope == "shared" else run.run_id, []).append(run)
    members = {name: tuple(runs) for name, runs in groups.items()}
    return TuningPlan(SPACE, {"rate": "train.rate"}, members, trials, 4, sampler, "smooth", "skill", True, 77)


@dataclass
class Memory:
    """Records in memory: the first word under a key stands."""

    words: dict[str, str] = field(default_factory=dict)
    results: dict[str, Mapping[str, float]] = field(default_factory=dict)

    def notes(self) -> Mapping[str, str]:
        return dict(self.words)

    def note(self, key: str, word: str) -> str:
        return self.words.setdefault(key, word)

    def responses(self, run_ids: Sequence[str]) -> Mapping[str, Mapping[str, float]]:
        return {run_id: self.results[run_id] for run_id in run_ids if run_id in self.results}


def finish(records: Memory, runs: dict[str, RunStatus], trial: TrialRequest, score: float | None) -> None:
    """A trial ends, with a score or by divergence."""
    if score is None:
        end = AttemptEnd(1, FailureClass.DIVERGED, "entropy fell to 0")
        runs[trial.run_id] = RunStatus(trial.run_id, RunState.FAILED, 1, (end,))
        return
    records.results[trial.run_id] = {"skill": score}
    runs[trial.run_id] = RunStatus(trial.run_id, RunState.FINISHED, 1)


def play(asked: TuningPlan, records: Memory, best: Mapping[int, float], diverges: float = 2.0) -> dict[str, RunStatus]:
    """Let every trial end; the best coded value depends on the cell."""
    runs: dict[str, RunStatus] = {}
    for _ in range(100):
        wrote = advance(asked, standing(asked, records.notes()), runs, records)
        new = [
            trial
            for group in standing(asked, records.notes()).values()
            for trials in group.requests
            for trial in trials
            if trial.run_id not in runs
        ]
        if not wrote and not new:
            return runs
        for trial in new:
            at = SPACE[0].coded(trial.settings["train"]["rate"])
            finish(records, runs, trial, None if at > diverges else -((at - best[trial.levels["a"]]) ** 2))
    raise AssertionError("it does not end")


def test_every_group_gets_equally_many_trials_on_seeds_and_items_of_their_own() -> None:
    for scope, groups, per_point in (("shared", 1, 2), ("replicate", 4, 1)):
        asked, records = plan(scope), Memory()
        runs = play(asked, records, {0: 0.2, 1: 0.2})
        assert len(runs) == asked.runs == 8 * groups * per_point
        found = standing(asked, records.notes())
        assert {name: len(group.points) for name, group in found.items()} == dict.fromkeys(asked.groups, 8)
        assert len({group.points for group in found.values()}) == 1, "the same points for all groups"
        assert all(group.points[0] == (1e-3,) for group in found.values()), "the default is among them"
        trials = [trial for group in found.values() for point in group.requests for trial in point]
        assert len({trial.seed for trial in trials}) == len(trials)
        for name in ("seed", "evaluation_seed", "base_seed"):
            assert not {getattr(trial, name) for trial in trials} & {getattr(run, name) for run in RUNS}, name
        assert len({trial.evaluation_seed for trial in trials}) == 1
        assert all(is_preparatory(trial.run_id) and trial.responses == ("skill",) for trial in trials)
        assert {trial.content() for trial in trials}.isdisjoint({run.content() for run in RUNS})


def test_one_shared_value_is_chosen_on_the_mean_and_own_ones_on_their_own() -> None:
    best = {0: -0.4, 1: 0.4}
    records = Memory()
    asked = plan("shared")
    play(asked, records, best)
    (shared,) = {v["rate"] for v in chosen_values(asked, standing(asked, records.notes())).values()}
    assert SPACE[0].coded(shared) == pytest.approx(0.0, abs=0.05)
    records = Memory()
    asked = plan("replicate")
    play(asked, records, best)
    values = chosen_values(asked, standing(asked, records.notes()))
    for run in RUNS:
        assert SPACE[0].coded(values[run.run_id]["rate"]) == pytest.approx(best[run.levels["a"]], abs=0.05)
    complete = with_values(asked, RUNS[0], values["c0-r1"])
    assert complete.settings == {"train": {"steps": 3, "rate": values["c0-r1"]["rate"]}, "width": 0}
    assert (complete.levels, complete.seed) == (RUNS[0].levels, RUNS[0].seed)
    assert complete.content() != RUNS[0].content()
    assert RUNS[0].settings["train"] == {"steps": 3}, "the plan is left as it was"


def test_less_is_better_where_the_response_is_minimised() -> None:
    asked, records = replace(plan("shared"), maximize=False), Memory()
    runs: dict[str, RunStatus] = {}
    advance(asked, standing(asked, records.notes()), runs, records)
    advance(asked, standing(asked, records.notes()), runs, records)
    for trials in standing(asked, records.notes())["all"].requests:
        for trial in trials:
            finish(records, runs, trial, (SPACE[0].coded(trial.settings["train"]["rate"]) - 0.3) ** 2)
    advance(asked, standing(asked, records.notes()), runs, records)
    choice = standing(asked, records.notes())["all"].choice
    assert SPACE[0].coded(choice.values[0]) == pytest.approx(0.3, abs=0.05)


def test_a_corner_that_diverges_counts_and_is_left() -> None:
    asked, records = plan("shared", trials=16), Memory()
    runs = play(asked, records, {0: 0.0, 1: 0.0}, diverges=0.3)
    assert any(status.state is RunState.FAILED for status in runs.values())
    assert SPACE[0].coded(standing(asked, records.notes())["all"].choice.values[0]) < 0.3


def test_a_group_that_lacks_a_trial_chooses_nothing() -> None:
    asked, records = plan("replicate"), Memory()
    runs: dict[str, RunStatus] = {}
    while advance(asked, standing(asked, records.notes()), runs, records):
        pass
    found = standing(asked, records.notes())
    for name, group in found.items():
        for trials in group.requests:
            for trial in trials:
                finish(records, runs, trial, 1.0)
        if name == "c0-r1":
            gone = group.requests[3][0].run_id
            end = AttemptEnd(1, FailureClass.USER_ERROR, "a bug")
            runs[gone] = RunStatus(gone, RunState.FAILED, 1, (end,))
    advance(asked, found, runs, records)
    settled = chosen_values(asked, standing(asked, records.notes()))
    assert set(settled) == {"c1-r1", "c0-r2", "c1-r2"}


def test_a_group_goes_without_failed_trials_only_where_this_is_asked_for() -> None:
    """It chooses by the others, as it would have without the failed point; no other group loses one."""
    asked, records = plan("replicate"), Memory()
    runs: dict[str, RunStatus] = {}
    while advance(asked, standing(asked, records.notes()), runs, records):
        pass
    for name, group in standing(asked, records.notes()).items():
        for number, (trial,) in enumerate(group.requests):
            at = SPACE[0].coded(trial.settings["train"]["rate"])
            finish(records, runs, trial, -((at - 0.2) ** 2))
            if name == "c0-r1" and number == 3:
                end = AttemptEnd(1, FailureClass.USER_ERROR, "a bug")
                runs[trial.run_id] = RunStatus(trial.run_id, RunState.FAILED, 1, (end,))
    advance(asked, standing(asked, records.notes()), runs, records)
    found = standing(asked, records.notes())
    gone = found["c0-r1"].requests[3][0].run_id
    assert (found["c0-r1"].choice, found["c0-r1"].aside) == (None, frozenset())
    assert set_aside(found, runs, records, "somebody") == 1
    assert set_aside(standing(asked, records.notes()), runs, records, "another") == 0
    advance(asked, standing(asked, records.notes()), runs, records)
    found = standing(asked, records.notes())
    assert found["c0-r1"].aside == {gone}
    assert all(not group.aside for name, group in found.items() if name != "c0-r1")
    points = [point for number, point in enumerate(found["c0-r1"].points) if number != 3]
    alone = [Trial(point, -((SPACE[0].coded(point[0]) - 0.2) ** 2)) for point in points]
    assert found["c0-r1"].choice == choose(SPACE, alone, "smooth")
    assert records.words[f"without.{gone}"] == "somebody"


def test_a_point_is_set_aside_in_all_cells_and_a_sampler_goes_on_without_it() -> None:
    """Cells are compared at the same points only; the next batch follows from what is written, whoever drives."""
    asked, records = plan("shared", "tpe", trials=12), Memory()
    runs: dict[str, RunStatus] = {}
    advance(asked, standing(asked, records.notes()), runs, records)
    failed = standing(asked, records.notes())["all"].requests[2]
    for trials in standing(asked, records.notes())["all"].requests:
        for trial in trials:
            finish(records, runs, trial, -(SPACE[0].coded(trial.settings["train"]["rate"]) ** 2))
    end = AttemptEnd(1, FailureClass.USER_ERROR, "a bug")
    runs[failed[0].run_id] = RunStatus(failed[0].run_id, RunState.FAILED, 1, (end,))
    assert not advance(asked, standing(asked, records.notes()), runs, records)
    assert set_aside(standing(asked, records.notes()), runs, records, "somebody") == 1
    assert advance(asked, standing(asked, records.notes()), runs, records)
    (group,) = standing(asked, records.notes()).values()
    assert group.aside == {trial.run_id for trial in failed}
    assert len(set(group.points)) == len(group.points) == 8


def test_a_group_none_of_whose_trials_has_ended_keeps_them_all() -> None:
    asked, records = plan("replicate"), Memory()
    while advance(asked, standing(asked, records.notes()), {}, records):
        pass
    found = standing(asked, records.notes())
    end = AttemptEnd(1, FailureClass.USER_ERROR, "a bug")
    ids = [run.run_id for group in found.values() for requests in group.requests for run in requests]
    runs = {run_id: RunStatus(run_id, RunState.FAILED, 1, (end,)) for run_id in ids}
    assert set_aside(found, runs, records, "somebody") == 0


@pytest.mark.parametrize("sampler", ["sobol", "tpe"])
def test_two_drivers_write_the_same_words_and_a_killed_one_loses_nothing(sampler: str) -> None:
    """After every single write another driver, which knows the records alone, goes on."""
    asked = plan("shared", sampler, trials=12)
    whole = Memory()
    play(asked, whole, {0: 0.2, 1: 0.2})

    class KilledError(Exception):
        pass

    class OneWord(Memory):
        def note(self, key: str, word: str) -> str:
            stands = super().note(key, word)
            raise KilledError(stands)

    records, runs = OneWord(), {}
    for _ in range(40):
        try:
            advance(asked, standing(asked, records.notes()), runs, records)
        except KilledError:
            continue
        for group in standing(asked, records.notes()).values():
            for trials in group.requests:
                for trial in trials:
                    if trial.run_id not in runs:
                        at = SPACE[0].coded(trial.settings["train"]["rate"])
                        finish(records, runs, trial, -((at - 0.2) ** 2))
    assert records.words == whole.words, "equal to the digit"
    assert sum(key.startswith("chosen.") for key in whole.words) == 1
    late = Memory(dict(whole.words), whole.results)
    assert late.note("chosen.all", "another") == whole.words["chosen.all"]
    assert json.loads(whole.words["chosen.all"].split(":", 2)[2])["rule"] == "smooth"
