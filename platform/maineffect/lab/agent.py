"""The built-in trainable: what a study names as ``maineffect.lab:train_search_agent``."""

from __future__ import annotations

from pathlib import Path

from maineffect.contracts import RunContext, RunRequest, RunResult
from maineffect.lab.in_study import InStudy, baselines, code_files, preparations, response_names, shortened
from maineffect.lab.machine import check_resources, lacks
from maineffect.lab.settings import LabSettings

__all__ = ["train_search_agent"]


def train_search_agent(request: RunRequest, context: RunContext, folder: Path | None = None) -> RunResult:
    """Train one search agent with one seed: the tiny policy, or a language model where ``policy.model`` names one.

    Args:
        request: Settings are :class:`maineffect.lab.settings.LabSettings`.
        context: Of the run.
        folder: The study's, where ``world.corpus`` is looked for; left out, the current one.

    Returns:
        Responses are listed in :data:`maineffect.lab.evaluate.metrics.RESPONSES`; with the tiny policy the same request
        gives the same numbers on a CPU.
    """
    from maineffect.lab.training import train_in

    return train_in(folder, request, context)


def _prepare(request: RunRequest, context: RunContext) -> None:
    """Make a warm start, as a run of its own, of a study in the current folder."""
    from maineffect.lab.training import make_warm_start

    make_warm_start(None, request, context)


train_search_agent.settings_model = LabSettings  # type: ignore[attr-defined]
train_search_agent.response_names = response_names  # type: ignore[attr-defined]
train_search_agent.baselines = baselines  # type: ignore[attr-defined]
train_search_agent.check_resources = check_resources  # type: ignore[attr-defined]
train_search_agent.lacks = lacks  # type: ignore[attr-defined]
train_search_agent.in_study = InStudy  # type: ignore[attr-defined]
train_search_agent.code_files = code_files  # type: ignore[attr-defined]
train_search_agent.preparations = preparations  # type: ignore[attr-defined]
train_search_agent.shortened = shortened  # type: ignore[attr-defined]
train_search_agent.prepare = _prepare  # type: ignore[attr-defined]
