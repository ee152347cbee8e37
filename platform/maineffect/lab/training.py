"""One training of a search agent: warm start, GRPO in the run's own world, evaluation on the frozen items."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maineffect.contracts import RunContext, RunRequest, RunResult
from maineffect.lab.machine import require_here
from maineffect.lab.settings import LabSettings
from maineffect.lab.start import start_seed

if TYPE_CHECKING:
    from maineffect.lab.examine.regimes import RegimeScores
    from maineffect.lab.questions.contract import Source
    from maineffect.lab.sampling.player import ModelPlayer
    from maineffect.lab.sampling.sampler import Policy, Sampler

__all__ = ["make_warm_start", "train_in", "trained_policy"]


def train_in(folder: Path | None, request: RunRequest, context: RunContext) -> RunResult:
    """Train one search agent with one seed: the tiny policy, or a language model where ``policy.model`` names one.

    Args:
        folder: The study's, where ``world.corpus`` is looked for; None stands for the current one.
        request: Settings are :class:`maineffect.lab.settings.LabSettings`.
        context: Of the run.

    Where the time went is written to standard error at the end, and is among a language model's measures.
    """
    from maineffect.lab.examine.regimes import regime_gains
    from maineffect.lab.questions.source import open_source
    from maineffect.lab.sampling.player import ModelPlayer
    from maineffect.lab.sampling.sampler import open_sampler
    from maineffect.lab.train.loop import train
    from maineffect.lab.train.phases import Phases
    from maineffect.lab.train.throughput import throughput_lines
    from maineffect.lab.train.warmstart import warm_start

    settings = LabSettings.model_validate(dict(request.settings))
    require_here(settings)
    source = open_source(settings, folder, request.evaluation_seed)
    _one_thread(settings)
    _tell_precision(settings)
    phases = Phases()
    with phases.timed("warm_start"):
        seed = start_seed(settings, request.base_seed, context.seed("init"))
        model = warm_start(settings, seed, context.cache_dir, source, context)
    with phases.timed("sampler_start"):
        sampler = open_sampler(model, context)
    try:
        with phases.timed("evaluation"):
            before = _regimes(sampler, settings, context.seed("held out"), source)
        train(model, settings, context, sampler, phases, source)
        with phases.timed("sync"):
            sampler.sync(model, settings.train.steps)
        with phases.timed("evaluation"):
            after = _regimes(sampler, settings, context.seed("held out"), source)
            player = ModelPlayer(sampler)
            exam = source.examine(settings, request.evaluation_seed, player)
    finally:
        sampler.close()
    numbers = {**exam.responses, **regime_gains(before, after)}
    measures = {"reward_warm_start": before.reward, "battery": float(int(exam.digest[:8], 16)), **exam.measures}
    throughput = phases.measures(on_gpu=settings.policy.model is not None and settings.policy.device == "cuda")
    if settings.policy.model is not None:
        measures |= throughput
    # Kept by whoever runs this, and shown by `maineffect logs`.
    sys.stderr.write("".join(f"{line}\n" for line in throughput_lines(throughput)))
    lines = _transcripts(exam.rows, player, settings.evaluation.transcripts)
    texts = {"transcripts.jsonl": "\n".join(json.dumps(line, ensure_ascii=False) for line in lines) + "\n"}
    return RunResult(numbers, measures, exam.rows, {**texts, **exam.texts})


def make_warm_start(folder: Path | None, request: RunRequest, context: RunContext) -> None:
    """Make the clone that runs start from, as a run of its own: ``request.seed`` is the clone's seed.

    Args:
        folder: The study's; None stands for the current one.
        request: Its settings are those of one of the runs.
        context: Of this run.
    """
    from maineffect.lab.questions.source import open_source
    from maineffect.lab.train.warmstart import warm_start

    settings = LabSettings.model_validate(dict(request.settings))
    require_here(settings)
    source = open_source(settings, folder, request.evaluation_seed)
    _one_thread(settings)
    _tell_precision(settings)
    warm_start(settings, request.seed, context.cache_dir, source, context, alone=True)


def trained_policy(settings: LabSettings, context: RunContext, base_seed: int | None = None) -> Policy:
    """Warm start and training alone: the policy that a run with these settings and these seeds ends with."""
    from maineffect.lab.train.loop import train
    from maineffect.lab.train.warmstart import warm_start

    _one_thread(settings)
    model = warm_start(settings, start_seed(settings, base_seed, context.seed("init")), context.cache_dir)
    return train(model, settings, context)


def _tell_precision(settings: LabSettings) -> None:
    """Say in which precision a language model computes where the machine decides, and what is slow on it."""
    policy = settings.policy
    if policy.model is not None and policy.dtype == "auto":
        sys.stderr.write(f"policy.dtype auto is {policy.precision_name} on this machine\n")
    if policy.slow_here:
        sys.stderr.write(f"{policy.slow_here}\n")


def _one_thread(settings: LabSettings) -> None:
    """As many runs as cores, one thread each, and on a processor deterministic kernels.

    On a GPU deterministic kernels are slower, fill every new tensor, those of vLLM in the process too, and still do not
    make two runs equal: there is nothing to gain.
    """
    import torch

    torch.set_num_threads(1)
    # use_deterministic_algorithms says the same, and imports the compiler to tell it so: a second and more of each run.
    torch.set_deterministic_debug_mode("error" if settings.policy.device == "cpu" else "default")


def _regimes(sampler: Sampler, settings: LabSettings, seed: int, source: Source) -> RegimeScores:
    """Scores in the run's own world and elsewhere, sampled as in training."""
    from maineffect.lab.examine.regimes import played_regimes
    from maineffect.seeds import derive_seed

    return played_regimes(sampler, settings, seed, derive_seed(seed, "sampling"), source)


def _transcripts(rows: Sequence[Mapping[str, Any]], player: ModelPlayer, per_probe: int) -> list[dict[str, Any]]:
    """The first pairs of every probe in full: what was asked, searched, read and answered, and its score."""
    pairs: dict[str, set[str]] = {}
    kept = []
    for i, row in enumerate(rows):
        chosen = pairs.setdefault(row["probe"], set())
        if row["pair_id"] not in chosen and len(chosen) >= per_probe:
            continue
        chosen.add(row["pair_id"])
        turns = [{"by": "policy" if written else "world", "text": text} for text, written in player.text(i)]
        unstated = row["confidence"] != row["confidence"]
        line = {**row, "confidence": None if unstated else row["confidence"]}
        kept.append({**line, "turns": turns, "reward": player.components[i]})
    return kept
