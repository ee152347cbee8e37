"""A search from a sweep of the real lab to its confirmation and its card; and drivers that are killed as they propose."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.homes import ready_home
from tests.played import play

from maineffect.analyse.record.result import AnalysisResult
from maineffect.journey.plan.place import Place
from maineffect.journey.read.analyse import analyse_sweep
from maineffect.journey.run.optimise import choose, search_state
from maineffect.journey.run.search import check_search
from maineffect.journey.run.submit import settle_checked, settle_resubmission, settle_submission
from maineffect.report.page import build_cards, render_page

LAB = """\
schema_version: 1
name: tiny
trainable: maineffect.lab:train_search_agent
factors: {conflict_rate: {levels: [0.0, 0.4], binds: world.conflict_rate}}
design: {kind: full, replicates: 2}
responses: {mean_searches: {goal: maximize}}
analysis: {terms: main}
settings:
  policy: {width: 16, layers: 1, heads: 1}
  warmstart: {steps: 40, batch: 12}
  train: {steps: 2, prompts: 2, group_size: 4, checkpoint_every: 2}
  evaluation: {items: 4, pairs: 2, regime_episodes: 8, transcripts: 1}
"""
LAB_SEARCH = """\
schema_version: 1
name: tiny-best
optimise:
  from: tiny
  factors: {conflict_rate: {range: [0.0, 0.4]}}
  objectives: {mean_searches: maximize}
  runs: 3
  confirm: {replicates: 4, against: {conflict_rate: 0.0}}
"""


def card_text(result: AnalysisResult, card: str) -> str:
    (found,) = [one for one in build_cards(result) if one.card_id == card]
    assert not found.error
    page = render_page([found], title="card", question="", lead=(), brand="")
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def test_the_lab_from_a_sweep_to_a_confirmed_optimum(tmp_path: Path, here) -> None:
    """Real trainings of a tiny policy: 4 runs, 3 that complete a quadratic, and 4 pairs on worlds of their own."""
    (tmp_path / "study.yaml").write_text(LAB)
    (tmp_path / "best.yaml").write_text(LAB_SEARCH)
    place = Place(home=ready_home(tmp_path / "home"))
    again = {"reuse": None, "go_on": False, "on_notice": None}
    play(settle_submission(tmp_path / "study.yaml", place, register_again=False, **again), place)
    where = ("--home", str(place.home))
    here("check", "best.yaml", *where, cwd=tmp_path)
    settled = settle_checked(check_search(tmp_path / "best.yaml", place), place, register_again=False, **again)
    trials = [run for run in play(settled, place) if run.run_id.startswith("prep-search")]
    assert len(trials) == 3
    document = json.loads(here("optimise", "tiny-best", "--json", *where, cwd=tmp_path).stdout)
    (predicted,) = document["recommended"]["predictions"]
    assert 0.0 <= document["recommended"]["values"]["conflict_rate"] <= 0.4
    assert predicted["low"] < predicted["estimate"] < predicted["high"]

    choose(search_state("tiny-best", place))
    runs = play(settle_resubmission("tiny-best", place, runs=(), cells=(), **again), place)
    pairs = [run for run in runs if not run.run_id.startswith("prep-")]
    assert len(pairs) == 8
    assert len([run for run in runs if run.run_id.startswith("prep-warm")]) == 4, "each pair starts from its own"
    result = analyse_sweep("tiny-best", place)
    assert result.facts.searched is not None
    (paired,) = result.facts.searched.confirmed
    assert (paired.pairs, paired.goal) == (4, "maximize")
    assert result.hypotheses[0].estimate == pytest.approx(paired.difference)
    page = card_text(result, "optimum")
    assert "of the recommended setting minus the comparator" in page
    assert "Confirmation on fresh seeds, worlds and items" in page


SURFACE = """\
schema_version: 1
name: surface
trainable: surface:train
factors: {a: {levels: [0.0, 1.0]}, b: {levels: [0.0, 2.0]}}
design: {kind: full, replicates: 2}
responses: {skill: {goal: maximize}}
analysis: {terms: main}
resources: {cpus: 1, timeout: 2m, retries: 2}
seed: 3
"""
SEARCH = """\
schema_version: 1
name: best
optimise:
  from: surface
  factors: {a: {range: [0, 1]}, b: {range: [0, 2]}}
  objectives: {skill: maximize}
  runs: 6
  batch: 2
  sampler: tpe
  confirm: {replicates: 4, against: {a: 0, b: 0}}
"""

# Preparations are asked for by the driver, after it has proposed and before it claims: there it is killed.
TRAINABLE = '''\
"""A surface that is best at a = .6, b = 1.2, and a driver that dies when it is told to."""
import os
import signal
from pathlib import Path

from maineffect.seeds import generator


def train(request, context):
    flags = Path(os.environ["KNOWN_FLAGS"])
    with (flags / "started.txt").open("a") as file:
        file.write(request.run_id + "\\n")
    noise = generator(request.seed, "noise", request.run_id).normal(0.0, 0.05)
    return {"skill": 5.0 - (request.settings["a"] - 0.6) ** 2 - (request.settings["b"] - 1.2) ** 2 + noise}


def preparations(request):
    mark = Path(os.environ["KNOWN_FLAGS"]) / "kill"
    if mark.exists() and request.run_id.startswith("prep-search"):
        deaths = int(mark.read_text())
        if deaths == 0:
            return []
        mark.write_text(str(deaths - 1))
        os.kill(os.getpid(), signal.SIGKILL)
    return []


def prepare(request, context):
    raise NotImplementedError


train.preparations, train.prepare = preparations, prepare
'''


@pytest.mark.live
@pytest.mark.ray
def test_drivers_killed_between_proposal_and_claim_leave_one_proposal_a_batch(workbench) -> None:
    """Three drivers die there; two at once, and then `confirm`, go on as if nothing had been."""
    folder = workbench.folder
    (folder / "surface.py").write_text(TRAINABLE)
    (folder / "study.yaml").write_text(SURFACE)
    (folder / "best.yaml").write_text(SEARCH)
    workbench.run("submit", "study.yaml")
    ran = len(workbench.started())
    place = Place(home=folder / "home")
    proposals = []

    def drive(*words: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-m", "maineffect", *words], cwd=folder, env=workbench.environment())

    search = ("optimise", "surface", "--study", "best.yaml")

    (workbench.flags / "kill").write_text("3")
    for _ in range(3):
        assert drive(*search).wait(timeout=300) == -signal.SIGKILL
        assert len(workbench.started()) == ran, "nothing had been claimed"
        proposals.append(search_state("best", place).search.points)
    assert set(proposals) == {proposals[0]}
    assert len(proposals[0]) == 2, "one proposal for the batch"
    two = [drive(*search), drive(*search)]
    assert [driver.wait(timeout=300) for driver in two] == [0, 0]
    state = search_state("best", place)
    assert state.search.points[:2] == proposals[0]
    started = workbench.started()[ran:]
    assert len(started) == len(set(started)) == 6
    assert drive("confirm", "best").wait(timeout=300) == 0
    finished = workbench.document("status", "best")
    assert finished["counts"]["finished"] == 8
    assert workbench.document("analyse", "best")["hypotheses"][0]["verdict"] == "supported"
