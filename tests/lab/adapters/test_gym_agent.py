"""Any Gymnasium environment as a trainable's environment: it conforms, it learns, and factors reach the environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from maineffect.conformance import RecordingContext, TrainableConformance
from maineffect.contracts import RunDiverged, RunRequest, RunResult
from maineffect.lab.adapters.encoding import make_flat
from maineffect.lab.adapters.gym_agent import train_gym_agent
from maineffect.lab.adapters.gym_settings import EnvironmentSettings, GymPolicy
from maineffect.lab.adapters.ppo import ActorCritic, Batch, advantages, play
from maineffect.plugins import check_settings, load_trainable

NAME = "maineffect.lab.adapters.gym_agent:train_gym_agent"


class TestGymAgent(TrainableConformance):
    """The contract of every trainable."""

    settings: ClassVar = {
        "environment": {"entry": "CartPole-v1", "max_steps": 60},
        "train": {"steps": 4, "episodes": 4, "checkpoint_every": 1},
        "evaluation": {"episodes": 6, "greedy": False},
    }
    responses = ("return_mean", "return_gain", "return_spread", "return_own", "length_mean")

    def load(self) -> Any:
        return load_trainable(NAME)


def trained(settings: dict[str, Any], folder: Path, seed: int = 3) -> RunResult:
    request = RunRequest("study", "sweep", "c1-r1", "c1", 1, {}, settings, seed, 99, ("return_mean",), NAME)
    return train_gym_agent(request, RecordingContext(folder, seed))


def test_it_learns_the_lake(tmp_path: Path) -> None:
    """On the dry lake a policy reaches the goal always; an untrained one hardly ever. Three of five seeds find it."""
    settings = {
        "environment": {"entry": "FrozenLake-v1", "args": {"is_slippery": False}},
        "train": {"steps": 60, "episodes": 16, "learning_rate": 1e-2, "entropy": 0.02},
        "evaluation": {"episodes": 20},
    }
    done = trained(settings, tmp_path, seed=1)
    assert done.responses["return_mean"] == 1.0
    assert done.responses["return_gain"] >= 0.9
    assert done.responses["length_mean"] == 6.0, "the shortest way over the 4 × 4 lake has six steps"
    assert len(done.items) == 20


def test_it_learns_to_balance(tmp_path: Path) -> None:
    settings = {
        "environment": {"entry": "CartPole-v1", "max_steps": 200},
        "train": {"steps": 25, "episodes": 12, "advantage": "std"},
        "evaluation": {"episodes": 20},
    }
    done = trained(settings, tmp_path)
    assert done.responses["return_mean"] > 110, "five seeds reached 116 to 200"
    assert done.responses["return_gain"] > 80


def test_evaluation_arguments_put_every_cell_on_one_environment(tmp_path: Path) -> None:
    settings = {
        "environment": {"entry": "FrozenLake-v1", "args": {"is_slippery": False}},
        "train": {"steps": 60, "episodes": 16, "learning_rate": 1e-2, "entropy": 0.02},
        "evaluation": {"episodes": 50, "args": {"is_slippery": True}},
    }
    done = trained(settings, tmp_path, seed=1).responses
    assert done["return_own"] == 1.0
    assert done["return_mean"] < 0.6, "a way that is sure on the dry lake is not on the slippery one"


def test_it_learns_over_text(tmp_path: Path) -> None:
    """The search world itself through the text wrapper: always declining beats guessing where nothing can be answered."""
    answers = ("<answer> none unsure </answer>", "<answer> balan sure </answer>", "<answer> n1 sure </answer>")
    world = {"world": {"unanswerable_share": 1.0}, "reward": {"abstain_right": 1.0, "wrong_cost": 1.0}}
    settings = {
        "environment": {
            "entry": "maineffect.lab.adapters.gym_world:SearchWorld",
            "args": {"settings": world},
            "choices": answers,
        },
        "train": {"steps": 15},
    }
    done = trained(settings, tmp_path).responses
    assert done["return_mean"] > 0.8
    assert done["length_mean"] == 1.0


def test_a_reward_that_is_no_number_is_a_divergence(tmp_path: Path) -> None:
    (tmp_path / "broken_env.py").write_text(
        "import gymnasium as gym\n"
        "class Broken(gym.Env):\n"
        "    observation_space = gym.spaces.Discrete(2)\n"
        "    action_space = gym.spaces.Discrete(2)\n"
        "    def reset(self, *, seed=None, options=None):\n"
        "        return 0, {}\n"
        "    def step(self, action):\n"
        "        return 1, float('nan'), True, False, {}\n"
    )
    load_trainable(NAME, tmp_path)  # a study's folder is importable, as in a sweep
    with pytest.raises(RunDiverged, match="reward nan"):
        trained({"environment": {"entry": "broken_env:Broken"}}, tmp_path)


def test_generalised_advantages_by_hand() -> None:
    """Schulman et al. 2016, eq. 16: with λ = 1 the advantage is the discounted return minus the value."""
    batch = Batch(
        torch.zeros(3, 1),
        torch.zeros(3, dtype=torch.long),
        torch.zeros(3),
        torch.tensor([0.5, 1.0, 2.0]),
        torch.tensor([1.0, 2.0, 3.0]),
        torch.tensor([0.0, 10.0]),
        (2, 1),
    )
    assert advantages(batch, 0.5, 1.0).tolist() == pytest.approx([1 + 0.5 * 2 - 0.5, 2 - 1.0, 3 + 0.5 * 10 - 2])
    # λ = 0: one-step temporal differences.
    assert advantages(batch, 0.5, 0.0).tolist() == pytest.approx([1 + 0.5 * 1.0 - 0.5, 2 - 1.0, 3 + 0.5 * 10 - 2])


def test_episodes_do_not_depend_on_how_many_are_played_at_once() -> None:
    settings = EnvironmentSettings(entry="CartPole-v1", max_steps=30)
    envs = [make_flat(settings, {}) for _ in range(3)]
    model = ActorCritic(envs[0].features, envs[0].actions, GymPolicy(), 1)
    together = play(model, envs, [4, 5, 6, 7], None)
    alone = play(model, envs[:1], [4, 5, 6, 7], None)
    assert together.lengths == alone.lengths
    np.testing.assert_array_equal(together.x_NF.numpy(), alone.x_NF.numpy())


def test_settings_are_checked_with_the_way_out() -> None:
    (problem,) = check_settings(
        load_trainable(NAME), {"environment": {"entry": "FrozenLake-v1", "args": {"slippery": True}}}
    )
    assert "is_slippery" in str(problem)


STUDY = """\
schema_version: 1
name: lake
question: Does a slippery lake teach less in the same number of episodes?
trainable: maineffect.lab.adapters.gym_agent:train_gym_agent
factors:
  slippery: {levels: [false, true], binds: environment.args.is_slippery}
  reward: {levels: [0.5, 1.0], binds: environment.args.goal}
settings:
  environment: {entry: "lake:make"}
  train: {steps: 30, episodes: 16, learning_rate: 0.01, entropy: 0.02}
  evaluation: {episodes: 40}
design: {kind: full, replicates: 2}
responses:
  return_mean: {goal: maximize, smallest_effect: 0.05}
  length_mean: {goal: none}
analysis: {terms: two_way}
resources: {cpus: 1, timeout: 2m}
seed: 5
"""

LAKE = '''\
"""An environment beside the study: the lake, small, with a goal of chosen worth."""
import gymnasium as gym


def make(is_slippery=True, goal=1.0):
    lake = gym.make("FrozenLake-v1", desc=["SFF", "FHF", "FFG"], is_slippery=is_slippery)
    return gym.wrappers.TransformReward(lake, lambda reward: goal * reward)
'''


@pytest.mark.ray
@pytest.mark.slow  # 25 s of CPU: eight runs and three commands
def test_a_study_over_somebodys_environment_runs_through_the_platform(tmp_path: Path) -> None:
    """Submit and analyse 2 × 2 cells whose factors are arguments of an environment beside the study."""
    (tmp_path / "study.yaml").write_text(STUDY)
    (tmp_path / "lake.py").write_text(LAKE)

    def run(*words: str) -> str:
        done = command(tmp_path, *words)
        assert done.returncode == 0, f"{words}: {done.stderr[-3000:]}"
        return done.stdout

    document = json.loads(run("submit", "study.yaml", "--json"))
    assert document["counts"]["finished"] == 8
    result = json.loads(run("analyse", "latest", "--json"))
    effects = {
        name: {e["term"]: e["estimate"] for e in response["effects"]} for name, response in result["responses"].items()
    }
    # Both lakes can always be crossed: the slippery one takes longer, and the goal's worth is the whole return.
    assert effects["length_mean"]["slippery"] > 1.0
    assert effects["return_mean"]["reward"] == pytest.approx(0.5, abs=0.2)


def test_check_refuses_an_argument_that_the_environment_does_not_take(tmp_path: Path) -> None:
    """Before anything runs, and only that: the same study with the right name passes."""
    (tmp_path / "lake.py").write_text(LAKE)
    (tmp_path / "study.yaml").write_text(STUDY)
    assert command(tmp_path, "check", "study.yaml").returncode == 0
    (tmp_path / "study.yaml").write_text(STUDY.replace("args.is_slippery", "args.slipery"))
    refused = command(tmp_path, "check", "study.yaml")
    assert refused.returncode == 3
    assert "slipery" in refused.stderr
    assert "it takes: is_slippery, goal" in refused.stderr


def command(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "MAINEFFECT_HOME": str(folder / "home"), "OMP_NUM_THREADS": "1"}
    line = [sys.executable, "-m", "maineffect", *words]
    return subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True, timeout=400)
