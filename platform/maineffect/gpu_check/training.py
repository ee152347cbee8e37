"""Checks 7, 10, 11 and 14: GRPO's speed, how far two runs end apart, checkpoints, and the device's peak."""

from __future__ import annotations

import time
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from maineffect.conformance import RecordingContext
from maineffect.contracts import RunCancelled
from maineffect.gpu_check.bench import Bench
from maineffect.gpu_check.device import cosine, product_rate
from maineffect.gpu_check.game import Game
from maineffect.gpu_check.outcome import Judged, Outcome
from maineffect.lab.sampling.sampler import open_sampler, trained_weights
from maineffect.lab.sampling.staleness import LaggingPolicy
from maineffect.lab.train.adam import Adam
from maineffect.lab.train.checkpoint import TrainingState
from maineffect.lab.train.diagnostics import CollapseDetector
from maineffect.lab.train.grpo import update
from maineffect.lab.train.loop import train
from maineffect.lab.train.phases import Phases
from maineffect.lab.train.throughput import device_peak

__all__ = ["checkpoint", "known_peak", "speed", "two_runs"]

_GAP = {"float32": 1e-3, "bfloat16": 0.05}
_SECONDS_ON_GPU, _SECONDS = 40.0, 10.0


@dataclass
class _Timed(RecordingContext):
    """Stops a training after a while, at the end of a step."""

    until: float = 0.0

    def check_cancelled(self) -> None:
        """Raise once the time is over."""
        if self.logged and time.monotonic() > self.until:
            raise RunCancelled("its time is over")


def speed(bench: Bench) -> Outcome:
    """Some seconds of GRPO: tokens/s of rollouts and updates, model-FLOPs utilisation, share of the weight sync."""
    judged = Judged()
    engine = "vllm" if find_spec("vllm") is not None else "torch"
    steps = {"steps": 10_000, "learning_rate": 1e-6}
    settings = bench.settings(policy={"sampler": engine}, train={**bench.settings().train.model_dump(), **steps})
    policy, phases = bench.load(settings), Phases()
    started = time.monotonic()
    sampler = open_sampler(policy)
    judged.numbers["engine_start_s"] = time.monotonic() - started
    seconds = _SECONDS_ON_GPU if bench.large else _SECONDS
    context = _Timed(bench.folder / "speed", 7, until=time.monotonic() + seconds)
    try:
        train(policy, settings, context, sampler, phases, Game())
    except RunCancelled:
        pass
    finally:
        sampler.close()
    numbers = phases.report()
    judged.numbers["steps"] = float(len(context.logged))
    judged.hold(len(context.logged) > 1, f"{len(context.logged)} step(s) in {seconds:g} s")
    for name in ("tokens_per_second.rollout", "tokens_per_second.train", "time_share.sync", "mfu.train", "mfu"):
        if name in numbers:
            judged.numbers[name] = numbers[name]
    for name in ("tokens_per_second.rollout", "tokens_per_second.train"):
        judged.hold(numbers.get(name, 0.0) > 0, f"{name} was not measured")
    judged.hold(0 <= numbers.get("mfu.train", 0.0) < 1, "more operations than the device's peak: its figure is wrong")
    if "mfu" not in numbers:
        judged.note("no utilisation: the device's peak is not known")
    gaps = [metrics["mismatch_mean"] for _, metrics in context.logged if "mismatch_mean" in metrics]
    judged.numbers["mismatch"] = max(gaps, default=float("nan"))
    allowed = _GAP[settings.policy.precision_name]
    judged.hold(max(gaps, default=1.0) < allowed, f"trainer and sampler differ by more than {allowed:g} on average")
    judged.note(f"sampled with {engine}")
    _beside(bench, judged)
    return judged.outcome()


def _beside(bench: Bench, judged: Judged) -> None:
    """The same with TRL, where it is installed."""
    if find_spec("trl") is None:
        judged.note("beside TRL: trl not installed")
        return
    from maineffect.gpu_check.trl_beside import trl_speed

    judged.numbers |= trl_speed(bench)


def two_runs(bench: Bench) -> Outcome:
    """Three updates from the very same rollouts, twice: the way from the first weights, and how far apart it ends."""
    ways: list[dict[str, Tensor]] = []
    for _ in range(2):
        settings = bench.settings(policy={"batching": "padded"})
        policy = bench.load(settings)
        first = {name: value.clone() for name, value in trained_weights(policy).items()}
        learned = [value for value in policy.parameters() if value.requires_grad]
        optimizer = Adam(learned, settings.train.learning_rate)
        plan = settings.train.model_copy(update={"group_size": 8, "kl": 0.0})
        for step in range(3):
            update(policy, None, optimizer, bench.rollouts(policy, bench.tokens(6000, 2000), seed=step), plan)
        ways.append({name: value - first[name] for name, value in trained_weights(policy).items()})
    judged = Judged()
    far = max(float((one - two).abs().max()) for one, two in zip(*(way.values() for way in ways), strict=True))
    gone = max(float(value.abs().max()) for value in ways[0].values())
    alike = cosine(*ways)
    judged.numbers |= {"largest_change": gone, "largest_difference": far, "cosine": alike}
    judged.hold(gone > 0, "three updates changed nothing")
    judged.hold(alike > (0.99 if bench.large else 1 - 1e-9), f"two runs went ways with a cosine of {alike:.5f}")
    if not bench.large:
        judged.hold(far == 0.0, f"two runs on a processor differ by up to {far:.3g}")
    return judged.outcome()


def checkpoint(bench: Bench) -> Outcome:
    """A checkpoint of weights and optimiser: MiB, seconds to write and read, and the same numbers again."""
    judged, settings = Judged(), bench.settings()
    context = RecordingContext(bench.folder / "checkpoint", 7)
    policy = bench.load(settings)
    state = _state(policy, settings.train.learning_rate)
    update(policy, None, state.optimizer, bench.rollouts(policy, 2000), settings.train, "padded")
    started = time.monotonic()
    state.save(1, context)
    judged.numbers["write_s"] = time.monotonic() - started
    weights = sum(value.numel() * value.element_size() for value in trained_weights(policy).values())
    size = sum(path.stat().st_size for path in (context.base / "checkpoints").rglob("*.pt"))
    judged.numbers |= {"mib": size / 2**20, "of_trained_weights": size / weights}
    judged.hold(
        2.9 < size / weights < 3.2, f"a checkpoint is {size / weights:.2f} times the weights: 3 with Adam's two"
    )
    again = bench.load(settings)
    restored = _state(again, settings.train.learning_rate)
    started = time.monotonic()
    judged.hold(restored.resume(context) == 1, "the step was not read")
    judged.numbers["read_s"] = time.monotonic() - started
    kept, read = (_all(one, optimizer) for one, optimizer in ((policy, state.optimizer), (again, restored.optimizer)))
    same = all(torch.equal(one, other) for one, other in zip(kept, read, strict=True))
    judged.hold(same, "what was read is not what was written")
    return judged.outcome()


def _state(policy: Any, rate: float) -> TrainingState:
    learned = [value for value in policy.parameters() if value.requires_grad]
    return TrainingState(policy, Adam(learned, rate), LaggingPolicy(policy, 0), CollapseDetector(8))


def _all(policy: Any, optimizer: Adam) -> list[Tensor]:
    kept = optimizer.state_dict()
    return [*trained_weights(policy).values(), *kept["first"], *kept["second"]]


def known_peak(bench: Bench) -> Outcome:
    """The peak by the device's name, and the products per second that it makes: between a third and the whole of it."""
    judged, settings = Judged(), bench.settings().policy
    dtype = getattr(torch, settings.precision_name)
    rate = product_rate(bench.device, dtype, 8192 if bench.large else 512)
    judged.numbers["products_tflops"] = rate / 1e12
    if not bench.large:
        judged.note("no peak of processors is known by name: policy.peak_tflops states it")
        return judged.outcome()
    name, peak = torch.cuda.get_device_name(), device_peak(settings)
    judged.note(name)
    judged.hold(peak is not None, f"the peak of {name} is not known: state policy.peak_tflops")
    if peak is not None:
        judged.numbers |= {"peak_tflops": peak / 1e12, "products_of_peak": rate / peak}
        judged.hold(1 / 3 < rate / peak < 1.05, f"products reach {rate / peak:.0%} of the peak that the name tells")
    return judged.outcome()
