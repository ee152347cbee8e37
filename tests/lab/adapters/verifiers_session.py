"""Run by verifiers' own interpreter: the adapter's environment in verifiers, and verifiers' tasksets in the lab.

Model calls go through verifiers' client, interception server and trace; the model is an HTTP server that answers from a
script. Its null harness fetches its program's packages with ``uv``, so a harness of twenty lines takes its place.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import ModuleType

import httpx
import verifiers.v1 as vf

from maineffect.lab.adapters.encoding import make_flat
from maineffect.lab.adapters.gym_settings import EnvironmentSettings
from maineffect.lab.adapters.verifiers import SearchTaskset, load_environment
from maineffect.lab.adapters.verifiers_tasks import VerifiersTasks
from maineffect.lab.settings import LabSettings
from maineffect.lab.world.episode import Episodes

SETTINGS = {"world": {"unanswerable_share": 0.5}}
SEARCH, ANSWER = "<search> founder balan </search>", "<answer> none likely </answer>"


class Model(BaseHTTPRequestHandler):
    """Searches first, then declines."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        replies = sum(message["role"] == "assistant" for message in body["messages"])
        message = {"role": "assistant", "content": ANSWER if replies else SEARCH}
        document = {
            "id": "x",
            "object": "chat.completion",
            "created": 0,
            "model": "script",
            "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
        }
        payload = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *args: object) -> None:
        pass


class ChatConfig(vf.HarnessConfig):
    pass


class Chat(vf.Harness[ChatConfig]):
    """One chat completion per segment."""

    APPENDS_SYSTEM_PROMPT = True
    SUPPORTS_RESUME = True
    EXECUTES_CODE = False
    NEEDS_CONTAINER = False

    async def launch(self, ctx, trace, runtime, endpoint, secret, mcp_urls, data, tool_interception_url=None):  # type: ignore[no-untyped-def]
        system, prompt = self.resolve_prompt(data)
        messages = [{"role": "system", "content": system}] if system else []
        if isinstance(prompt, str):
            messages.append({"role": "user", "content": prompt})
        else:
            messages += [{"role": m.role, "content": m.content} for m in prompt or [] if m.role != "system"]
        async with httpx.AsyncClient(trust_env=False) as client:
            done = await client.post(
                f"{endpoint.rstrip('/')}/chat/completions",
                headers={"Authorization": f"Bearer {secret}"},
                json={"model": ctx.model, "messages": messages},
                timeout=60,
            )
        return vf.ProgramResult(0 if done.is_success else 1, "", done.text)


class Shout(vf.Task[vf.TaskData, vf.State, vf.TaskConfig]):
    """One reply; upper case is rewarded."""

    @vf.reward(weight=2.0)
    async def shouted(self, trace: vf.Trace) -> float:
        return float(trace.last_reply.isupper())


class ShoutConfig(vf.TasksetConfig):
    words: int = 2


class Shouting(vf.Taskset[Shout, ShoutConfig]):
    def load(self) -> list[Shout]:
        return [Shout(vf.TaskData(prompt=f"say word {i}"), self.config.task) for i in range(self.config.words)]


def shouting(words: int = 2) -> Shouting:
    return Shouting(ShoutConfig(words=words))


def expected(index: int) -> float:
    episode = Episodes(LabSettings.model_validate(SETTINGS), 7).episode(index)
    episode.reset()
    episode.step(SEARCH)
    return float(episode.step(ANSWER)[1])


async def inside_verifiers() -> dict[str, object]:
    """The search world, run by verifiers."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.environ["SCRIPT_KEY"] = "none"
    client = vf.EvalClientConfig(base_url=f"http://127.0.0.1:{server.server_port}/v1", api_key_var="SCRIPT_KEY")
    module = ModuleType("chat_harness")
    module.Chat, module.__all__ = Chat, ["Chat"]  # type: ignore[attr-defined]
    sys.modules["chat_harness"] = module
    env = load_environment(
        settings=SETTINGS, seed=7, count=4, agent={"harness": {"id": "chat_harness"}, "runtime": {"type": "subprocess"}}
    )
    out = []
    async with env.serving():
        for index, task in enumerate(env.taskset):
            episode = await env.run_episode(task, vf.ModelContext(model="script", client=client))
            (trace,) = episode.traces or [None]
            errors = [error.message for error in [*episode.errors, *(trace.errors if trace else [])]]
            out.append(
                {
                    "ok": episode.ok,
                    "errors": errors,
                    "reward": trace.reward if trace else None,
                    "expected": expected(index),
                    "components": sorted(trace.rewards) if trace else [],
                    "turns": trace.num_turns if trace else 0,
                    "searches": trace.metrics.get("searches") if trace else None,
                }
            )
    server.shutdown()
    return {"episodes": out, "is_taskset": isinstance(env.taskset, SearchTaskset)}


def inside_the_lab() -> dict[str, object]:
    """verifiers' environments, stepped from outside; one of them is trained on."""
    world = VerifiersTasks(load_environment(settings=SETTINGS, seed=7, count=4))
    stepped = []
    for index in range(4):
        first, _ = world.reset(options={"index": index})
        results, _, ended, _, _ = world.step(SEARCH)
        _, reward, done, _, info = world.step(ANSWER)
        stepped.append(
            {
                "prompt": Episodes(LabSettings.model_validate(SETTINGS), 7).episode(index).reset()[0] in first,
                "results": bool(results),
                "ended": [ended, done],
                "reward": reward,
                "sum": sum(info["reward_components"].values()),
                "expected": expected(index),
            }
        )
    loud = VerifiersTasks(shouting(3))
    seen = sorted({loud.reset(seed=i)[0] for i in range(20)})
    loud.reset(seed=1)
    shouted = loud.step("HELLO")[1]
    loud.reset(seed=1)
    loud.reset(seed=1)  # an abandoned episode leaves nothing behind
    whispered = loud.step("hello")[1]
    entry = EnvironmentSettings(entry="__main__:shouting", choices=("hello", "HELLO"), args={"words": 3})
    flat = make_flat(entry, entry.args)
    flat.reset(1)
    return {"stepped": stepped, "seen": seen, "shouted": shouted, "whispered": whispered, "flat": flat.step(1)[1:]}


def trained() -> float:
    """PPO over a verifiers taskset, by the lab's own trainable."""
    import tempfile
    from pathlib import Path

    from maineffect.conformance import RecordingContext
    from maineffect.contracts import RunRequest
    from maineffect.lab.adapters.gym_agent import train_gym_agent

    settings = {
        "environment": {"entry": "__main__:shouting", "choices": ["hello", "HELLO", "Hello"]},
        "train": {"steps": 12, "learning_rate": 0.01},
        "evaluation": {"episodes": 8},
    }
    request = RunRequest("s", "s", "r", "c", 1, {}, settings, 3, 9, ("return_mean",), "x:y")
    with tempfile.TemporaryDirectory() as folder:
        return float(train_gym_agent(request, RecordingContext(Path(folder), 3)).responses["return_mean"])


if __name__ == "__main__":
    document = {**asyncio.run(inside_verifiers()), **inside_the_lab(), "trained": trained()}
    print(json.dumps(document))
