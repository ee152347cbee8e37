"""The built-in trainable: warm start, GRPO in the run's own world, evaluation on the frozen battery."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from maineffect.contracts import RunContext, RunRequest, RunResult
from maineffect.lab.settings import LabSettings

if TYPE_CHECKING:
    from maineffect.lab.policy.models import TinyTransformer

__all__ = ["train_search_agent"]


def train_search_agent(request: RunRequest, context: RunContext) -> RunResult:
    """Train one search agent with one seed.

    Settings are :class:`maineffect.lab.settings.LabSettings`. Responses are listed in
    :data:`maineffect.lab.evaluate.metrics.RESPONSES`; the same request gives the same numbers on a CPU.
    """
    import torch

    from maineffect.lab.train.loop import train
    from maineffect.lab.train.warmstart import warm_start

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    settings = LabSettings.model_validate(dict(request.settings))
    model = warm_start(settings, context.seed("init"), context.cache_dir)
    before = _regime_reward(model, settings, context.seed("held out"))
    train(model, settings, context)
    after = _regime_reward(model, settings, context.seed("held out"))
    rows, transcripts, digest = _evaluate(model, settings, request.evaluation_seed)
    from maineffect.lab.evaluate.metrics import responses

    numbers = {**responses(rows), "reward_trained": after, "reward_gain": after - before}
    measures = {"reward_warm_start": before, "battery": float(int(digest[:8], 16))}
    texts = {"transcripts.jsonl": "\n".join(json.dumps(line, ensure_ascii=False) for line in transcripts) + "\n"}
    return RunResult(numbers, measures, rows, texts)


def _response_names() -> tuple[str, ...]:
    from maineffect.lab.evaluate.metrics import RESPONSES

    return RESPONSES


train_search_agent.settings_model = LabSettings  # type: ignore[attr-defined]
train_search_agent.response_names = _response_names  # type: ignore[attr-defined]


def _regime_reward(model: TinyTransformer, settings: LabSettings, seed: int) -> float:
    """Mean reward on held-out episodes of the run's own regime, sampled as in training."""
    import torch

    from maineffect.lab.policy.torch_sampler import rollout
    from maineffect.lab.world.episode import Episodes
    from maineffect.seeds import derive_seed

    episodes = Episodes(settings, derive_seed(seed, "world"))
    batch = [episodes.episode(i) for i in range(settings.evaluation.regime_episodes)]
    noise = torch.Generator().manual_seed(derive_seed(seed, "sampling"))
    return float(rollout(model, batch, noise).rewards_B.mean())


def _evaluate(
    model: TinyTransformer, settings: LabSettings, evaluation_seed: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], str]:
    """Item rows, a few transcripts per probe, and the battery's hash."""
    from maineffect.lab.evaluate.battery import build_battery
    from maineffect.lab.evaluate.metrics import item_row
    from maineffect.lab.policy.torch_sampler import rollout

    battery = build_battery(settings, evaluation_seed)
    episodes = [item.episode() for item in battery.items]
    played = rollout(model, episodes, None)
    rows, kept = [], []
    per_probe: dict[str, int] = {}
    for i, (item, episode) in enumerate(zip(battery.items, episodes, strict=True)):
        row = item_row(item, episode, int(played.lengths_B[i]))
        rows.append(row)
        per_probe[item.probe.name] = per_probe.get(item.probe.name, 0) + 1
        if per_probe[item.probe.name] <= settings.evaluation.transcripts:
            turns = [{"by": "policy" if written else "world", "text": text} for text, written in played.text(i)]
            kept.append(
                {
                    **row,
                    "confidence": None if row["confidence"] != row["confidence"] else row["confidence"],
                    "turns": turns,
                    "reward": played.components[i],
                }
            )
    return rows, kept, battery.digest
