"""What a training step costs on one core, and how many questions a minute the world draws. Figures go to stdout.

CPU time of this process, because the machine is shared; one thread, as in a run.
"""

from __future__ import annotations

import copy
import time
from pathlib import Path

import pytest
import torch

from maineffect.lab.policy.models import TinyTransformer
from maineffect.lab.questions.generated import Generated
from maineffect.lab.sampling.tiny_sampler import rollout
from maineffect.lab.settings import LabSettings
from maineffect.lab.train.adam import Adam
from maineffect.lab.train.demonstrations import demonstrations
from maineffect.lab.train.grpo import update
from maineffect.lab.train.warmstart import warm_start
from maineffect.lab.world.episode import Episodes

pytestmark = pytest.mark.benchmark

WORLD = {"conflict_rate": 0.5, "unanswerable_share": 0.3, "distractors": 3}
EPISODES_PER_MINUTE = 20_000
SECONDS_PER_STEP = 1.5


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> tuple[TinyTransformer, LabSettings]:
    """A briefly cloned policy, whose transcripts are as long as those of a run."""
    torch.set_num_threads(1)
    settings = LabSettings.model_validate({"world": WORLD, "warmstart": {"steps": 60}})
    cache: Path = tmp_path_factory.mktemp("cache")
    return warm_start(settings, 1, cache), settings


@pytest.mark.parametrize("slices", [1, 2, 4, 8])
def test_seconds_per_step(start: tuple[TinyTransformer, LabSettings], slices: int) -> None:
    """One step of the quickstart: 24 questions × 8 rollouts, then one update."""
    model, settings = copy.deepcopy(start[0]), start[1]
    plan = settings.train.model_copy(update={"slices": slices})
    optimizer = Adam(list(model.parameters()), 0.0)
    episodes, initial = Episodes(settings, 3), copy.deepcopy(model)
    sampling = learning = 0.0
    tokens = 0
    for step in range(4):
        batch = [e for i in range(plan.prompts) for e in episodes.group(step * plan.prompts + i, plan.group_size)]
        started = time.process_time()
        played = rollout(model, batch, torch.Generator().manual_seed(step))
        sampled = time.process_time()
        update(model, initial, optimizer, played, plan)
        learned = time.process_time()
        if step:  # the first one warms caches up
            sampling, learning = sampling + sampled - started, learning + learned - sampled
            tokens += int(played.lengths_B.sum())
    total = sampling + learning
    print(
        f"\nslices {slices}: {total / 3:.3f} s/step (rollout {sampling / 3:.3f}, update {learning / 3:.3f}), "
        f"{tokens / total:,.0f} tokens/s"
    )
    assert total / 3 < SECONDS_PER_STEP


def test_seconds_per_cloning_step(start: tuple[TinyTransformer, LabSettings]) -> None:
    """The demonstrations alone, without the gradient."""
    started = time.process_time()
    for step in range(5):
        demonstrations(start[1], 1, step, Generated())
    each = (time.process_time() - started) / 5
    print(f"\ndemonstrations: {1000 * each:.1f} ms a batch of {start[1].warmstart.batch}")
    assert each < 0.2


def test_questions_per_minute(start: tuple[TinyTransformer, LabSettings]) -> None:
    """The generator makes at least 20,000 episodes a minute on one core."""
    episodes = Episodes(start[1], 5)
    started = time.process_time()
    for i in range(2000):
        episodes.episode(i).reset()
    rate = 2000 * 60 / (time.process_time() - started)
    print(f"\nworld: {rate:,.0f} episodes/minute")
    assert rate > EPISODES_PER_MINUTE
