"""The tests that every trainable has to pass, for the author of one to subclass.

::

    from maineffect.conformance import TrainableConformance
    from my_package import train

    class TestTrain(TrainableConformance):
        trainable = staticmethod(train)
        settings = {"train": {"steps": 3}}
        responses = ("accuracy",)

``pytest`` collects the subclass and runs the trainable a few times, so choose settings that train briefly. Override
``load`` to find it by name, as a sweep does: ``return load_trainable("my_package:train")``. The trainable runs in the
main thread, and its result is checked and written by the functions that a sweep's run uses. This module imports no
pytest itself, and nothing else in the package imports it.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import pickle
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar
from unittest import SkipTest

from maineffect.contracts import Level, RunCancelled, RunDiverged, RunRequest, RunResult, Trainable
from maineffect.errors import MaineffectError
from maineffect.execute.attempt.outcome import valid_result
from maineffect.ledger.attempt.results import write_result
from maineffect.ledger.attempt.spool import Spool
from maineffect.record import SAID
from maineffect.seeds import derive_seed

__all__ = ["RecordingContext", "TrainableConformance"]


@dataclass
class RecordingContext:
    """A :class:`maineffect.contracts.RunContext` that keeps what a trainable does, in a folder of its own.

    Attributes:
        stop_after: Publish this many checkpoints, then stop the run as a cancellation would. None: never.
    """

    base: Path
    run_seed: int
    stop_after: int | None = None
    logged: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    steps_seen: list[tuple[int, int]] = field(default_factory=list)
    checkpoints: int = 0

    @property
    def run_dir(self) -> Path:
        """The run's private folder."""
        return self._folder("run")

    @property
    def cache_dir(self) -> Path:
        """The shared cache, which no two checks share unless they are meant to."""
        return self._folder("cache")

    def _folder(self, name: str) -> Path:
        folder = self.base / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def seed(self, purpose: str) -> int:
        """As in a real run: derived from the run's seed and the purpose."""
        return derive_seed(self.run_seed, purpose)

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Keep training metrics."""
        self.logged.append((step, dict(metrics)))

    def progress(self, done: int, total: int) -> None:
        """Keep how far the run is."""
        self.steps_seen.append((done, total))

    def save_checkpoint(self, step: int, write: Callable[[Path], None]) -> None:
        """Write aside, then publish by a rename."""
        aside = self._folder("aside") / str(step)
        aside.mkdir()
        write(aside)
        aside.rename(self._folder("checkpoints") / f"{step:012}")
        self.checkpoints += 1

    def latest_checkpoint(self) -> tuple[int, Path] | None:
        """Newest checkpoint in the folder, whoever wrote it."""
        checkpoints = sorted((self.base / "checkpoints").glob("*"))
        return (int(checkpoints[-1].name), checkpoints[-1]) if checkpoints else None

    def check_cancelled(self) -> None:
        """Raise once enough checkpoints were written."""
        if self.stop_after is not None and self.checkpoints >= self.stop_after:
            raise RunCancelled("the conformance test stops this run")


def _digits(result: RunResult) -> dict[str, str]:
    """Responses to the last digit; an undeclared one may be NaN, which equals itself here."""
    return {name: repr(float(value)) for name, value in result.responses.items()}


class TrainableConformance:
    """Subclass it in a test module, name the trainable, and pytest does the rest.

    Attributes:
        trainable: The trainable; wrap a function in ``staticmethod``.
        settings: Settings of a short run, levels bound in.
        levels: Levels of that run.
        responses: Responses that a study would declare.
        deterministic: Whether equal requests must give equal responses to the last digit, as on a CPU. If not, say
            why in the subclass; the check is then left out.
    """

    trainable: ClassVar[Any]
    settings: ClassVar[Mapping[str, Any]] = {}
    levels: ClassVar[Mapping[str, Level]] = {}
    responses: ClassVar[tuple[str, ...]]
    deterministic: ClassVar[bool] = True

    def request(self, seed: int = 11) -> RunRequest:
        """The work order of the short run."""
        return RunRequest(
            study="conformance",
            sweep_id="conformance-0",
            run_id="c0-r1",
            cell_id="c0",
            replicate=1,
            levels=dict(self.levels),
            settings=dict(self.settings),
            seed=seed,
            evaluation_seed=5,
            responses=tuple(self.responses),
            trainable=f"{type(self).__module__}:{type(self).__qualname__}.trainable",
        )

    def load(self) -> Trainable:
        """The trainable under test."""
        trainable: Trainable = type(self).trainable
        return trainable

    def run(self, context: RecordingContext) -> RunResult:
        """One short run, in the main thread and with its result held to the contract, as in a sweep.

        Raises:
            AssertionError: The result is none, by the words that the run would fail with; or these checks do not run
                in the main thread.
        """
        returned = self._call(replace(self.request(), seed=context.run_seed), context)
        try:
            return valid_result(returned, self.responses)
        except (MaineffectError, RunDiverged) as error:
            raise AssertionError(str(error)) from error

    def _call(self, request: RunRequest, context: RecordingContext) -> object:
        assert threading.current_thread() is threading.main_thread(), (
            "a sweep runs a trainable in the main thread of its process, where it may handle signals: run these "
            "checks there too"
        )
        return self.load()(request, context)

    def test_settings_and_responses_are_declared(self) -> None:
        """What ``maineffect check`` would refuse before anything runs. A model or list that is absent says nothing."""
        trainable = self.load()
        model = getattr(trainable, "settings_model", None)
        if model is not None:
            schema: Any = model if inspect.isclass(model) else model()
            schema.model_validate(dict(self.settings))
        names = getattr(trainable, "response_names", None)
        if names is not None:
            declared = set(names() if callable(names) else names)
            unknown = [name for name in self.responses if name not in declared]
            assert not unknown, f"response_names lacks {unknown}; it has {sorted(declared)}"

    def test_returns_every_declared_response_as_a_finite_number(self) -> None:
        """A missing or non-finite response makes a run fail."""
        with TemporaryDirectory() as folder:
            result = self.run(RecordingContext(Path(folder), 11))
        keys = {tuple(item) for item in result.items}
        assert len(keys) <= 1, f"items differ in their keys, so they make no table: {sorted(keys)[:2]}"

    def test_everything_it_returns_and_logs_can_be_written(self) -> None:
        """Written as a run writes it. What a run's log would say is left out, or kept as JSON, fails here."""
        said = io.StringIO()
        with TemporaryDirectory() as folder, contextlib.redirect_stderr(said):
            context = RecordingContext(Path(folder), 11)
            result = self.run(context)
            spool = Spool(context.base / "spool.jsonl")
            for step, metrics in context.logged:
                spool.log(step, metrics)
            spool.close()
            write_result(context.run_dir, {}, result, 0.0, context.base / "spool.jsonl")
        told = [line.removeprefix(SAID) for line in said.getvalue().splitlines() if line.startswith(SAID)]
        assert not told, "; ".join(told)

    def test_request_and_result_travel_between_processes(self) -> None:
        """Both are pickled on their way to a worker and back; the request must come through unchanged."""
        request = self.request()
        before = pickle.dumps(request)
        with TemporaryDirectory() as folder:
            returned = self._call(request, RecordingContext(Path(folder), request.seed))
        assert pickle.loads(pickle.dumps(returned)) is not None
        assert pickle.loads(before) == request, "the trainable changed its request"

    def test_equal_seeds_give_equal_responses(self) -> None:
        """Randomness comes from the run's seed alone: not from global state, the clock, or an earlier run."""
        if not self.deterministic:
            raise SkipTest("the trainable is declared not deterministic")
        with TemporaryDirectory() as first, TemporaryDirectory() as second:
            first_responses = self.run(RecordingContext(Path(first), 11))
            second_responses = self.run(RecordingContext(Path(second), 11))
        assert _digits(first_responses) == _digits(second_responses), "the same seed gave other responses"

    def test_logs_numbers_at_rising_steps(self) -> None:
        """Curves are drawn over the step; where the step of a metric falls back, its curve would overwrite itself."""
        with TemporaryDirectory() as folder:
            context = RecordingContext(Path(folder), 11)
            self.run(context)
        for name in dict.fromkeys(name for _, metrics in context.logged for name in metrics):
            steps = [step for step, metrics in context.logged if name in metrics]
            assert steps == sorted(steps), f"steps of {name} fall back: {steps}"
        for step, metrics in context.logged:
            wrong = {name: value for name, value in metrics.items() if isinstance(value, str | bytes | type(None))}
            assert not wrong, f"step {step}: not numbers: {wrong}"
        assert all(0 <= done <= total for done, total in context.steps_seen), context.steps_seen

    def test_a_resumed_run_ends_as_an_uninterrupted_one(self) -> None:
        """Stop after the first checkpoint, start again from it. Skipped for a trainable without checkpoints."""
        if not self.deterministic:
            raise SkipTest("the trainable is declared not deterministic")
        with TemporaryDirectory() as whole, TemporaryDirectory() as parted:
            uninterrupted = RecordingContext(Path(whole), 11)
            expected = self.run(uninterrupted)
            if not uninterrupted.checkpoints:
                raise SkipTest("the trainable wrote no checkpoint with these settings")
            stopped = self._stopped(RecordingContext(Path(parted), 11, stop_after=1))
            resumed = RecordingContext(Path(parted), 11)
            start = resumed.latest_checkpoint()
            result = self.run(resumed)
        if uninterrupted.checkpoints > 1:
            assert stopped, "the run went on after it was cancelled: call context.check_cancelled() once a step"
        assert start is not None
        repeated = [step for step, _ in resumed.logged if step < start[0]]
        assert not repeated, f"steps {repeated} before the checkpoint of step {start[0]} were trained again"
        assert _digits(result) == _digits(expected), "the resumed run ended elsewhere"

    def _stopped(self, context: RecordingContext) -> bool:
        try:
            self.run(context)
        except RunCancelled:
            return True
        return False
