"""Processes beside a run: actors on the bundles of the run's own placement group, which end with the run."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from maineffect.contracts import RunLost
from maineffect.errors import PluginError
from maineffect.execute.cluster.processes import MARK

__all__ = ["RayCompanion", "RayCompanions"]

_OWN = ("CPU", "GPU", "memory")


class _Host:
    """Lives in the companion's process and holds what was made there.

    Args:
        mark: Carried by whatever is started there, so that it can be found and ended when the run is dead.
        path: Where modules are looked for as well, such as the study's folder.
    """

    def __init__(self, mark: str, path: Sequence[str]) -> None:
        os.environ[MARK] = mark
        sys.path += [folder for folder in path if folder not in sys.path]
        self._made: Any = None

    def make(self, maker: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        """Separate from the start, so that what ``maker`` raises arrives as itself."""
        self._made = maker(*arguments)

    def call(self, method: str, arguments: tuple[Any, ...]) -> Any:
        """One call after another."""
        return getattr(self._made, method)(*arguments)


class RayCompanion:
    """Implements :class:`maineffect.contracts.Companion` with a Ray actor."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    def make(self, maker: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        """Call ``maker`` there; large arguments travel through Ray's object store."""
        self._wait(self._actor.make.remote(maker, arguments))

    def call(self, method: str, /, *arguments: Any) -> Any:
        """Call a method there and wait for what it returns."""
        return self._wait(self._actor.call.remote(method, arguments))

    def close(self) -> None:
        """End the process."""
        import ray

        with contextlib.suppress(ray.exceptions.RayError):
            ray.kill(self._actor)

    @staticmethod
    def _wait(reference: Any) -> Any:
        import ray

        try:
            return ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            raise (error.cause if isinstance(error.cause, Exception) else error) from None
        except ray.exceptions.OutOfMemoryError as error:
            raise MemoryError("a process beside the run was ended for want of memory") from error
        except ray.exceptions.RayActorError as error:
            raise RunLost("a process beside the run is gone") from error


class RayCompanions:
    """Starts companions, one on each bundle.

    Args:
        group: The run's placement group, whose first bundle is the run's own.
        bundles: Resources of the bundles after it.
    """

    def __init__(self, group: Any, bundles: Sequence[Mapping[str, float]]) -> None:
        self._group, self._bundles, self._used = group, bundles, 0

    def start(self, maker: Callable[..., Any], arguments: tuple[Any, ...]) -> RayCompanion:
        """Start a process on the next bundle and call ``maker`` there.

        Raises:
            PluginError: Every bundle has its process already.
        """
        import ray
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        if self._used >= len(self._bundles):
            hint = f"reserve one more: resources.bundles has {len(self._bundles)}"
            raise PluginError("every bundle of the run has its process already", hint)
        bundle = self._bundles[self._used]
        self._used += 1
        where = PlacementGroupSchedulingStrategy(self._group, self._used)
        options: dict[str, Any] = {
            "num_cpus": bundle.get("CPU", 0.0),
            "num_gpus": bundle.get("GPU", 0.0),
            "resources": {name: amount for name, amount in bundle.items() if name not in _OWN} or None,
            "max_restarts": 0,
            "scheduling_strategy": where,
        }
        actor = ray.remote(_Host).options(**options).remote(os.environ.get(MARK, ""), list(sys.path))
        companion = RayCompanion(actor)
        companion.make(maker, arguments)
        return companion
