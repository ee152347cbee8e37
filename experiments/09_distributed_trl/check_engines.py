"""Holds the command lines of verl.yaml and prime_rl.yaml against their engines' own parsers; starts nothing.

    python check_engines.py verl.yaml        needs verl (its package without dependencies will do) and hydra-core
    python check_engines.py prime_rl.yaml    needs prime-rl-configs and the environment's taskset

Every cell's line is filled as a run fills it, at a run's beginning and when it goes on from a checkpoint.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from maineffect.command.template import parse

FILLED = {"seed": 7, "run_dir": "/runs/r1", "results": "/runs/r1/results.json", "metrics": "/runs/r1/metrics.jsonl"}


def lines(study: dict[str, Any]) -> Iterator[tuple[dict[str, Any], list[str]]]:
    """Levels of each cell, and the words that the engine is started with, first fresh and then resumed."""
    settings = {name: value for name, value in study["settings"].items() if isinstance(value, str | int | float)}
    factors = {name: factor["levels"] for name, factor in study["factors"].items()}
    for cell in itertools.product(*factors.values()):
        levels = dict(zip(factors, cell, strict=True))
        words = parse(study["settings"]["command"]).fill(
            {**settings, **FILLED, **levels, "checkpoint": "", "python": sys.executable}
        )
        engine = words[words.index("--") + 1 :]
        more = shlex.split(words[words.index("--resumed") + 1])
        link = words[words.index("--linked-as") + 1] + "20"
        yield levels, engine
        yield {**levels, "resumed": True}, [*engine, *(word.replace("CHECKPOINT", link) for word in more)]


def verl(words: list[str]) -> Any:
    """Compose verl's configuration by Hydra, as ``verl.trainer.main_ppo`` does; unknown keys raise."""
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    found = importlib.util.find_spec("verl")
    assert found is not None, "verl is not installed here"
    assert found.submodule_search_locations is not None
    folder = Path(found.submodule_search_locations[0]) / "trainer" / "config"
    overrides = words[words.index("verl.trainer.main_ppo") + 1 :]
    with initialize_config_dir(str(folder), version_base=None):
        config = compose("ppo_trainer", overrides=overrides)
    OmegaConf.to_container(config, resolve=True)
    trainer, actor = config.trainer, config.actor_rollout_ref.actor
    return trainer.resume_mode, trainer.resume_from_path, actor.optim.lr, actor.kl_loss_coef


def prime_rl(words: list[str]) -> Any:
    """Read prime-rl's configuration by its pydantic models, as its entry point ``rl`` does; unknown keys raise."""
    from prime_rl.configs.rl import RLConfig
    from prime_rl.utils.config import cli

    sys.argv = words
    config = cli(RLConfig)
    return config.resume, config.trainer.optim.lr, config.orchestrator.group_size, config.run_dir


def main() -> None:
    """Check one study's lines and print what the engine understood of each."""
    path = Path(sys.argv[1])
    os.chdir(path.resolve().parent)
    study = yaml.safe_load(Path(path.name).read_text())
    for levels, words in lines(study):
        print(levels, "→", {"verl": verl, "prime_rl": prime_rl}[path.stem](words))  # noqa: T201


if __name__ == "__main__":
    main()
