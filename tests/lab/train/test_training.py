"""The trainer learns, resumes bit for bit, and says when it has collapsed."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from maineffect.contracts import RunCancelled
from maineffect.lab import train_search_agent
from maineffect.lab.policy.models import TinyTransformer
from maineffect.lab.policy.tokens import decode
from maineffect.lab.questions.generated import Generated
from maineffect.lab.sampling.sampler import TinySampler
from maineffect.lab.settings import LabSettings
from maineffect.lab.start import start_seed
from maineffect.lab.train.advantages import group_advantages
from maineffect.lab.train.demonstrations import demonstrations, room
from maineffect.lab.train.loop import train
from maineffect.lab.train.warmstart import warm_start
from maineffect.seeds import derive_seed


class Rewarded(TinySampler):
    """Rewards depend on what was written: an untrained policy's all earn the same, which teaches nothing."""

    def play(self, episodes: Any, generator: torch.Generator | None) -> Any:
        played = super().play(episodes, generator)
        played.rewards_B = (played.tokens_BT * played.written_BT).sum(1).remainder(7).float()
        played.truncated_B[:] = False
        return played


def test_the_same_request_gives_the_same_numbers(small, make_context, make_request) -> None:
    first = train_search_agent(make_request(small), make_context("a"))
    second = train_search_agent(make_request(small), make_context("b"))
    # Some numbers are "not a number" where nothing was answered: compare by what is written.
    assert repr(first.responses) == repr(second.responses)
    assert first.measures == second.measures
    assert repr(list(first.items)) == repr(list(second.items))


def test_labels_and_the_name_of_a_cell_change_nothing(small, make_context, make_request) -> None:
    """What a study of labels finds is chance: with the same seeds another cell's run is the same run."""
    first = train_search_agent(make_request(small), make_context("a"))
    labelled = {**small, "labels": {"label_a": "on", "label_b": "off"}}
    other = replace(make_request(labelled), cell_id="c2", run_id="c2-r2", levels={"label_a": "on"}, replicate=2)
    second = train_search_agent(other, make_context("b"))
    assert repr(first.responses) == repr(second.responses)
    assert first.measures == second.measures


@pytest.mark.parametrize("trainer", [{}, {"staleness": 1}, {"curriculum": "rising", "epochs": 2, "minibatches": 2}])
def test_a_resumed_run_equals_the_uninterrupted_one_bit_for_bit(small, make_context, trainer) -> None:
    settings = LabSettings.model_validate({**small, "train": {**small["train"], **trainer}})
    whole_context, broken_context = make_context("whole"), make_context("broken", stop_at=3)
    start = warm_start(settings, 5, whole_context.cache_dir).state_dict()

    def fresh() -> TinyTransformer:
        model = TinyTransformer(settings.policy, room(settings), 1)
        model.load_state_dict(start)
        return model

    def trained(context: Any) -> TinyTransformer:
        model = fresh()
        return train(model, settings, context, Rewarded(model))  # type: ignore[return-value]

    whole = trained(whole_context)
    with pytest.raises(RunCancelled):
        trained(broken_context)
    broken_context._stop_at = None
    resumed = trained(broken_context)
    assert not torch.equal(whole.embedding.weight, start["embedding.weight"])
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)
    for (step, one), (again, other) in zip(whole_context.logged[2:], broken_context.logged[-2:], strict=True):
        assert step == again
        # Speed and shares of time are the only things that a clock decides.
        clock = {name for name in one if name.startswith(("tokens_per_second", "time_share"))}
        assert {name: one[name] for name in one.keys() - clock} == {name: other[name] for name in other.keys() - clock}
        assert len(clock) == 6


def test_a_clone_is_the_sweeps_and_untrained_weights_are_the_runs(small, make_context) -> None:
    settings, context = LabSettings.model_validate(small), make_context()
    own = context.seed("init")
    assert start_seed(settings, None, own) == own
    assert start_seed(settings, 7, own) == derive_seed(7, "init") != own
    for untrained in ({"steps": 0}, {"demonstrator": "none"}):
        bare = LabSettings.model_validate({**small, "warmstart": {**small["warmstart"], **untrained}})
        assert start_seed(bare, 7, own) == own


def test_runs_with_their_own_seeds_start_from_one_clone(small, make_context, make_request) -> None:
    starts = {}
    for seed, base in ((1, 7), (2, 7), (2, None)):
        context = make_context(f"{seed}-{base}", seed=seed)
        train_search_agent(replace(make_request(small, seed), base_seed=base), context)
        starts[seed, base] = {path.name for path in (context.cache_dir / "warmstart").glob("*.pt")}
    assert starts[1, 7] == starts[2, 7] != starts[2, None]
    assert {len(files) for files in starts.values()} == {1}


def test_the_warm_start_is_made_once(small, make_context) -> None:
    settings = LabSettings.model_validate(small)
    context = make_context()
    a = warm_start(settings, 5, context.cache_dir)
    files = {path: path.stat().st_mtime_ns for path in (context.cache_dir / "warmstart").glob("*.pt")}
    b = warm_start(settings, 5, context.cache_dir)
    assert len(files) == 1
    assert {path: path.stat().st_mtime_ns for path in files} == files
    assert all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))
    other = warm_start(settings, 6, context.cache_dir)
    assert not all(torch.equal(x, y) for x, y in zip(a.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize(
    ("clone", "learn"),
    [
        ({"steps": 90, "batch": 32}, {"steps": 10, "prompts": 12}),
        pytest.param({"steps": 110, "batch": 48}, {"steps": 14, "prompts": 16}, marks=pytest.mark.slow),
    ],
)
def test_cloning_and_grpo_learn(make_context, clone, learn) -> None:
    """On one-hop questions a short warm start reads, and GRPO raises the reward on what it trains on."""
    settings = LabSettings.model_validate(
        {
            "world": {"hops": 1, "distractors": 1, "unanswerable_share": 0.5},
            "policy": {"width": 48},
            "warmstart": clone,
            "train": learn,
        }
    )
    context = make_context(seed=2)
    model = warm_start(settings, 2, context.cache_dir)
    train(model, settings, context)
    rewards = [metrics["reward"] for _, metrics in context.logged]
    first, last = sum(rewards[:4]) / 4, sum(rewards[-4:]) / 4
    assert last > first + 0.05, rewards
    assert all(math.isfinite(value) for _, metrics in context.logged for value in metrics.values())
    assert max(metrics["mismatch_max"] for _, metrics in context.logged) < 1e-3


def test_slices_clone_the_same_policy_up_to_rounding(small, make_context) -> None:
    starts = []
    for slices in (1, 3):
        settings = LabSettings.model_validate({**small, "warmstart": {**small["warmstart"], "slices": slices}})
        starts.append(warm_start(settings, 5, make_context(f"s{slices}").cache_dir))
    untrained = TinyTransformer(settings.policy, room(settings), derive_seed(5, "weights"))
    assert not torch.equal(starts[0].embedding.weight, untrained.embedding.weight)
    for (name, a), (_, b) in zip(starts[0].named_parameters(), starts[1].named_parameters(), strict=True):
        # Adam divides by the gradient's size, so rounding shows where a gradient is nearly 0.
        assert ((a - b).abs() > 1e-4).float().mean() < 0.02, name


def test_a_fresh_process_gives_the_same_numbers_without_slow_imports(small, make_context, make_request) -> None:
    """The same request here and in a new interpreter, which shares nothing but the seed."""
    here = train_search_agent(make_request(small), make_context())
    code = (
        "import json, sys, pathlib, importlib.util as u\n"
        "spec = u.spec_from_file_location('lab_conftest', sys.argv[1]); m = u.module_from_spec(spec)\n"
        "sys.modules['lab_conftest'] = m; spec.loader.exec_module(m)\n"
        "from maineffect.contracts import RunRequest\n"
        "from maineffect.lab import train_search_agent as t\n"
        "r = RunRequest('study', 'sweep', 'c1-r1', 'c1', 1, {}, m.SMALL, 5, 99, (), 'maineffect.lab:train_search_agent')\n"
        "print(repr(t(r, m.FolderContext(pathlib.Path(sys.argv[2]))).responses))\n"
        # A second of import each, in every run: neither is needed.
        "print([name for name in ('torch._dynamo', 'scipy.stats') if name in sys.modules])\n"
    )
    conftest = Path(__file__).resolve().parents[1] / "conftest.py"
    folder = make_context("there").run_dir.parent
    there = subprocess.run(
        [sys.executable, "-c", code, str(conftest), str(folder)], capture_output=True, text=True, check=True
    )
    assert there.stdout.splitlines() == [repr(here.responses), "[]"]


def test_a_careful_demonstrator_teaches_what_the_naive_one_does_not(small) -> None:
    """Same questions: only the careful one abstains where nothing is found and cites the reliable source."""
    tokens = {}
    for name in ("naive", "careful"):
        settings = LabSettings.model_validate({**small, "warmstart": {"demonstrator": name, "batch": 200}})
        shown = demonstrations(settings, 5, 0, Generated())
        rows, written = shown.tokens_BT, shown.written_BT
        assert rows.shape == written.shape
        tokens[name] = [decode(row[mask].tolist()) for row, mask in zip(rows, written, strict=True)]
    abstained = {name: sum("none" in text for text in texts) for name, texts in tokens.items()}
    assert abstained["careful"] > 1.5 * abstained["naive"], abstained
    assert all("likely" not in text for text in tokens["careful"])


def test_without_a_warm_start_nothing_is_cloned(small, make_context) -> None:
    settings = LabSettings.model_validate({**small, "warmstart": {"demonstrator": "none"}})
    context = make_context()
    model = warm_start(settings, 5, context.cache_dir)
    fresh = TinyTransformer(settings.policy, room(settings), derive_seed(5, "weights"))
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), fresh.parameters(), strict=True))
    assert not list(context.cache_dir.glob("warmstart/*.pt"))


def test_advantages_known_answers() -> None:
    rewards = torch.tensor([[1.0, 0.0, 0.0, 1.0], [2.0, 2.0, 2.0, 2.0]])
    assert torch.equal(group_advantages(rewards, "mean"), torch.tensor([[0.5, -0.5, -0.5, 0.5], [0.0] * 4]))
    scaled = group_advantages(rewards, "std")
    torch.testing.assert_close(
        scaled[0], torch.tensor([1.0, -1.0, -1.0, 1.0]) * 0.5 / rewards[0].std(), atol=1e-4, rtol=0
    )
    assert torch.equal(scaled[1], torch.zeros(4))


def test_the_room_of_transcripts_is_computed_once_a_clone(small, make_context, monkeypatch) -> None:
    """Not once a batch; and what is demonstrated is the same."""
    from maineffect.lab.train import cloning, warmstart
    from maineffect.lab.train import demonstrations as shown

    calls: list[int] = []

    def counted(*args: object) -> int:
        calls.append(room(*args))
        return calls[-1]

    monkeypatch.setattr(warmstart, "room", counted)
    monkeypatch.setattr(cloning, "room", counted)
    monkeypatch.setattr(shown, "room", counted)
    settings = LabSettings.model_validate(small)
    warm_start(settings, 5, make_context("room").cache_dir)
    assert len(calls) == 2, "for the model and for its demonstrations"
    one, other = (
        demonstrations(settings, 5, 1, Generated()),
        demonstrations(settings, 5, 1, Generated(), None, room(settings)),
    )
    assert torch.equal(one.tokens_BT, other.tokens_BT)
    assert torch.equal(one.written_BT, other.written_BT)
