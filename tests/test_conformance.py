"""The conformance tests pass on trainables that keep the contract, and fail on each way of breaking it."""

from __future__ import annotations

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar
from unittest import SkipTest

import pytest
from pydantic import ValidationError

from maineffect.conformance import TrainableConformance
from maineffect.lab import train_search_agent
from maineffect.plugins import load_trainable

GOOD = '''\
import json
import random

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid")
    steps: int = 6


def train(request, context):
    """A random walk with a checkpoint after every second step."""
    total, start = 0.0, 0
    latest = context.latest_checkpoint()
    if latest is not None:
        start, folder = latest
        total = json.loads((folder / "state.json").read_text())
    steps = request.settings.get("steps", 6)
    for step in range(start, steps):
        context.check_cancelled()
        total += random.Random(f"{context.seed('walk')}-{step}").gauss(0, 1)
        context.log(step, {"total": total})
        context.progress(step + 1, steps)
        if step % 2:
            value = total
            context.save_checkpoint(step + 1, lambda folder: (folder / "state.json").write_text(json.dumps(value)))
    return {"skill": total}


train.settings_model = Settings
train.response_names = ("skill",)
'''

BROKEN: dict[str, tuple[str, str, str]] = {
    # test that must fail → (what is replaced, by what, part of the message)
    "test_settings_and_responses_are_declared": ('("skill",)', '("skil",)', "response_names lacks"),
    "test_returns_every_declared_response_as_a_finite_number": (
        '{"skill": total}',
        '{"skill": float("nan")}',
        "finite",
    ),
    "test_everything_it_returns_and_logs_can_be_written": (
        '{"skill": total}',
        '{"skill": total, "phase": "late"}',
        r"^left out of the result, as they are no numbers: 'phase' \(str\)$",
    ),
    "test_request_and_result_travel_between_processes": (
        "    total, start = 0.0, 0",
        '    total, start = 0.0, 0; request.settings["more"] = 1',
        "changed its request",
    ),
    "test_equal_seeds_give_equal_responses": ("f\"{context.seed('walk')}-{step}\"", "None", "other responses"),
    "test_logs_numbers_at_rising_steps": ("context.log(step,", "context.log(-step,", "fall back"),
    "test_a_resumed_run_ends_as_an_uninterrupted_one": (
        'total = json.loads((folder / "state.json").read_text())',
        "total = 0.0",
        "ended elsewhere",
    ),
}

TESTS = sorted(name for name in dir(TrainableConformance) if name.startswith("test_"))


def case(folder: Path, source: str, **fields: Any) -> TrainableConformance:
    """The conformance tests over one trainable written into a folder."""
    (folder / "walk.py").write_text(source)
    given = {"trainable": staticmethod(load_trainable("walk:train", folder)), "responses": ("skill",), **fields}
    return type("Case", (TrainableConformance,), given)()


@pytest.mark.parametrize("name", TESTS)
def test_a_good_trainable_passes(tmp_path: Path, name: str) -> None:
    getattr(case(tmp_path, GOOD, settings={"steps": 6}), name)()


def test_every_check_has_a_trainable_that_fails_it() -> None:
    assert sorted(BROKEN) == TESTS


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_a_broken_trainable_fails(tmp_path: Path, name: str) -> None:
    old, new, message = BROKEN[name]
    assert old in GOOD
    with pytest.raises(AssertionError, match=message):
        getattr(case(tmp_path, GOOD.replace(old, new), settings={"steps": 6}), name)()


RESULT = "from maineffect.contracts import RunResult\n\n\ndef train(request, context):\n    return {}\n"


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        ("{'skil': 1.0}", r"returned \['skil'\], the study declares also 'skill' \(returned 'skil'\?\)"),
        ("{'skill': 'high'}", "the response 'skill' is 'high', not a number"),
        ("[1.0]", "the trainable returned list, not a RunResult or a mapping of responses"),
        (
            "RunResult({'skill': 1.0}, items=[{'meta': {'a': 1}}])",
            "^the item column 'meta' holds values .*: kept as JSON",
        ),
        ("RunResult({'skill': 1.0}, texts={'notes': None})", "^the text 'notes' is NoneType, no text: left out$"),
        ("context.log(1, {'kl': None}) or {'skill': 1.0}", "^left out of the curves, as it is no number: kl = None$"),
    ],
)
def test_a_result_is_checked_and_written_as_a_run_does_it(tmp_path: Path, returned: str, said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        case(tmp_path, RESULT.format(returned)).test_everything_it_returns_and_logs_can_be_written()


def test_it_is_checked_in_the_main_thread_as_a_sweep_runs_it(tmp_path: Path) -> None:
    handles = GOOD.replace("    total, start =", "    signal.signal(signal.SIGUSR1, signal.SIG_IGN); total, start =")
    checked = case(tmp_path, f"import signal\n{handles}")
    before = signal.getsignal(signal.SIGUSR1)
    checked.test_returns_every_declared_response_as_a_finite_number()
    signal.signal(signal.SIGUSR1, before)
    with ThreadPoolExecutor(1) as pool:
        error = pool.submit(checked.test_returns_every_declared_response_as_a_finite_number).exception()
    assert isinstance(error, AssertionError)
    assert str(error).startswith("a sweep runs a trainable in the main thread of its process")


def test_settings_are_held_to_the_model(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="step\n  Extra inputs are not permitted"):
        case(tmp_path, GOOD, settings={"step": 6}).test_settings_and_responses_are_declared()


def test_a_run_that_ignores_cancellation_is_found(tmp_path: Path) -> None:
    deaf = GOOD.replace("        context.check_cancelled()\n", "")
    with pytest.raises(AssertionError, match="check_cancelled"):
        case(tmp_path, deaf).test_a_resumed_run_ends_as_an_uninterrupted_one()


def test_what_cannot_be_checked_is_skipped_not_passed(tmp_path: Path) -> None:
    with pytest.raises(SkipTest, match="no checkpoint"):
        case(tmp_path, GOOD.replace("if step % 2:", "if False:")).test_a_resumed_run_ends_as_an_uninterrupted_one()
    with pytest.raises(SkipTest, match="not deterministic"):
        case(tmp_path, GOOD, deterministic=False).test_equal_seeds_give_equal_responses()


def test_pytest_collects_a_subclass(tmp_path: Path) -> None:
    (tmp_path / "walk.py").write_text(GOOD)
    (tmp_path / "test_walk.py").write_text(
        "from pathlib import Path\n"
        "from maineffect.conformance import TrainableConformance\n"
        "from maineffect.plugins import load_trainable\n"
        "class TestWalk(TrainableConformance):\n"
        "    responses = ('skill',)\n"
        "    def load(self):\n"
        "        return load_trainable('walk:train', Path(__file__).parent)\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_walk.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert f"{len(TESTS)} passed" in done.stdout


def test_the_module_itself_needs_no_pytest() -> None:
    code = "import sys, maineffect.conformance; print('pytest' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"


class TestSearchAgent(TrainableConformance):
    """The built-in trainable is held to the same contract."""

    trainable = staticmethod(train_search_agent)
    settings: ClassVar = {
        "warmstart": {"steps": 3, "batch": 4},
        "train": {"steps": 4, "prompts": 2, "group_size": 2, "checkpoint_every": 1},
        "evaluation": {"items": 4, "pairs": 2, "regime_episodes": 8, "transcripts": 0},
    }
    responses = ("clean_accuracy", "abstention_unanswerable", "reward_gain")
