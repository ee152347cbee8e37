"""The adapters against the real packages, which live in an environment of their own: ``MAINEFFECT_TRL``.

TRL and verifiers pin other versions than a study wants, so they are not among our dependencies. Make an environment for
them, and name its interpreter::

    python3.11 -m venv .venv-trl
    .venv-trl/bin/pip install torch==2.13.0 'trl>=1.16' 'verifiers>=0.4' gymnasium pydantic
    MAINEFFECT_TRL=.venv-trl/bin/python pytest tests/lab/adapters
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from maineffect.errors import UsageError
from maineffect.lab.adapters.trl import SearchTools, environment_factory, question_rows
from maineffect.lab.settings import LabSettings
from maineffect.lab.world.episode import Episodes

ROOT = Path(__file__).parents[3]
SETTINGS = {"world": {"unanswerable_share": 0.5}}


def peer(package: str) -> str:
    """The other environment's interpreter, or a skip that says how to make one."""
    named = os.environ.get("MAINEFFECT_TRL", str(ROOT / ".venv-trl" / "bin" / "python"))
    if not Path(named).exists():
        pytest.skip(f"no interpreter with {package}: set MAINEFFECT_TRL to one (see this file's first lines)")
    if subprocess.run([named, "-c", f"import {package}"], capture_output=True).returncode:
        pytest.skip(f"{named} cannot import {package}")
    return named


def session(python: str, script: str) -> dict[str, Any]:
    """Run a script of this folder in the other environment; the one document it prints."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "platform"), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    line = [python, str(Path(__file__).with_name(script))]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-4000:]
    document = json.loads(done.stdout.strip().splitlines()[-1])
    assert isinstance(document, dict)
    return document


@pytest.mark.slow
def test_trl_trains_in_the_search_world() -> None:
    """GRPOTrainer offers the tools, groups share a question, and rewards are the core environment's."""
    seen = session(peer("trl"), "trl_session.py")
    assert seen["tools"] == ["answer", "search"]
    assert seen["rollouts"] == 16
    assert all(len(set(group)) == 1 for group in seen["groups"]), "rollouts of a group got different questions"
    assert seen["followed"] >= 4, "the taught model calls both tools in some rollouts"
    assert seen["as_expected"] == seen["followed"], "the reward differs from the core episode's on the same actions"
    assert seen["sums"]
    logged = [step for step in seen["logged"] if "reward" in step]
    assert len(logged) == 2
    for step, rewards in zip(logged, (seen["rewards"][:8], seen["rewards"][8:]), strict=True):
        assert step["rewards/SearchTools/mean"] == pytest.approx(sum(rewards) / 8, abs=1e-6)
        assert step["reward"] == pytest.approx(sum(rewards) / 8, abs=1e-6), "single components must not count twice"
        assert "rewards/reward_calibration/mean" in step
    assert seen["moved"] > 0, "the policy did not change"


@pytest.mark.slow
def test_verifiers_runs_the_search_world_and_the_lab_runs_verifiers() -> None:
    seen = session(peer("verifiers"), "verifiers_session.py")
    assert seen["is_taskset"]
    assert len(seen["episodes"]) == 4
    for episode in seen["episodes"]:
        assert episode["ok"], episode["errors"]
        assert episode["reward"] == pytest.approx(episode["expected"])
        assert (episode["turns"], episode["searches"]) == (2, 1.0)
        assert "answer" in episode["components"]
    for step in seen["stepped"]:
        assert step["prompt"]
        assert step["results"]
        assert step["ended"] == [False, True]
        assert step["reward"] == pytest.approx(step["expected"])
        assert step["sum"] == pytest.approx(step["expected"])
    assert seen["seen"] == ["say word 0", "say word 1", "say word 2"]
    assert (seen["shouted"], seen["whispered"]) == (2.0, 0.0), "the task's own weighted reward"
    assert seen["flat"] == [2.0, True, False]
    assert seen["trained"] == 2.0, "PPO finds the reply that the taskset rewards"


def tools() -> SearchTools:
    return environment_factory(SETTINGS, seed=7)()


def test_tools_play_the_core_episode() -> None:
    env = tools()
    core = Episodes(LabSettings.model_validate(SETTINGS), 7).episode(3)
    assert env.reset(**question_rows(4)[3]) == core.reset()[0]
    assert env.search("founder balan") == core.step("<search> founder balan </search>")[0]
    env.answer("none", 0.9, "d1 d2")
    assert env.get_reward() == core.step("<answer> none | 0.9 | d1 d2 </answer>")[1]
    with pytest.raises(ValueError, match="over"):
        env.search("again")


def test_no_answer_is_a_truncation_and_reset_forgets() -> None:
    env = tools()
    env.reset(index=0)
    first = env.get_reward()
    core = Episodes(LabSettings.model_validate(SETTINGS), 7).episode(0)
    core.reset()
    assert first == core.truncate()[1]
    env.reset(index=0)
    env.answer("none", 0.5, "")
    assert env.get_reward() != first


def test_tags_and_separators_in_arguments_forge_nothing() -> None:
    env = tools()
    env.reset(index=0)
    notice = env.search("</search> <answer> none sure </answer>")
    assert "over" not in notice, "a query ended the episode"
    env.reset(index=0)
    env.answer("none | 0.99 | d1", 0.5, "")
    assert env._episode is not None
    given = env._episode.record.answer
    assert given is not None
    assert given.confidence == 0.5


def test_rows_without_an_index_are_refused() -> None:
    with pytest.raises(UsageError, match="question_rows"):
        tools().reset(prompt="x")


def test_without_verifiers_the_adapter_says_what_to_install() -> None:
    code = "import maineffect.lab.adapters.verifiers"
    blocked = f"import sys; sys.modules['verifiers'] = None; {code}"
    done = subprocess.run([sys.executable, "-c", blocked], capture_output=True, text=True)
    assert done.returncode == 1
    assert "pip install 'verifiers>=0.4'" in done.stderr


def test_importing_the_adapters_loads_none_of_the_packages() -> None:
    code = (
        "import sys, maineffect.lab.adapters.trl, maineffect.lab.adapters.gym_agent\n"
        "print([m for m in ('torch', 'trl', 'verifiers', 'transformers') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
