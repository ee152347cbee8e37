"""What the checks' sweeps run: a look at the device, and trainings in which something is killed."""

from __future__ import annotations

import json
import os
import resource
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from maineffect.contracts import Companion, CompanionHost, RunContext, RunRequest, RunResult
from maineffect.gpu_check.game import Game
from maineffect.lab.settings import LabSettings

__all__ = ["look", "train_until_killed"]


class LookSettings(BaseModel):
    """Settings of :func:`look`."""

    model_config = ConfigDict(extra="forbid")
    folder: str = Field(description="Where runs write what they saw.")
    name: str = Field(default="one", description="Of the cell.")
    seconds: float = Field(default=4.0, ge=0, description="How long a run holds what it reserved.")


def look(request: RunRequest, context: RunContext) -> RunResult:
    """Write down which devices this process sees, and when."""
    import torch

    settings = LookSettings.model_validate(dict(request.settings))
    started, uuids = time.time(), []
    if torch.cuda.is_available():
        held = torch.zeros(1 << 20, device="cuda")
        uuids = [str(torch.cuda.get_device_properties(i).uuid) for i in range(torch.cuda.device_count())]
        del held
    time.sleep(settings.seconds)
    seen = {"uuids": uuids, "pid": os.getpid(), "started": started, "ended": time.time()}
    _write(Path(settings.folder) / f"{request.run_id}.json", seen)
    context.progress(1, 1)
    return RunResult({"devices": float(len(uuids))})


class KilledSettings(BaseModel):
    """Settings of :func:`train_until_killed`."""

    model_config = ConfigDict(extra="forbid")
    folder: str = Field(description="Where runs write what they saw.")
    kills: str = Field(default="nothing", pattern="^(nothing|run|engine)$", description="What is killed, once.")
    at: int = Field(default=3, ge=1, description="Steps that are done before.")
    lab: LabSettings = Field(description="The training's.")


def train_until_killed(request: RunRequest, context: RunContext) -> RunResult:
    """Train in the game; in the first attempt something is killed with signal 9 after some steps."""
    import torch

    from maineffect.lab.policy.causal import load_causal
    from maineffect.lab.sampling.sampler import open_sampler
    from maineffect.lab.train.demonstrations import room
    from maineffect.lab.train.loop import train

    settings = KilledSettings.model_validate(dict(request.settings))
    torch.set_num_threads(1)
    plan, source = settings.lab, Game()
    watched = _Watched(context, settings, Path(settings.folder) / f"{request.run_id}.jsonl")
    policy = load_causal(plan.policy, room(plan, source), 3, context.cache_dir)
    sampler = open_sampler(policy, watched)
    try:
        train(policy, plan, watched, sampler, source=source)
    finally:
        sampler.close()
    on_gpu = plan.policy.device == "cuda"
    peak = torch.cuda.max_memory_allocated() if on_gpu else 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    watched.note({"done": True, "peak_mib": peak / 2**20})
    return RunResult({"reward": watched.reward}, {"peak_mib": peak / 2**20})


class _Watched:
    """A run's context that writes every step down and kills once; also a host of companions, whose process it knows."""

    def __init__(self, context: RunContext, settings: KilledSettings, file: Path) -> None:
        self._context, self._settings, self._file = context, settings, file
        self._first = not file.exists()
        self._engine = 0
        self.reward = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def note(self, line: Mapping[str, Any]) -> None:
        """Append a line, where whoever submitted the sweep reads it."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"pid": os.getpid(), **line}) + "\n")

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Write a step down."""
        self._context.log(step, metrics)
        self.reward = metrics["reward"]
        kept = {name: metrics[name] for name in ("reward", "mismatch_mean") if name in metrics}
        self.note({"step": step, **kept})

    def progress(self, done: int, total: int) -> None:
        """Kill what is to be killed before the next step; the checkpoint of the one before it is written."""
        self._context.progress(done, total)
        if not self._first or done != self._settings.at + 1 or self._settings.kills == "nothing":
            return
        self.note({"killed": self._settings.kills})
        victim = os.getpid() if self._settings.kills == "run" else self._engine
        os.kill(victim, signal.SIGKILL)

    def companion(self, maker: Callable[..., Any], /, *arguments: Any) -> Companion:
        """As the run's own context, and remember its process."""
        assert isinstance(self._context, CompanionHost), "resources.bundles reserve it"
        made = self._context.companion(maker, *arguments)
        self._engine = int(made.call("process"))
        return made


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


look.settings_model = LookSettings  # type: ignore[attr-defined]
look.response_names = ("devices",)  # type: ignore[attr-defined]
train_until_killed.settings_model = KilledSettings  # type: ignore[attr-defined]
train_until_killed.response_names = ("reward",)  # type: ignore[attr-defined]
