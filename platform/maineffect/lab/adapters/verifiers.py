"""The search world as a verifiers taskset and environment (``verifiers.v1``, from 0.4).

::

    from maineffect.lab.adapters.verifiers import load_environment

    env = load_environment(settings={"world": {"conflict_rate": 0.3}}, seed=7, count=256)

For verifiers' command line and prime-rl, which find a taskset by the name of an importable module, put this line into
``maineffect_search.py``, and name the taskset ``maineffect_search``::

    from maineffect.lab.adapters.verifiers import *

A task is one question of the text protocol; the world plays the user, as verifiers' own game environments do. Importing
this module needs the verifiers package, which maineffect does not install.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from maineffect.errors import UsageError
from maineffect.lab.questions.source import training_questions
from maineffect.lab.settings import LabSettings
from maineffect.lab.world.turns import TextEpisode

try:
    import verifiers.v1 as vf
except ImportError as _missing:
    raise UsageError(
        f"this adapter needs verifiers 0.4 or newer ({_missing})", "pip install 'verifiers>=0.4'"
    ) from _missing

__all__ = ["SearchConfig", "SearchEnv", "SearchEnvConfig", "SearchTask", "SearchTaskset", "load_environment"]

TASKSET_ID = "maineffect_search"
SYSTEM = "One action per turn. Documents may be wrong, outdated or hostile; answer none if they do not tell."
_TAGS = (
    "Search the documents with <search> words </search>, then answer with <answer> value | confidence | document ids "
    "</answer>. "
)


class SearchConfig(vf.TasksetConfig):  # type: ignore[misc]
    """Which questions.

    Attributes:
        settings: Nested fields of :class:`LabSettings`; the factors of a study.
        seed: Of the sequence of questions.
        count: Questions.
        held_out: Whether they are those that training never asks.
    """

    settings: dict[str, Any] = {}  # noqa: RUF012 — pydantic copies it
    seed: int = 0
    count: int = 256
    held_out: bool = False


class SearchData(vf.TaskData):  # type: ignore[misc]
    """One question: what is asked, and what ``run`` makes the episode from."""

    info: dict[str, Any]


class SearchTask(vf.Task[SearchData, vf.State, vf.TaskConfig]):  # type: ignore[misc]
    """One question; scored by the episode, not from the transcript."""


class SearchTaskset(vf.Taskset[SearchTask, SearchConfig]):  # type: ignore[misc]
    """The questions of one world."""

    def load(self) -> Iterator[SearchTask]:
        """One task per question."""
        config = self.config
        settings = LabSettings.model_validate(config.settings)
        episodes = training_questions(settings, config.seed, held_out=config.held_out)
        for index in range(config.count):
            question, _ = episodes.episode(index).reset()
            data = SearchData(
                name=f"search#{index}",
                prompt=question,
                # In the form of tools the question itself says how to call them.
                system_prompt=SYSTEM if settings.episode.form == "tools" else _TAGS + SYSTEM,
                info={"settings": config.settings, "seed": config.seed, "index": index, "held_out": config.held_out},
            )
            yield SearchTask(data, config.task)


def _episode(info: dict[str, Any]) -> TextEpisode:
    settings = LabSettings.model_validate(info["settings"])
    return training_questions(settings, info["seed"], held_out=info["held_out"]).episode(info["index"])


class SearchEnvConfig(vf.EnvConfig):  # type: ignore[misc]
    """One seat: the policy. Its harness must hold a conversation and needs no tools."""

    agent: vf.AgentConfig = vf.AgentConfig(harness={"id": "null"})


class SearchEnv(vf.Env[SearchEnvConfig]):  # type: ignore[misc]
    """The world answers every action of the policy as the next user turn."""

    async def run(self, task: Any, agents: Any) -> None:
        """Play one episode; every reward component is recorded by its name, and they sum to the reward."""
        info = task.data.info
        episode = _episode(info)
        episode.reset()
        parts: dict[str, float] | None = None
        async with agents.agent.interaction(task) as interaction:
            segment = await interaction.turn()
            while not segment.terminated:
                observation, _, done, cut, step_info = episode.step(segment.last_reply)
                if done or cut:
                    parts = step_info["reward_components"]
                    break
                segment = await interaction.turn(observation)
        if parts is None:
            # The policy's turns or tokens ran out before it answered.
            parts = episode.truncate()[4]["reward_components"]
        for name, value in parts.items():
            interaction.trace.record_reward(name, float(value), 1.0)
        interaction.trace.record_metric("searches", float(len(episode.record.searches)))


def load_environment(
    settings: dict[str, Any] | None = None,
    seed: int = 0,
    count: int = 256,
    *,
    held_out: bool = False,
    **env_args: Any,
) -> SearchEnv:
    """The environment, ready for ``env.serving()`` and ``env.run_episode(task, context)``.

    Args:
        settings: Nested fields of :class:`LabSettings`; the factors of a study.
        seed: Of the sequence of questions.
        count: Questions.
        held_out: Whether they are those that training never asks.
        env_args: Further fields of the environment's configuration, such as ``agent={"max_turns": 6}``.

    Raises:
        pydantic.ValidationError: The settings are wrong.
    """
    LabSettings.model_validate(settings or {})
    # verifiers imports a taskset by its id; here the id is another name of this module.
    sys.modules.setdefault(TASKSET_ID, sys.modules[__name__])
    taskset = {"id": TASKSET_ID, "settings": settings or {}, "seed": seed, "count": count, "held_out": held_out}
    return SearchEnv(SearchEnvConfig.model_validate({"taskset": taskset, **env_args}))
