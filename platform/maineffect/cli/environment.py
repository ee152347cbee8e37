"""What this machine offers: versions, devices, and whether the ledger's store keeps its promise."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
from typing import TYPE_CHECKING, Any

from maineffect.errors import MaineffectError

if TYPE_CHECKING:
    from maineffect.study import Place

__all__ = ["environment", "environment_text"]

LIBRARIES = (
    "maineffect",
    "ray",
    "torch",
    "mlflow",
    "optuna",
    "pandas",
    "numpy",
    "scipy",
    "pydantic",
    "typer",
    "altair",
)
OPTIONAL = {"vllm": "vllm", "transformers": "vllm", "streamlit": "dashboard"}


def environment(place: Place) -> dict[str, Any]:
    """The document of ``env --json``."""
    return {
        "schema_version": 1,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "gpus": _gpus(),
        "libraries": {name: _installed(name) for name in LIBRARIES},
        "optional": {
            name: _installed(name) or f"absent; pip install 'maineffect[{extra}]'" for name, extra in OPTIONAL.items()
        },
        "home": str(place.home),
        "ledger": _ledger(place),
        "disk_free_gb": round(shutil.disk_usage(_existing(place)).free / 1e9, 1),
    }


def _existing(place: Place) -> str:
    path = place.home
    while not path.exists():
        path = path.parent
    return str(path)


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _gpus() -> list[str]:
    """GPU names as the driver tells them, without starting CUDA in this process."""
    import subprocess

    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    done = subprocess.run(
        [tool, "--query-gpu=name", "--format=csv,noheader"], capture_output=True, text=True, timeout=10
    )
    return [line.strip() for line in done.stdout.splitlines() if line.strip()] if done.returncode == 0 else []


def _ledger(place: Place) -> dict[str, Any]:
    from maineffect.ledger.sweep.contract import check_store

    try:
        uri = place.uri()
        check_store(uri)
    except MaineffectError as error:
        return {"works": False, "message": error.message, "hint": error.hint}
    from maineffect.ledger.store.texts import redact

    return {"works": True, "uri": redact(uri)}


def environment_text(document: dict[str, Any]) -> str:
    """The same for people."""
    lines = [f"Python {document['python']} on {document['machine']}, {document['cpus']} CPUs"]
    lines.append("GPUs: " + (", ".join(document["gpus"]) or "none seen"))
    lines += [f"  {name:<14}{version or 'absent'}" for name, version in document["libraries"].items()]
    lines += [f"  {name:<14}{version}" for name, version in document["optional"].items()]
    ledger = document["ledger"]
    verdict = (
        f"works: {ledger['uri']}" if ledger["works"] else f"does not work: {ledger['message']}\n  → {ledger['hint']}"
    )
    lines.append(f"ledger {verdict}")
    lines.append(f"home {document['home']}, {document['disk_free_gb']} GB free")
    return "\n".join(lines)
