"""A step's rollouts: played when they are asked for, or one step ahead in a thread while the trainer updates."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType

import torch

from maineffect.lab.sampling.sampler import Sampler
from maineffect.lab.sampling.staleness import LaggingPolicy
from maineffect.lab.sampling.transcripts import Transcripts
from maineffect.lab.train.phases import Phases
from maineffect.lab.world.turns import TextEpisode

__all__ = ["Rollout", "Rollouts"]

Draw = Callable[[int], tuple[Sequence[TextEpisode], torch.Generator]]


@dataclass(frozen=True)
class Rollout:
    """What was played for a step.

    Attributes:
        version: Updates that the sampler's weights had seen.
        seconds: Wall time of the playing alone.
    """

    episodes: Sequence[TextEpisode]
    transcripts: Transcripts
    version: int
    seconds: float


class Rollouts:
    """Plays the rollouts of one step after another; a context manager that waits for what is under way.

    Ahead of time, the rollouts of step k + 1 are played while the trainer makes update k + 1, with the weights that
    were due for step k + 1 in any case: those of ``staleness`` ≥ 1 updates ago, which exist before that update. Neither
    questions, noise nor weights depend on which of the two ends first, so every number is the one that waiting would
    have given. At staleness 0 the weights that are due do not exist yet, so nothing is ever played ahead.

    Args:
        sampler: Plays.
        lagging: The weights that are due.
        draw: Step → its fresh episodes and its sampling noise; a function of the step alone.
        ahead: Whether to play ahead. A sampler that shares the trainer's GPU then stays awake.
    """

    def __init__(self, sampler: Sampler, lagging: LaggingPolicy, draw: Draw, *, ahead: bool) -> None:
        self._sampler, self._lagging, self._draw = sampler, lagging, draw
        self._threads: ThreadPoolExecutor | None = None
        if ahead and lagging.staleness:
            threads = torch.get_num_threads()
            # torch keeps its number of threads per thread, and sums in another order with another number.
            self._threads = ThreadPoolExecutor(1, "rollouts", initializer=lambda: torch.set_num_threads(threads))
        self._under_way: Future[Rollout] | None = None

    def __enter__(self) -> Rollouts:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._threads is not None:
            self._threads.shutdown(wait=True, cancel_futures=True)

    def take(self, step: int, timer: Phases) -> Rollout:
        """The rollouts of a step, from now on or from the thread that has begun them.

        Args:
            timer: The step's stopwatch: ``rollout`` is time that the trainer spent on them, or time beside it; ``wait``
                what was left to wait for.
        """
        if self._under_way is None:
            with timer.timed("sync"):
                self._sampler.sync(self._lagging.policy(), step - self._lagging.lag)
            done = self._play(step)
            timer.seconds["rollout"] += done.seconds
        else:
            with timer.timed("wait"):
                done = self._under_way.result()
            timer.beside["rollout"] += done.seconds
            self._under_way = None
        timer.tokens["rollout"] = int(done.transcripts.written_BT.sum())
        if self._threads is None:
            self._sampler.sleep()
        return done

    def begin(self, step: int, timer: Phases) -> None:
        """Start the rollouts of the step after the one that was taken, if they are played ahead."""
        if self._threads is None:
            return
        with timer.timed("sync"):
            policy, lag = self._lagging.ahead()
            self._sampler.sync(policy, step - lag)
        self._under_way = self._threads.submit(self._play, step)

    def _play(self, step: int) -> Rollout:
        episodes, noise = self._draw(step)
        started = time.perf_counter()
        transcripts = self._sampler.play(episodes, noise)
        return Rollout(episodes, transcripts, self._sampler.version, time.perf_counter() - started)
