"""The Ray in use: one of our own on this machine by default, or a cluster that runs already."""

from __future__ import annotations

import atexit
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import psutil

from maineffect.errors import MaineffectError
from maineffect.execute.cluster import embedded
from maineffect.execute.cluster.board import export_options
from maineffect.execute.cluster.embedded import NAMESPACE, keep_ray_quiet, load_ray
from maineffect.execute.cluster.head import Head, end_without_ray, in_time, refusal
from maineffect.execute.cluster.needs import Needs
from maineffect.execute.cluster.processes import reap
from maineffect.execute.cluster.room import amount_of, number_of
from maineffect.execute.cluster.runtime_env import RuntimeEnv
from maineffect.execute.cluster.signals import stop_on_signals
from maineffect.record import swallowed

__all__ = ["TOKEN_HINT", "Cluster", "connect", "wants_token"]

_log = logging.getLogger(__name__)
_TASK_SECONDS = 120.0
_KNOCK_SECONDS = 5.0
_MEASURE_SECONDS = 5.0
TOKEN_HINT = "set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN (or RAY_AUTH_TOKEN_PATH) to the cluster's token"


@dataclass
class Cluster:
    """A Ray that answers.

    Attributes:
        slots: Runs that fit at a time.
        session: Identity of this Ray: an actor that this Ray does not know, but that belongs to it, is dead.
        embedded: Whether it lives and dies with this process.
        needs: What one run needs.
        notice: What the user should know of it.
        head: Its head, where this process is connected to that itself.
    """

    slots: int
    session: str
    embedded: bool
    needs: Needs
    _close: Callable[[], None]
    _measure: Callable[[], int]
    notice: str = ""
    head: Head | None = None

    def head_answers(self, say: Callable[[str], None]) -> bool:
        """Whether the cluster can be asked now; see :class:`Head`.

        Raises:
            MaineffectError: Its head has been away for too long.
        """
        return self.head is None or self.head.answers(say)

    def measure(self) -> None:
        """See how many runs fit now: a cluster grows and shrinks."""
        self.slots = in_time(self._measure, _MEASURE_SECONDS, self.slots)

    @property
    def has_node(self) -> bool:
        """Whether the one node of an embedded Ray lives: without it, whatever starts waits for ever.

        Asked of the system, because Ray itself takes half a minute to find out.
        """
        return any(_is_node(child) for child in psutil.Process().children())

    def room(self) -> str:
        """What a run needs, and what of it Ray has and has free, by its own word of this moment."""
        import ray

        wanted, total, free = self.needs.reserved(), ray.cluster_resources(), ray.available_resources()
        parts = [
            f"{amount_of(name, amount)} (free {number_of(name, free)} of {number_of(name, total)})"
            for name, amount in wanted.items()
        ]
        return f"it needs {', '.join(parts)} and waits for it"

    def nodes(self) -> list[Mapping[str, float]]:
        """Everything that each living node has, used or not, by Ray's names."""
        import ray

        return [node["Resources"] for node in ray.nodes() if node["Alive"]]

    def why_dead(self) -> str:
        """What is known of the death of an embedded Ray's node; empty if nothing is."""
        return embedded.last_words()

    def close(self) -> None:
        """Leave; an embedded Ray ends with everything that was started in it."""
        if self.head is None or not self.head.away:
            self._close()
            return
        atexit.register(end_without_ray)


def connect(
    address: str | None,
    needs: Needs,
    *,
    workers: int | None = None,
    runtime_env: RuntimeEnv | None = None,
    say: Callable[[str], None] = lambda _sentence: None,
) -> Cluster:
    """Start Ray on this machine, or join the cluster at ``address``.

    Args:
        address: ``auto``, ``host:port`` or ``ray://host:port``; None starts Ray for this process only.
        needs: What one run needs.
        workers: Most runs at a time.
        runtime_env: What a cluster is sent, such as the study's folder with the trainable in it.
        say: Called with what is waited for.

    Raises:
        MaineffectError: Ray does not answer, or (on this machine) has no room for a single run; or this process is
            connected to another one.
        KeyboardInterrupt: SIGTERM or SIGHUP came meanwhile.
    """
    load_ray()
    import ray

    notice = ""
    restore = stop_on_signals()
    close: Callable[[], None] = _nothing
    try:
        if ray.is_initialized():
            _require_connection(address)
        elif address is None:
            say("starting Ray on this machine")
            reap()
            exports, notice = export_options()
            close = embedded.start(needs, workers, exports, say)
        else:
            say(f"joining the Ray cluster {address}")
            reap()
            close = _join(address, runtime_env or RuntimeEnv())
        stop_on_signals()  # Ray has set handlers of its own
        slots, session = _slots(needs, workers, may_grow=address is not None), _session()
    except BaseException:
        close()
        restore()
        raise

    def leave() -> None:
        restore()
        close()

    def measure() -> int:
        return _slots(needs, workers, may_grow=address is not None)

    return Cluster(
        slots=slots,
        session=session,
        embedded=address is None,
        needs=needs,
        _close=leave,
        _measure=measure,
        notice=notice,
        head=_head() if address is not None else None,
    )


def _require_connection(address: str | None) -> None:
    """Refuse the Ray that this process, perhaps a notebook, is connected to unless it is the one that was asked for.

    Raises:
        MaineffectError: It is another one.
    """
    import ray
    from ray.util.client import ray as client

    if client.is_connected():
        if address is not None and (address == "auto" or address.startswith("ray://")):
            return
        where, option = "through Ray's client", "ray://…"
    else:
        own = any(_is_node(child) for child in psutil.Process().children())
        where = option = str(ray.get_runtime_context().gcs_address)
        if address in ("auto", where) or (address is None and own):
            return
        where += ", which it started itself" if own else ""
    asked = "a Ray of its own" if address is None else f"the Ray at {address}"
    raise MaineffectError(
        f"this process is connected to a Ray cluster already ({where}), and this sweep asks for {asked}",
        f"give the address {option} to use that one, or call ray.shutdown() first",
    )


def _is_node(child: psutil.Process) -> bool:
    try:
        return child.name() == "raylet" and child.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _head() -> Head | None:
    """The head to watch; through Ray's client, that is the affair of the client's server."""
    import ray
    from ray.util.client import ray as client

    return None if client.is_connected() else Head(str(ray.get_runtime_context().gcs_address))


def _nothing() -> None:
    return


def _slots(needs: Needs, workers: int | None, *, may_grow: bool) -> int:
    """Runs that fit at a time. A cluster that may grow is always asked for one more: that is what makes it grow."""
    import ray

    total = ray.cluster_resources()
    wanted = needs.reserved()
    fit = min(int(total.get(name, 0.0) / amount + 1e-9) for name, amount in wanted.items())
    if may_grow:
        return min(workers or fit + 1, fit + 1)
    if fit < 1:
        asked = ", ".join(amount_of(name, amount) for name, amount in wanted.items())
        there = ", ".join(amount_of(name, total.get(name, 0.0)) for name in wanted)
        raise MaineffectError(
            f"one run needs {asked}; Ray has {there}",
            "lower `resources:` in the study, or give the --address of a larger cluster",
        )
    return min(workers or fit, fit)


def _session() -> str:
    import ray

    with swallowed(_log, "the session's name, asked here"):
        return str(ray.get_runtime_context().get_session_name())
    try:
        asked = ray.remote(_session_inside).options(num_cpus=0).remote()
        return str(ray.get(asked, timeout=_TASK_SECONDS))
    except ray.exceptions.GetTimeoutError:
        living = sum(bool(node["Alive"]) for node in ray.nodes())
        raise MaineffectError(
            f"the Ray cluster answers, but has not run a task that needs nothing for {_TASK_SECONDS:g} s; "
            f"{living} node(s) of it live",
            "see `ray status` there" if living else "start a node there",
        ) from None


def _session_inside() -> str:
    import ray

    return str(ray.get_runtime_context().get_session_name())


def _join(address: str, runtime_env: RuntimeEnv) -> Callable[[], None]:
    import ray

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    keep_ray_quiet()
    _knock(address)
    in_job = "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ  # a Ray Job brought its environment along
    try:
        ray.init(
            address=address,
            namespace=NAMESPACE,
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env=None if in_job else runtime_env.environment(),
        )
    except Exception as error:
        raise _not_joined(address, error) from error

    def close() -> None:
        ray.shutdown()

    return close


def _knock(address: str) -> None:
    """Ray itself would wait for minutes where nothing listens.

    Raises:
        MaineffectError: Nothing does.
    """
    import ray

    where = urlsplit(address if "://" in address else f"//{address}")
    if not where.hostname or not where.port:
        return
    # Ray takes the loopback for this machine's own address, at which its head may listen alone.
    local = where.hostname in ("localhost", "127.0.0.1", "::1")
    hosts = [where.hostname, ray.util.get_node_ip_address()] if local else [where.hostname]
    refusals = [why for host in hosts if (why := refusal(host, where.port, _KNOCK_SECONDS))]
    if len(refusals) == len(hosts):
        raise MaineffectError(
            f"nothing answers at the address of the Ray cluster, {address}: {refusals[0].lower()}",
            "check that the cluster runs, and the --address",
        )


def wants_token(error: Exception) -> bool:
    """Whether Ray says that it does not know who asks."""
    said = str(error).lower()
    return any(word in said for word in ("unauthenticated", "unauthorized", "authentication token", "code 401"))


def _not_joined(address: str, error: Exception) -> MaineffectError:
    """Something answers, and does not take this process in."""
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    hint = TOKEN_HINT if wants_token(error) else "check `ray status` there, and the --address"
    return MaineffectError(f"the Ray cluster {address} cannot be joined: {first}", hint)
