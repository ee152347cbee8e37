"""Word between a driver and its runs that needs no call into them: small entries in Ray's own key-value store.

A run computes in the only thread in which its process could answer calls. So threads beside it leave its report here,
and look here for the request to stop. A driver that adopts a run finds both under the run's name.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import astuple, dataclass

__all__ = ["Report", "ask_to_stop", "forget", "leave_report", "read_reports", "stop_asked"]

_NAMESPACE = "maineffect"


@dataclass(frozen=True)
class Report:
    """What a run says of itself.

    Attributes:
        done: Steps done.
        total: Steps in all.
        seconds: Of training so far; 0 while it claims.
        limit: Its time limit in seconds.
        notice: What the user should know of the place where it runs.
    """

    done: int
    total: int
    seconds: float
    limit: float
    notice: str = ""


def leave_report(name: str, report: Report) -> None:
    """Replace the report of a run."""
    from ray.experimental import internal_kv

    internal_kv._internal_kv_put(f"{name}/report", json.dumps(astuple(report)), overwrite=True, namespace=_NAMESPACE)


def read_reports(names: Iterable[str]) -> dict[str, Report]:
    """Name → report, of runs that have left one."""
    from ray.experimental import internal_kv

    texts = {name: internal_kv._internal_kv_get(f"{name}/report", namespace=_NAMESPACE) for name in names}
    return {name: Report(*json.loads(text)) for name, text in texts.items() if text}


def ask_to_stop(name: str) -> None:
    """Ask a run to stop at its next step."""
    from ray.experimental import internal_kv

    internal_kv._internal_kv_put(f"{name}/stop", "1", overwrite=True, namespace=_NAMESPACE)


def stop_asked(name: str) -> bool:
    """Whether the run was asked to stop."""
    from ray.experimental import internal_kv

    return bool(internal_kv._internal_kv_get(f"{name}/stop", namespace=_NAMESPACE))


def forget(name: str) -> None:
    """Take away whatever was left under a name: before its run starts, and after it has ended."""
    from ray.experimental import internal_kv

    internal_kv._internal_kv_del(f"{name}/", del_by_prefix=True, namespace=_NAMESPACE)
