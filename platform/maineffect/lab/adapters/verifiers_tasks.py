"""Any verifiers environment or taskset (``verifiers.v1``) as a Gymnasium environment over text.

verifiers runs an episode from the inside: an environment's ``run`` asks its agents for replies. Gymnasium runs it from
the outside: somebody calls ``step``. Here ``run`` is a coroutine that waits, at every reply it asks for, until ``step``
brings one; no thread, harness or server is between them. All seats are played by the one policy.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from typing import Any

import gymnasium as gym

from maineffect.errors import PluginError
from maineffect.lab.adapters.gym_world import AnyText

__all__ = ["VerifiersTasks"]

_MOST_TASKS = 1024


class VerifiersTasks(gym.Env[str, str]):
    """Episodes of a verifiers environment, one task per reset.

    Rewards come at the end: the sum over the episode's traces of the environment's and the tasks' own. Signals that
    need a sandbox (a ``runtime`` parameter) are left out, as verifiers does when it scores without one.

    Args:
        made: A ``vf.Env``, or a bare ``vf.Taskset`` whose tasks take one reply.

    Raises:
        PluginError: It is neither, or it has no tasks.
    """

    def __init__(self, made: Any) -> None:
        self._env = made if hasattr(made, "run") else None
        taskset = getattr(made, "taskset", made)
        try:
            self._tasks = list(itertools.islice(iter(taskset), _MOST_TASKS))
        except TypeError as error:
            raise PluginError(
                f"{type(made).__name__} has no tasks that can be iterated ({error})", "verifiers 0.4 or newer is needed"
            ) from None
        if not self._tasks:
            raise PluginError(f"{type(made).__name__} has no tasks", "check the arguments of its factory")
        self.observation_space, self.action_space = AnyText(), AnyText()
        self._exchange: _Exchange | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """A task drawn by Gymnasium's generator, or the one at ``options["index"]``; its prompt."""
        super().reset(seed=seed)
        self.close()
        drawn = int(self.np_random.integers(len(self._tasks)))
        task = self._tasks[int((options or {}).get("index", drawn))]
        self._exchange = _Exchange(self._env, task)
        observation = self._exchange.observe()
        if observation is None:
            raise PluginError(
                f"the episode of task {task.data.name!r} ended before any reply was asked", "see its run()"
            )
        return observation, {}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Give one reply; ``info`` of the last step holds ``reward_components``."""
        if self._exchange is None:
            raise gym.error.ResetNeeded("call reset() first")
        observation = self._exchange.reply(action)
        if observation is not None:
            return observation, 0.0, False, False, {}
        parts = self._exchange.rewards()
        self.close()
        return "", sum(parts.values()), True, False, {"reward_components": parts}

    def close(self) -> None:
        """Abandon the episode under way."""
        if self._exchange is not None:
            self._exchange.close()
        self._exchange = None


class _Exchange:
    """One episode's coroutine and the reply that it waits for."""

    def __init__(self, env: Any, task: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self._asked: asyncio.Queue[str] = asyncio.Queue()
        self._replies: asyncio.Queue[str] = asyncio.Queue()
        self._traces: list[Any] = []
        self._running = self._loop.create_task(self._play(env, task))

    def observe(self) -> str | None:
        """What the next reply answers, or None when the episode is over."""
        return self._loop.run_until_complete(self._next())

    def reply(self, text: str) -> str | None:
        """Give a reply and run on."""
        self._replies.put_nowait(text)
        return self.observe()

    def rewards(self) -> dict[str, float]:
        """Weighted rewards of all traces, by name."""
        parts: dict[str, float] = {}
        for trace in self._traces:
            for name, reward in trace.rewards.items():
                if reward is not None:
                    parts[name] = parts.get(name, 0.0) + float(reward.value)
        return parts

    def close(self) -> None:
        self._running.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            self._loop.run_until_complete(self._running)
        self._loop.close()

    async def ask(self, observation: str) -> str:
        self._asked.put_nowait(observation)
        return await self._replies.get()

    def finish(self, trace: Any) -> None:
        self._traces.append(trace)

    async def _next(self) -> str | None:
        asked = asyncio.ensure_future(self._asked.get())
        await asyncio.wait({asked, self._running}, return_when=asyncio.FIRST_COMPLETED)
        if asked.done():
            return asked.result()
        asked.cancel()
        self._running.result()  # an error of the environment is this step's error
        return None

    async def _play(self, env: Any, task: Any) -> None:
        agents = _Seats(self)
        if env is None:
            await agents.agent.run(task)
            return
        await env.setup(agents)
        await env.run(task, agents)
        import verifiers.v1 as vf

        traces = list(self._traces)
        record = vf.TraceTask(type=type(task).__name__, data=task.data, key=task.key, hash=task.hash)
        await env.finalize(task, vf.Episode(task=record, traces=traces))


class _Seats:
    """``agents`` of an environment's ``run``: whatever seat it names, the policy sits in it."""

    def __init__(self, exchange: _Exchange) -> None:
        self._exchange, self._seats = exchange, {}  # type: ignore[var-annotated]

    def __getattr__(self, name: str) -> _Seat:
        if name.startswith("_"):
            raise AttributeError(name)
        seat: _Seat = self._seats.setdefault(name, _Seat(self._exchange, name))
        return seat


class _Seat:
    """Stands where ``vf.Agent`` would: its replies are Gymnasium's actions."""

    trainable = True

    def __init__(self, exchange: _Exchange, name: str) -> None:
        self._exchange, self._name = exchange, name

    async def run(self, task: Any, **_: Any) -> Any:
        async with self.interaction(task) as interaction:
            await interaction.turn()
        return interaction.trace

    @contextlib.asynccontextmanager
    async def interaction(self, task: Any, **_: Any) -> AsyncIterator[_Talk]:
        talk = _Talk(self._exchange, task, self._name)
        await task.setup(talk.trace, None)
        yield talk
        talk.trace.stop("user_closed")
        await task.finalize(talk.trace, None)
        await task.score(talk.trace, None)
        self._exchange.finish(talk.trace)


class _Talk:
    """Stands where ``vf.Interaction`` would, and writes the same trace."""

    def __init__(self, exchange: _Exchange, task: Any, name: str) -> None:
        import verifiers.v1 as vf
        from verifiers.v1.state import state_cls

        self._exchange, self._data, self._started = exchange, task.data, False
        self._messages: list[Any] = []
        self.trace = vf.Trace(
            task=vf.TraceTask(type=type(task).__name__, data=task.data, key=task.key, hash=task.hash),
            state=state_cls(type(task))(),
            agent=vf.AgentInfo(config=vf.AgentConfig(model="gymnasium"), name=name),
        )

    async def turn(self, message: Any = None) -> Any:
        """One reply of the policy to a message, or to the task's prompt."""
        import verifiers.v1 as vf
        from verifiers.v1.graph import prepare_turn

        text = self._data.prompt_text if message is None else message
        if not isinstance(text, str):
            text = "\n\n".join(str(part["content"] if isinstance(part, dict) else part.content) for part in text)
        if not self._started and self._data.system_prompt:
            self._messages.append(vf.SystemMessage(content=self._data.system_prompt))
            shown = f"{self._data.system_prompt}\n\n{text}"
        else:
            shown = text
        self._started = True
        self._messages.append(vf.UserMessage(content=text))
        reply = vf.AssistantMessage(content=await self._exchange.ask(shown))
        turn = prepare_turn(self.trace, list(self._messages))
        turn.commit(vf.Response(id="", created=0, model="gymnasium", message=reply, finish_reason="stop"))
        self._messages.append(reply)
        return vf.Segment(messages=[reply], root_reply=reply.content)
