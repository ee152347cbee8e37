"""Real sweeps that stop by an interim look, or do not; and what is said, analysed and run again afterwards."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from maineffect import study as journey
from maineffect.errors import UsageError
from maineffect.execute.cluster.needs import Needs
from maineffect.ledger.store.connection import client, prepare
from maineffect.ledger.sweep.looks import made_looks
from maineffect.study import Place

pytestmark = pytest.mark.ray

STUDY = """\
schema_version: 1
name: looked
question: Does a sweep stop when it knows enough?
trainable: known:train
factors:
  a: {{levels: [0.0, 1.0]}}
  b: {{levels: [low, high]}}
design: {{kind: full, replicates: {waves}}}
responses:
  skill: {{goal: maximize, smallest_effect: 1.5}}
hypotheses:
  - {{id: H1, term: a, response: skill, direction: increase}}
analysis: {{terms: [a], sequential: {{spending: pocock, futility: 0.2{options}}}}}
resources: {{cpus: 1, timeout: 2m, retries: 0}}
settings: {{effect: {effect}, broken: {broken}}}
seed: {seed}
"""

TRAINABLE = '''\
"""A trainable whose effect is a setting, with noise of variance 1."""
from pathlib import Path

from maineffect.seeds import generator


def train(request, context):
    with Path(__file__).with_name("started.txt").open("a") as file:
        file.write(request.run_id + "\\n")
    if request.run_id.endswith(f"-r{request.settings['broken']}") and request.levels == {"a": 0.0, "b": "low"}:
        if not Path(__file__).with_name("mended").exists():
            raise RuntimeError("planned failure")
    noise = generator(context.seed("noise"), request.run_id).normal(0.0, 1.0)
    return {"skill": float(request.settings["effect"] * request.levels["a"] + noise)}
'''


class Sweep:
    """One study in a folder, on the Ray of this module."""

    def __init__(self, folder: Path, database: Path) -> None:
        self.folder = folder
        (folder / "known.py").write_text(TRAINABLE)
        (folder / "home").mkdir()
        shutil.copy(database, folder / "home" / "mlflow.db")
        self.place = Place(home=folder / "home", tracking_uri=f"sqlite:///{folder / 'home' / 'mlflow.db'}", workers=1)

    def write(self, effect: float, *, waves: int = 4, seed: int = 7, options: str = "", broken: int = 0) -> Path:
        path = self.folder / "study.yaml"
        text = STUDY.format(effect=effect, waves=waves, seed=seed, options=options, broken=broken)
        path.write_text(text)
        return path

    def submit(self, effect: float = 0.0, *, go_on: bool = False, **options: Any) -> dict[str, Any]:
        path = self.folder / "study.yaml" if not effect and not options else self.write(effect, **options)
        return journey.submit(path, self.place, go_on=go_on)

    def started(self) -> list[str]:
        file = self.folder / "started.txt"
        return file.read_text().split() if file.exists() else []

    def looks(self, sweep: str) -> dict[int, Any]:
        from maineffect.journey.run.submission import stored_submission

        return made_looks(stored_submission(sweep, self.place)[1])


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One Ray and one empty store for the module, because each takes seconds."""
    from maineffect.execute.cluster import embedded

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    prepare(f"sqlite:///{path}")
    client(f"sqlite:///{path}").search_experiments()
    close = embedded.start(Needs(), 1)
    yield path
    close()


@pytest.fixture
def sweep(tmp_path: Path, database: Path, monkeypatch: pytest.MonkeyPatch) -> Sweep:
    monkeypatch.syspath_prepend(str(tmp_path))
    return Sweep(tmp_path, database)


@pytest.mark.live
def test_a_huge_effect_stops_at_the_first_look_and_goes_on_only_on_purpose(sweep: Sweep) -> None:
    done = sweep.submit(100.0)
    stop = done["stopped"]
    assert (stop["look"], stop["looks"], stop["said"]) == (1, 4, "interim look 1 of 4: H1 efficacy")
    first = sweep.started()
    assert len(first) < 8, "at most what had been started when the look was made"
    assert done["counts"]["finished"] + done["counts"]["not_needed"] == 16
    assert {row["state"] for row in done["runs"]} == {"finished", "not-needed"}
    made = sweep.looks(done["sweep"])
    assert list(made) == [1]
    assert made[1].stop

    # Whoever submits again, or resubmits, finds the same decision and starts nothing.
    notices: list[str] = []
    journey.submit(sweep.folder / "study.yaml", sweep.place, on_notice=notices.append)
    assert any("stopped early, as registered: interim look 1 of 4" in notice for notice in notices)
    journey.resubmit("latest", sweep.place)
    assert journey.preview(sweep.folder / "study.yaml", sweep.place)["would_run"] == []
    assert journey.preview_resubmit("latest", sweep.place)["would_run"] == []
    with pytest.raises(UsageError, match="is not needed: interim look 1 of 4"):
        journey.resubmit("latest", sweep.place, runs=[stop["runs"][0]])
    assert sweep.started() == first

    early = journey.analyse_sweep("latest", sweep.place)
    (one,) = early.hypotheses
    (look,) = early.looks
    assert (one.verdict, one.ci_low, one.ci_high) == ("supported", look.ci_low, look.ci_high)
    assert early.n_missing == 0
    assert early.facts.deviations == []
    assert "stopped early, as registered: interim look 1 of 4: H1 efficacy" in (early.facts.stopped or "")
    assert sum(run.status == "not needed (interim look 1 of 4)" for run in early.runs) == stop["not_needed"]
    page = journey.write_report(early, sweep.place).read_text()
    assert "Stopped early, as registered" in page
    assert "not needed" in page

    whole = journey.submit(sweep.folder / "study.yaml", sweep.place, go_on=True)
    assert whole["counts"]["finished"] == 16
    assert sorted(set(sweep.started())) == sorted(sweep.started())
    assert sweep.looks(done["sweep"])[1] == made[1]
    late = journey.analyse_sweep("latest", sweep.place)
    assert (late.hypotheses[0].verdict, late.hypotheses[0].ci_low) == ("supported", one.ci_low), "taken back by nothing"
    assert any("went on although interim look 1 of 4" in line for line in late.facts.deviations)
    assert late.facts.stopped is None


@pytest.mark.live
def test_no_effect_stops_for_futility(sweep: Sweep) -> None:
    done = sweep.submit(1e-9, waves=6)
    assert done["stopped"]["said"].endswith("H1 futility")
    assert 1 <= done["stopped"]["look"] < 6
    result = journey.analyse_sweep("latest", sweep.place)
    assert result.hypotheses[0].verdict == "inconclusive"
    assert "futility" in (result.hypotheses[0].reason or "")
    assert [look.look for look in result.looks] == list(range(1, done["stopped"]["look"] + 1))


@pytest.mark.slow
def test_a_middling_effect_runs_to_the_end(sweep: Sweep) -> None:
    done = sweep.submit(1.2, waves=3)
    assert (done["counts"]["finished"], done["stopped"]) == (12, None)
    assert [look.stop for look in sweep.looks(done["sweep"]).values()] == [False, False]
    result = journey.analyse_sweep("latest", sweep.place)
    assert [look.look for look in result.looks] == [1, 2, 3]
    assert result.looks[-1].decision in ("efficacy", "end")


@pytest.mark.slow
def test_a_study_may_look_without_stopping(sweep: Sweep) -> None:
    done = sweep.submit(100.0, waves=2, options=", stop: false")
    assert (done["counts"]["finished"], done["stopped"]) == (8, None)
    assert sweep.looks(done["sweep"]) == {}
    assert journey.analyse_sweep("latest", sweep.place).looks[0].decision == "efficacy"


@pytest.mark.live
def test_a_driver_that_died_before_its_look_leaves_it_to_the_next(sweep: Sweep) -> None:
    """The first wave is complete, and nobody has looked; the next driver looks first, and starts nothing."""
    from datetime import UTC, datetime

    from maineffect.execute.drive.sweep import execute_sweep
    from maineffect.journey.plan.requests import needs_of, plan_requests
    from maineffect.journey.run.submission import open_submission
    from maineffect.register import freeze

    path = sweep.write(100.0)
    checked = journey.check(path)
    registration = freeze.require_registered(checked.study, checked.design, path, again=False, now=datetime.now(UTC))
    ledger = open_submission(checked, sweep.place, registration)
    requests = plan_requests(checked, ledger.sweep_id)
    wave = [request.run_id for request in requests if request.replicate == 1]
    needs, folder = needs_of(checked.study), sweep.folder
    execute_sweep(requests, ledger, sweep.place.home, needs, study_dir=folder, workers=1, only=wave)
    assert len(sweep.started()) == 4
    assert made_looks(ledger) == {}
    done = journey.submit(path, sweep.place)
    assert done["stopped"]["look"] == 1
    assert len(sweep.started()) == 4


@pytest.mark.live
def test_failed_runs_of_a_wave_that_was_looked_at_are_tried_again_and_the_look_stands(sweep: Sweep) -> None:
    done = sweep.submit(100.0, broken=1)
    made = sweep.looks(done["sweep"])
    assert [made[look].finished for look in made] == [3, 7], "a wave is complete when its runs have ended, either way"
    assert done["stopped"]["look"] == 2, "three runs of unequal cells leave too few degrees of freedom to decide"
    (sweep.folder / "mended").touch()
    again = journey.resubmit("latest", sweep.place)
    assert again["counts"]["failed"] == 0
    assert again["counts"]["not_needed"] == done["counts"]["not_needed"]
    assert sweep.looks(done["sweep"]) == made
    deviations = journey.analyse_sweep("latest", sweep.place).facts.deviations
    assert any("made on 7 runs; 8 of its waves are finished now" in line for line in deviations)
