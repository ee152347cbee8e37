"""How good the measurement is: shortcuts on a study's battery, a sweep's items, and a difficulty that discriminates."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maineffect.errors import PluginError, UsageError
from maineffect.journey.plan.place import Checked, Place
from maineffect.journey.plan.requests import plan_requests
from maineffect.journey.plan.tuned import tuned
from maineffect.journey.run.submission import stored_submission
from maineffect.seeds import derive_seed

if TYPE_CHECKING:
    from maineffect.contracts import RunRequest
    from maineffect.lab.evaluate.psychometrics import BatterySummary
    from maineffect.ledger.sweep.ledger import MlflowLedger
    from maineffect.spec.study import StudySpec

__all__ = ["baselines_of", "battery_of", "calibrate", "measured_again", "shortcut_table"]

LAB = "maineffect.lab:train_search_agent"


def baselines_of(study: StudySpec, folder: Path, place: Place) -> list[dict[str, Any]]:
    """What scripted shortcuts score on the responses of a study, from the trainable's own ``baselines``.

    Kept in the home's cache under the code, settings and seed that decide it. A trainable without baselines, or one
    that cannot be imported here (a report read on another machine), has none.
    """
    from maineffect.code_version import code_version
    from maineffect.lab.corpus.load import CorpusError
    from maineffect.plugins import load_trainable

    if not study.trainable:
        return []
    seed = derive_seed(study.seed, "evaluation")
    try:
        make = getattr(load_trainable(study.trainable, folder), "baselines", None)
        version = code_version(study.trainable, folder, study.settings) if make is not None else ""
    except PluginError:
        return []
    if make is None:
        return []
    key = json.dumps([study.trainable, version, study.settings, seed], sort_keys=True)
    path = place.home / "cache" / "baselines" / f"{hashlib.sha256(key.encode()).hexdigest()[:20]}.json"
    if path.is_file():
        baselines: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    else:
        try:
            baselines = make(study.settings, seed)
        except CorpusError:
            return []  # the corpus is not here, or is no longer the one that the study is about
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(f".{os.getpid()}")
        aside.write_text(json.dumps(baselines), encoding="utf-8")
        aside.replace(path)
    return [record for record in baselines if record["response"] in study.responses]


def _lab_settings(study: StudySpec, what: str) -> Any:
    """The lab's settings of a study, apart from its factors.

    Raises:
        UsageError: The study is not about the lab.
    """
    if study.trainable != LAB:
        raise UsageError(
            f"{what} is about the built-in lab, and {study.name} trains {study.trainable or 'nothing'}",
            f"name a study whose trainable is {LAB}",
        )
    from maineffect.lab.settings import LabSettings

    return LabSettings.model_validate(study.settings)


def shortcut_table(study: StudySpec, folder: Path | None = None) -> dict[str, Any]:
    """Every scripted policy's score on every probe of a study's battery, and which probes discriminate.

    Args:
        folder: The study's, where its corpus is, if it names one.
    """
    from maineffect.lab.evaluate.baselines import HEADROOM, headroom, probe_scores
    from maineffect.lab.questions.source import open_source

    settings, seed = _lab_settings(study, "lab baselines"), derive_seed(study.seed, "evaluation")
    played = open_source(settings, folder, seed).shortcuts(settings, seed)
    scores = {name: probe_scores(rows) for name, rows in played.rows.items()}
    lead = headroom(scores, played.rivals)
    return {
        "schema_version": 1,
        "study": study.name,
        "battery": played.digest,
        "difficulty": settings.evaluation.difficulty,
        "probes": [
            {
                "probe": probe,
                "headroom": room,
                "best_shortcut": best,
                "discriminating": room >= HEADROOM,
                "scores": {name: policy_scores[probe] for name, policy_scores in scores.items()},
            }
            for probe, (room, best) in lead.items()
        ],
    }


def battery_of(reference: str, place: Place, tell: Callable[[int, int], None]) -> tuple[str, BatterySummary]:
    """Psychometrics of a sweep's items over its finished runs, beside the shortcuts.

    Args:
        tell: Told how many runs are read, of how many.

    Raises:
        UsageError: No finished run has item scores.
    """
    import pandas as pd

    from maineffect.lab.evaluate.psychometrics import psychometrics
    from maineffect.lab.questions.source import open_source
    from maineffect.ledger.sweep.curves import read_items

    checked, ledger = stored_submission(reference, place)
    ledger = ledger.snapshot()
    settings = _lab_settings(checked.study, "lab battery")
    runs = [run.run_id for run in checked.design.runs]
    tables = []
    for done, run_id in enumerate(runs, start=1):
        items = read_items(ledger, run_id)
        if items is not None:
            tables.append(_pairs(run_id, items, scripted=False))
        tell(done, len(runs))
    if not tables:
        raise UsageError(f"no finished run of {ledger.sweep_id} has item scores", "wait for runs to finish")
    seed = derive_seed(checked.study.seed, "evaluation")
    played = open_source(settings, checked.path.parent, seed).shortcuts(settings, seed)
    for name, of in played.rows.items():
        rows = pd.DataFrame(of)
        # A reader by one fixed rule is a shortcut only where something must be weighed.
        rival_rows = rows[[name == "oracle" or name in played.rivals[probe] for probe in rows["probe"]]]
        if not rival_rows.empty:
            tables.append(_pairs(name, rival_rows, scripted=True))
    return ledger.sweep_id, psychometrics(pd.concat(tables, ignore_index=True))


def _pairs(run: str, items: Any, *, scripted: bool) -> Any:
    """One row per pair: an item of the battery is scored as a whole."""
    import pandas as pd

    pairs = items.drop_duplicates("pair_id")
    return pd.DataFrame(
        {
            "run": run,
            "item_id": pairs["pair_id"].to_numpy(),
            "probe": pairs["probe"].to_numpy(),
            "score": pairs["pair_score"].to_numpy(),
            "baseline": scripted,
        }
    )


def calibrate(
    reference: str, response: str, target: tuple[float, float], place: Place, say: Callable[[str], None]
) -> dict[str, Any]:
    """Find the battery's difficulty at which the best policy of a sweep scores inside the target.

    The best run is trained again (on a CPU the same numbers), and its policy plays the battery at every difficulty.

    Args:
        response: Which response decides what is best, and is to be inside the target.
        target: Lowest and highest wanted score.

    Raises:
        UsageError: The response is not one of the battery's, or no run is finished.
    """
    checked, ledger = stored_submission(reference, place)
    if _lab_settings(checked.study, "lab calibrate").world.corpus is not None:
        raise UsageError(
            f"lab calibrate is about the generated world's battery, and {checked.study.name} asks a corpus",
            "set evaluation.difficulty by hand: 4, 8, 12 or 16 near passages",
        )
    from maineffect.lab.evaluate.metrics import BATTERY_RESPONSES

    if response not in BATTERY_RESPONSES:
        raise UsageError(f"the battery has no response {response!r}", f"choose among {', '.join(BATTERY_RESPONSES)}")
    run_id, best_score = _ranked_runs(checked, ledger, response)[0]
    say(f"training {run_id} again: the best of {ledger.sweep_id} on {response} ({best_score:.3f})")
    planned = tuned(checked.study, ledger, plan_requests(checked, ledger.sweep_id))
    request = next(request for request in planned if request.run_id == run_id)
    scores = _scores_by_difficulty(request, response, place, say)
    low, high = target
    fitting = [level for level, score in scores.items() if low <= score <= high]
    middle = (low + high) / 2
    chosen = fitting[-1] if fitting else min(scores, key=lambda level: abs(scores[level] - middle))
    return {
        "schema_version": 1,
        "sweep": ledger.sweep_id,
        "run": run_id,
        "response": response,
        "target": list(target),
        "scores": [{"difficulty": level, "score": score} for level, score in scores.items()],
        "difficulty": chosen,
        "inside": bool(fitting),
    }


def _ranked_runs(checked: Checked, ledger: MlflowLedger, response: str) -> list[tuple[str, float]]:
    """Finished runs and their values of a response, the best first."""
    from maineffect.ledger.sweep.collect import collect

    responses = tuple(checked.study.responses)
    if response not in responses:
        raise UsageError(
            f"{ledger.sweep_id} does not record {response!r}", f"choose among its responses: {', '.join(responses)}"
        )
    table = collect(ledger, checked.design, responses).table
    finished = table[table[response].notna()]
    if finished.empty:
        raise UsageError(f"{ledger.sweep_id} has no finished run", "wait for one to finish")
    ascending = checked.study.responses[response].goal == "minimize"
    ordered = finished.sort_values(response, ascending=ascending, kind="stable")
    return [(str(run), float(value)) for run, value in zip(ordered["run_id"], ordered[response], strict=True)]


def measured_again(
    reference: str,
    response: str | None,
    runs: int,
    repeats: int,
    place: Place,
    say: Callable[[str], None],
    tell: Callable[[int, int], None],
) -> dict[str, Any]:
    """Test–retest of every response: some of a sweep's policies, measured again and again.

    Runs are chosen evenly from the best to the worst on a response, because a score near its floor or ceiling repeats
    better than one in the middle. They are trained again (on a CPU the same numbers).

    Args:
        response: Which response ranks the runs; left out, the study's first.
        runs: How many runs.
        repeats: Measurements of each, of each kind.
        tell: Told how many measurements are done, of how many.

    Raises:
        UsageError: The sweep does not record the response, or no run is finished.
        AnalysisError: Fewer than two repetitions.
    """
    from maineffect.lab.examine.retest import remeasure, repeatability

    checked, ledger = stored_submission(reference, place)
    if _lab_settings(checked.study, "lab reliability").world.corpus is not None:
        raise UsageError(
            f"lab reliability draws other items of the generated world, and {checked.study.name} asks a corpus",
            "its items are the corpus's own: repeat the study with another seed for another draw of them",
        )
    response = response or next(iter(checked.study.responses))
    ranked = _ranked_runs(checked, ledger, response)
    count = min(runs, len(ranked))
    chosen = [ranked[round(i * (len(ranked) - 1) / max(count - 1, 1))] for i in range(count)]
    planned = plan_requests(checked, ledger.sweep_id)
    requests = {request.run_id: request for request in tuned(checked.study, ledger, planned)}
    policies = []
    each = 1 + 3 * repeats
    for number, (run_id, value) in enumerate(chosen):
        say(f"training {run_id} again: {response} {value:.3f}")
        request = requests[run_id]
        before, after, settings = _before_and_after(request, place.home / "cache")
        policies.append(
            remeasure(
                before,
                after,
                settings,
                held_out=derive_seed(request.seed, "held out"),
                evaluation_seed=request.evaluation_seed,
                repeats=repeats,
                tell=lambda done, _, of=number * each: tell(of + done, count * each),  # type: ignore[misc]
            )
        )
    over_runs = _over_runs(checked, ledger)
    return {
        "schema_version": 1,
        "sweep": ledger.sweep_id,
        "runs": [{"run": run_id, response: value} for run_id, value in chosen],
        "repeats": repeats,
        "finished": len(ranked),
        "decoding": {"battery": "greedy", "regime": "temperature 1"},
        "responses": [asdict(row) for row in repeatability(policies, over_runs)],
    }


def _over_runs(checked: Checked, ledger: MlflowLedger) -> dict[str, list[float]]:
    """Response → its value in every finished run: as recorded, or from the items that the run recorded."""
    from maineffect.lab.evaluate.metrics import responses
    from maineffect.ledger.sweep.collect import collect
    from maineffect.ledger.sweep.curves import read_items

    recorded = tuple(checked.study.responses)
    table = collect(ledger, checked.design, recorded).table
    values_by_response: dict[str, list[float]] = {}
    for run_id in table.loc[table[recorded[0]].notna(), "run_id"]:
        items = read_items(ledger, run_id)
        if items is not None:
            rows: list[Any] = items.to_dict("records")
            for name, value in responses(rows).items():
                values_by_response.setdefault(name, []).append(value)
    return {**values_by_response, **{name: table[name].dropna().tolist() for name in recorded}}


def _before_and_after(request: RunRequest, cache: Path) -> tuple[Any, Any, Any]:
    """A run's warm start, its trained policy, and its settings."""
    from maineffect.lab.settings import LabSettings
    from maineffect.lab.start import start_seed
    from maineffect.lab.train.warmstart import warm_start

    settings = LabSettings.model_validate(dict(request.settings))
    after = _trained_again(settings, request, cache)
    own = derive_seed(request.seed, "init")
    return warm_start(settings, start_seed(settings, request.base_seed, own), cache), after, settings


def _scores_by_difficulty(
    request: RunRequest, response: str, place: Place, say: Callable[[str], None]
) -> dict[int, float]:
    from maineffect.lab.evaluate.battery import HARDEST, build_battery
    from maineffect.lab.evaluate.metrics import responses
    from maineffect.lab.evaluate.scoring import play_battery
    from maineffect.lab.sampling.player import ModelPlayer
    from maineffect.lab.settings import LabSettings

    settings = LabSettings.model_validate(dict(request.settings))
    model = _trained_again(settings, request, place.home / "cache")
    scores: dict[int, float] = {}
    for level in range(HARDEST + 1):
        harder = settings.evaluation.model_copy(update={"difficulty": level, "anchors": 0})
        battery = build_battery(settings.model_copy(update={"evaluation": harder}), request.evaluation_seed)
        played = play_battery(battery, ModelPlayer(model))
        scores[level] = responses(played.rows)[response]
        say(f"difficulty {level}: {response} {scores[level]:.3f}")
    return scores


def _trained_again(settings: Any, request: RunRequest, cache: Path) -> Any:
    """The policy of a run, trained once more outside any sweep; nothing of it is recorded."""
    from maineffect.lab.training import trained_policy

    with tempfile.TemporaryDirectory(prefix="maineffect-") as folder:
        return trained_policy(settings, _Unrecorded(Path(folder), cache, request.seed), request.base_seed)


class _Unrecorded:
    """A run context that keeps nothing."""

    def __init__(self, run_dir: Path, cache_dir: Path, seed: int) -> None:
        self.run_dir, self.cache_dir, self._seed = run_dir, cache_dir, seed

    def seed(self, purpose: str) -> int:
        return derive_seed(self._seed, purpose)

    def log(self, step: int, metrics: Mapping[str, float]) -> None: ...

    def progress(self, done: int, total: int) -> None: ...

    def save_checkpoint(self, step: int, write: Callable[[Path], None]) -> None: ...

    def latest_checkpoint(self) -> tuple[int, Path] | None:
        return None

    def check_cancelled(self) -> None: ...
