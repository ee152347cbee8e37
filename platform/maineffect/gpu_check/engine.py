"""Checks 3, 4 and 9: the engine has the trainer's weights after every sync, and what becomes of a GPU's memory."""

from __future__ import annotations

from typing import Any

import torch

from maineffect.contracts import FailureClass
from maineffect.execute.attempt.outcome import classify
from maineffect.gpu_check.bench import Bench, gradient
from maineffect.gpu_check.device import free_mib
from maineffect.gpu_check.game import Game
from maineffect.gpu_check.outcome import Judged, Outcome
from maineffect.lab.policy.causal import CausalPolicy
from maineffect.lab.policy.reading import read_batch
from maineffect.lab.sampling.vllm_sampler import VllmSampler
from maineffect.lab.train.adam import Adam
from maineffect.lab.train.grpo import update

__all__ = ["gap", "log_probabilities", "sleep_and_wake", "want_of_memory"]

_GAP = {"float32": 1e-3, "bfloat16": 0.05}
_TURNS, _MIB = 5, 200.0


def log_probabilities(bench: Bench) -> Outcome:
    """Mean |Δ log-probability| of trainer and engine, before and after syncs by memory and disk, whole and LoRA."""
    judged = Judged()
    policy = bench.load(sampler="vllm")
    sampler = VllmSampler(policy)
    allowed = _GAP[policy.settings.precision_name]
    try:
        judged.numbers["start"] = gap(bench, sampler, policy)
        judged.hold(judged.numbers["start"] < allowed, f"they differ by more than {allowed:g} before any sync")
        routes: tuple[tuple[str, dict[str, Any]], ...] = (
            ("memory", {}),
            ("disk", {"weight_sync": "disk"}),
            ("lora", {"lora_rank": 8}),
        )
        for seed, (name, changes) in enumerate(routes):
            own = bench.load(sampler="vllm", **changes)
            _shake(own, seed)
            stale = gap(bench, sampler, own)
            sampler.sync(own, sampler.version + 1)
            after = gap(bench, sampler, own)
            judged.numbers |= {f"{name}_stale": stale, f"{name}": after}
            judged.hold(stale > 2 * after, f"changed weights are not seen before the sync by {name}: nothing is shown")
            judged.hold(after < allowed, f"after the sync by {name} they differ by {after:.3g}, allowed is {allowed:g}")
    finally:
        sampler.close()
    judged.note("an engine in a process of its own: check 13")
    return judged.outcome()


def gap(bench: Bench, sampler: VllmSampler, policy: CausalPolicy) -> float:
    """Mean |Δ log-probability| between an engine and one plain forward pass, over what the engine wrote."""
    games = Game().games(bench.settings(), 9, 2, 4)
    out = sampler.play(games, torch.Generator().manual_seed(0))
    with torch.no_grad():
        reading = read_batch(policy, "padded", out.tokens_BT, out.lengths_B, out.written_BT)
        logp_S = reading.written(policy).logp_S.cpu()
    return float((logp_S - out.logp_BT[out.written_BT]).abs().mean())


def _shake(policy: CausalPolicy, seed: int) -> None:
    """Move every trained weight, the embeddings too."""
    noise = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in policy.parameters():
            if value.requires_grad:
                scale = max(0.2 * float(value.std()), 0.02) if value.dim() > 1 else 0.02
                value.add_(torch.randn(value.shape, generator=noise).to(value.device), alpha=scale)


def sleep_and_wake(bench: Bench) -> Outcome:
    """Five times sleep, an update of 16,000 tokens, wake with a sync, rollouts: memory and numbers as before."""
    judged = Judged()
    policy = bench.load(sampler="vllm", sampler_memory=0.3)
    sampler: Any = VllmSampler(policy)
    optimizer = Adam([value for value in policy.parameters() if value.requires_grad], 1e-6)
    plan = bench.settings().train.model_copy(update={"group_size": 8})
    allowed, free, gaps = _GAP[policy.settings.precision_name], [], []
    try:
        for turn in range(_TURNS + 1):
            sampler.sleep()
            asleep = free_mib(bench.device)
            update(policy, None, optimizer, bench.rollouts(policy, bench.tokens(16_000, 2000), seed=turn), plan)
            sampler.sync(policy, sampler.version + 1)
            gaps.append(gap(bench, sampler, policy))
            free.append(free_mib(bench.device))
    finally:
        sampler.close()
    # The first turn brings the optimiser's and the engine's buffers, so that it is what the others are held to.
    judged.numbers |= {"free_mib": free[0], "free_mib_after": free[-1], "worst_gap": max(gaps)}
    judged.hold(
        abs(free[-1] - free[0]) <= _MIB, f"free memory moved by {free[-1] - free[0]:+,.0f} MiB in {_TURNS} turns"
    )
    judged.hold(max(gaps) < allowed, f"after waking they differ by {max(gaps):.3g}, allowed is {allowed:g}")
    if bench.large:
        judged.numbers["freed_by_sleep_mib"] = asleep - free[-1]
        judged.hold(asleep - free[-1] > 1000, f"sleep freed {asleep - free[-1]:,.0f} MiB only")
    else:
        judged.note(
            "an engine on a processor does not sleep: only updates and syncs were done, memory is this process's"
        )
    return judged.outcome()


def want_of_memory(bench: Bench) -> Outcome:
    """A batch that does not fit is ``oom-gpu``; an engine that finds too little memory is ``lost``, and tried again."""
    judged = Judged()
    if not bench.large:
        judged.note("no GPU whose memory could be wanted")
        return judged.outcome()
    policy = bench.load(batching="padded")
    judged.numbers["oom_gpu"] = float(_too_large(bench, policy) is FailureClass.OOM_GPU)
    judged.hold(judged.numbers["oom_gpu"] == 1, "a batch that does not fit is not oom-gpu")
    judged.numbers["still_computes"] = float(bool(gradient(policy, "padded", bench.rollouts(policy, 1000))[1]))
    found = _crowded(bench)
    judged.numbers["engine_lost"] = float(found is FailureClass.LOST)
    judged.hold(
        found is not None and found.transient, f"an engine that found too little memory is {found}: not tried again"
    )
    return judged.outcome()


def _too_large(bench: Bench, policy: CausalPolicy) -> FailureClass | None:
    """What a forward and backward pass of more and more tokens at once ends as."""
    read, left = bench.rollouts(policy, bench.tokens(16_000, 2000)), torch.cuda.mem_get_info()[0]
    ballast = torch.empty(int(left * 0.97), dtype=torch.uint8, device="cuda")
    try:
        gradient(policy, "padded", read)
    except Exception as error:
        return classify(error)
    finally:
        del ballast
        torch.cuda.empty_cache()
    return None


def _crowded(bench: Bench) -> FailureClass | None:
    """What an engine ends as that finds a neighbour in its memory."""
    policy = bench.load(sampler="vllm", sampler_memory=0.5)
    neighbour = torch.empty(int(torch.cuda.mem_get_info()[0] * 0.9), dtype=torch.uint8, device="cuda")
    try:
        VllmSampler(policy).close()
    except Exception as error:
        return classify(error)
    finally:
        del neighbour
        torch.cuda.empty_cache()
    return None
