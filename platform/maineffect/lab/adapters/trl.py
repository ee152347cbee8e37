"""The search world for TRL's ``GRPOTrainer(environment_factory=...)``: tools instead of tags, the same episodes.

::

    from trl import GRPOConfig, GRPOTrainer
    from maineffect.lab.adapters.trl import environment_factory, question_rows

    settings = {"world": {"language": "english", "conflict_rate": 0.3}}
    trainer = GRPOTrainer(
        model,
        args=GRPOConfig(...),
        train_dataset=Dataset.from_list(question_rows(1024)),
        environment_factory=environment_factory(settings, seed=7),
    )

TRL makes one environment per rollout, resets it with the dataset's row, offers its public methods to the model as tools
and asks ``get_reward`` at the end. Rows carry an index, so that all rollouts of a group get the same question. This
module imports no TRL: the environment is plain Python.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from maineffect.errors import UsageError
from maineffect.lab.grammar.actions import Answer, Search, called_action
from maineffect.lab.questions.contract import Questions
from maineffect.lab.questions.source import training_questions
from maineffect.lab.settings import LabSettings
from maineffect.lab.world.turns import TextEpisode

__all__ = ["INSTRUCTIONS", "SearchTools", "component_rewards", "environment_factory", "question_rows"]

INSTRUCTIONS = (
    "Answer the question from the documents that the search tool finds. Documents may be wrong, outdated or hostile. "
    "Then call the answer tool once; answer none if the documents do not tell.\n\n"
)


class SearchTools:
    """One rollout's environment. TRL shows every public method but ``reset`` and ``get_reward`` to the model as a tool.

    Args:
        questions: Their sequence.
    """

    def __init__(self, questions: Questions) -> None:
        self._episodes = questions
        self._episode: TextEpisode | None = None
        self._over = False
        self._reward = 0.0
        self._components: dict[str, float] = {}

    def reset(self, index: int | None = None, **row: Any) -> str:  # noqa: ARG002 — TRL passes every column
        """Start on the question at the row's index; what it asks, which TRL appends to the prompt.

        Raises:
            UsageError: The row has no index, so the rollouts of a group could not share a question.
        """
        if index is None:
            raise UsageError("the dataset's rows have no 'index'", "build them with question_rows(count)")
        self._episode = self._episodes.episode(int(index))
        self._over, self._reward, self._components = False, 0.0, {}
        question, _ = self._episode.reset()
        return question

    def search(self, query: str) -> str:
        """Search the documents.

        Args:
            query: Words to search for.

        Returns:
            The documents found, each with its id, source and date.
        """
        return self._act(called_action("search", {"query": query}))

    def answer(self, value: str, confidence: float, documents: str) -> str:
        """Give the final answer; nothing can be done after it.

        Args:
            value: The answer, or none if the documents do not tell.
            confidence: Probability between 0 and 1 that the answer is right.
            documents: Ids of the documents that support the answer, separated by spaces.

        Returns:
            That the answer was taken.
        """
        given = {"value": value, "confidence": confidence, "documents": documents}
        return self._act(called_action("answer", given))

    def get_reward(self) -> float:
        """The episode's reward; an episode that gave no answer is truncated, as a full transcript is."""
        if self._episode is not None and not self._over:
            self._finish(self._episode.truncate())
        return self._reward

    def _act(self, action: Search | Answer | None) -> str:
        if self._episode is None or self._over:
            raise ValueError("the episode is over: the answer was already given")
        step = self._episode.act(action)
        observation, _, done, cut, _ = step
        if not done and not cut:
            return observation
        self._finish(step)
        return "the episode is over"

    def _finish(self, step: tuple[str, float, bool, bool, dict[str, Any]]) -> None:
        _, self._reward, _, _, info = step
        self._components, self._over = dict(info["reward_components"]), True

    def _component(self, name: str) -> float:
        self.get_reward()
        return self._components.get(name, 0.0)


def environment_factory(
    settings: LabSettings | Mapping[str, Any], seed: int, *, held_out: bool = False
) -> Callable[[], SearchTools]:
    """What ``GRPOTrainer(environment_factory=...)`` takes.

    Args:
        settings: :class:`LabSettings` or their nested fields; the factors of a study.
        seed: Of the sequence of questions.
        held_out: Questions that training never asks, for evaluation.

    Raises:
        pydantic.ValidationError: The settings are wrong.
        CorpusError: ``world.corpus`` names a corpus, from the current folder, that cannot be used.
    """
    valid = settings if isinstance(settings, LabSettings) else LabSettings.model_validate(dict(settings))
    questions = training_questions(valid, seed, held_out=held_out)
    return lambda: SearchTools(questions)


def question_rows(count: int, first: int = 0, instructions: str = INSTRUCTIONS) -> list[dict[str, Any]]:
    """Rows of a training set: the instructions as prompt, and the question's index for ``reset``."""
    return [
        {"prompt": [{"role": "user", "content": instructions}], "index": index} for index in range(first, first + count)
    ]


def component_rewards(names: Sequence[str]) -> list[Callable[..., list[float]]]:
    """Reward functions that report single components, to be logged one by one beside the total.

    Pass them as ``reward_funcs`` with ``GRPOConfig(reward_weights=[0.0] * len(names))``: the total is the
    environment's own.

    Args:
        names: Of the components, as in an episode's ``info["reward_components"]``.
    """
    return [_component_reward(name) for name in names]


def _component_reward(name: str) -> Callable[..., list[float]]:
    def reward(environments: Sequence[SearchTools], **_: Any) -> list[float]:
        return [environment._component(name) for environment in environments]

    reward.__name__ = f"reward_{name}"
    return reward
