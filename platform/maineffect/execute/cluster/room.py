"""What this process may use of this machine, and whether a run fits into it at all."""

from __future__ import annotations

import contextlib
import importlib
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil

from maineffect.errors import MaineffectError
from maineffect.execute.cluster.needs import Needs

__all__ = ["accelerators_here", "amount_of", "number_of", "require_room", "usable_cores", "usable_memory"]

_GROUPS = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")
_NAMED_BY_RAY = ("accelerator_type:", "node:")


def usable_cores(groups: Path = _GROUPS, membership: Path = _MEMBERSHIP) -> float:
    """Cores that this process may use: by its affinity, and by the quota of its container, which may be a fraction.

    Args:
        groups: Where the control groups are mounted.
        membership: Which of them this process is in.
    """
    cores = float(len(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else float(os.cpu_count() or 1)
    for folder in _folders(groups, membership, "cpu"):
        with contextlib.suppress(OSError, ValueError, ZeroDivisionError):
            if (folder / "cpu.max").exists():
                quota, period = (folder / "cpu.max").read_text().split()
            else:
                quota, period = ((folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
            if quota != "max" and float(quota) > 0:
                cores = min(cores, float(quota) / float(period))
    return cores


def usable_memory(groups: Path = _GROUPS, membership: Path = _MEMBERSHIP) -> float:
    """Bytes of memory that this process may use: the machine's, or what its container is given."""
    most = float(psutil.virtual_memory().total)
    for folder in _folders(groups, membership, "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            with contextlib.suppress(OSError, ValueError):
                most = min(most, float((folder / name).read_text()))
    return most


def _folders(groups: Path, membership: Path, controller: str) -> Iterator[Path]:
    """Folders of this process's control group and of every group around it, in either version."""
    try:
        lines = membership.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    for line in [*lines, "0::/", f"1:{controller}:/"]:  # inside a container the group's own folder is the root
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        root = groups / controller if controllers else groups
        folder = root / path.lstrip("/")
        yield from (group for group in (folder, *folder.parents) if group.is_relative_to(root))


def amount_of(name: str, amount: float) -> str:
    """An amount of a resource, by Ray's name, in words."""
    return f"{number_of(name, {name: amount})} {'GB of memory' if name == 'memory' else name}"


def number_of(name: str, amounts: Mapping[str, float]) -> str:
    """Its number alone; memory, which Ray counts in bytes, in GB."""
    amount = amounts.get(name, 0.0)
    return f"{amount / 1e9:.3g}" if name == "memory" else f"{amount:g}"


def accelerators_here() -> dict[str, float] | None:
    """Accelerators of this machine by the names of their kinds, as Ray would count them; None where it does not say.

    Ray takes a machine to have one kind; variables such as ``CUDA_VISIBLE_DEVICES`` are heeded.
    """
    with contextlib.suppress(Exception):  # Ray asks the drivers of the devices, which may fail in ways of their own
        kinds: Any = importlib.import_module("ray._private.accelerators")
        found: Any = importlib.import_module("ray._private.resource_and_label_spec").ResourceAndLabelSpec
        kind, count = found._get_current_node_accelerator(None, {})
        here = dict.fromkeys(kinds.get_all_accelerator_resource_names(), 0.0)
        return here if kind is None else {**here, str(kind.get_resource_name()): float(count)}
    return None


def require_room(needs: Needs, given: Mapping[str, float] | None = None) -> None:
    """Refuse what can never run on this machine, before anything is started.

    Args:
        needs: What one run needs.
        given: Resources that the machine is said to have, whatever they stand for.

    Raises:
        MaineffectError: One run needs more of something than this process may use, or something that is not here.
    """
    wanted = needs.reserved()
    there: dict[str, float] = {"CPU": float(math.ceil(usable_cores())), "memory": usable_memory(), **(given or {})}
    others = {name for name in wanted if name not in there and not name.startswith(_NAMED_BY_RAY)}
    if others and (accelerators := accelerators_here()) is not None:
        # What is neither given nor an accelerator is on no machine by itself.
        there |= {name: accelerators.get(name, 0.0) for name in others}
    short = [name for name in wanted if name in there and wanted[name] > there[name]]
    if short:
        asked = " and ".join(amount_of(name, wanted[name]) for name in short)
        has = " and ".join(amount_of(name, there[name]) for name in short)
        raise MaineffectError(
            f"one run needs {asked}; this machine lets it have {has}",
            "lower `resources:` in the study, or give the --address of a larger cluster",
        )
