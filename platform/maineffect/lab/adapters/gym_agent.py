"""A trainable for any Gymnasium environment: ``maineffect.lab.adapters.gym_agent:train_gym_agent``.

The environment's keyword arguments are settings, so they can be factors::

    trainable: maineffect.lab.adapters.gym_agent:train_gym_agent
    factors:
      slippery: {levels: [false, true], binds: environment.args.is_slippery}
    settings:
      environment: {entry: FrozenLake-v1}

A file beside the study may hold the factory: ``entry: my_env:make``.
"""

from __future__ import annotations

from pathlib import Path
from statistics import fmean, pstdev
from typing import TYPE_CHECKING, Any

from maineffect.contracts import RunContext, RunRequest, RunResult
from maineffect.lab.adapters.gym_settings import GymSettings
from maineffect.seeds import derive_seed

if TYPE_CHECKING:
    import torch

    from maineffect.lab.adapters.encoding import FlatEnv
    from maineffect.lab.adapters.ppo import ActorCritic, Batch

__all__ = ["RESPONSES", "train_gym_agent"]

RESPONSES = ("return_mean", "return_gain", "return_spread", "return_own", "length_mean")
"""return_mean: mean return of the evaluation episodes; return_gain: that minus the untrained policy's; return_spread:
their standard deviation; return_own: mean return in the run's own environment; length_mean: steps per episode."""
_STATE = "state.pt"


def train_gym_agent(request: RunRequest, context: RunContext) -> RunResult:
    """Train one policy by PPO in one environment with one seed.

    Settings are :class:`GymSettings`; responses are :data:`RESPONSES`. Every batch starts from fresh resets seeded by
    (seed, step), so a resumed run equals an uninterrupted one on a CPU without any environment's state in a checkpoint;
    an environment that does not obey ``reset(seed=...)`` breaks that, and the conformance tests tell.

    Raises:
        PluginError: The environment cannot be made or has spaces of another kind.
        RunDiverged: A reward, observation or loss is not finite.
        RunCancelled: The sweep was cancelled.
    """
    import torch

    from maineffect.lab.adapters.encoding import make_flat
    from maineffect.lab.adapters.ppo import ActorCritic

    torch.set_num_threads(1)
    settings = GymSettings.model_validate(dict(request.settings))
    environment, elsewhere = settings.environment, settings.evaluation.args
    envs = [make_flat(environment, environment.args) for _ in range(settings.train.episodes)]
    other = None if elsewhere is None else [make_flat(environment, {**environment.args, **elsewhere}) for _ in envs]
    try:
        model = ActorCritic(envs[0].features, envs[0].actions, settings.policy, context.seed("init"))
        tested = envs if other is None else other
        before = _evaluate(model, tested, settings, request.evaluation_seed)
        _train(model, envs, settings, context)
        after = _evaluate(model, tested, settings, request.evaluation_seed)
        train_env_batch = after if other is None else _evaluate(model, envs, settings, request.evaluation_seed)
    finally:
        for env in [*envs, *(other or [])]:
            env.close()
    return _result(before, after, train_env_batch)


def _result(before: Batch, after: Batch, train_env_batch: Batch) -> RunResult:
    mean = fmean(after.returns)
    numbers = (
        mean,
        mean - fmean(before.returns),
        pstdev(after.returns),
        fmean(train_env_batch.returns),
        fmean(after.lengths),
    )
    items: list[dict[str, Any]] = [
        {"episode": i, "return": gained, "length": length}
        for i, (gained, length) in enumerate(zip(after.returns, after.lengths, strict=True))
    ]
    measures = {"return_untrained": fmean(before.returns)}
    return RunResult(dict(zip(RESPONSES, numbers, strict=True)), measures, items)


train_gym_agent.settings_model = GymSettings  # type: ignore[attr-defined]
train_gym_agent.response_names = RESPONSES  # type: ignore[attr-defined]


def _seeds(parent: int, purpose: str | int, count: int) -> list[int]:
    # Some environments seed generators that take 32 bits only.
    return [derive_seed(parent, purpose, i) % (1 << 31) for i in range(count)]


def _evaluate(model: ActorCritic, envs: list[FlatEnv], settings: GymSettings, seed: int) -> Batch:
    import torch

    from maineffect.lab.adapters.ppo import play

    plan = settings.evaluation
    noise = None if plan.greedy else torch.Generator().manual_seed(derive_seed(seed, "sampling"))
    return play(model, envs, _seeds(seed, "episodes", plan.episodes), noise)


def _train(model: ActorCritic, envs: list[FlatEnv], settings: GymSettings, context: RunContext) -> None:
    import torch

    from maineffect.lab.adapters.ppo import play, update

    plan = settings.train
    optimizer = torch.optim.Adam(model.parameters(), lr=plan.learning_rate, eps=1e-5)
    for step in range(_resume(model, optimizer, context), plan.steps):
        context.check_cancelled()
        noise = torch.Generator().manual_seed(derive_seed(context.seed("sampling"), step))
        batch = play(model, envs, _seeds(context.seed("world"), step, plan.episodes), noise)
        metrics = update(model, optimizer, batch, plan, noise)
        played = {"return": fmean(batch.returns), "length": fmean(batch.lengths), "env_steps": sum(batch.lengths)}
        context.log(step, {**played, **metrics})
        context.progress(step + 1, plan.steps)
        if (step + 1) % plan.checkpoint_every == 0 and step + 1 < plan.steps:
            _save(model, optimizer, step + 1, context)


def _save(model: ActorCritic, optimizer: torch.optim.Optimizer, step: int, context: RunContext) -> None:
    import torch

    def write(folder: Path) -> None:
        torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, folder / _STATE)

    context.save_checkpoint(step, write)


def _resume(model: ActorCritic, optimizer: torch.optim.Optimizer, context: RunContext) -> int:
    import torch

    latest = context.latest_checkpoint()
    if latest is None:
        return 0
    step, folder = latest
    state = torch.load(folder / _STATE, weights_only=True)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return step
