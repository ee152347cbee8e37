"""Detached submissions: the driver runs on the cluster as a Ray Job and survives the client."""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from maineffect.errors import MaineffectError
from maineffect.execute.cluster.connect import TOKEN_HINT, wants_token
from maineffect.execute.cluster.runtime_env import RuntimeEnv

__all__ = ["ENDED", "DetachedJob", "job_id", "job_logs", "job_named", "job_of", "submit_job"]

ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
"""Ray's words for a job that is over."""
_AGENT_SECONDS = 30.0
_ANSWER_SECONDS = 10.0


@dataclass(frozen=True)
class DetachedJob:
    """A driver on the cluster.

    Attributes:
        created: Whether this call started it; otherwise it ran already.
        status: Ray's word for its state.
        message: What Ray says of it.
    """

    job_id: str
    created: bool
    status: str
    message: str = ""


def job_id(sweep_id: str, number: int) -> str:
    """Two drivers with the same number are one: Ray refuses the second."""
    return f"me-{sweep_id}-r{number}"


def submit_job(address: str, sweep_id: str, words: Sequence[str], runtime_env: RuntimeEnv) -> DetachedJob:
    """Start a driver on the cluster, or find the one that runs.

    Args:
        address: The cluster's dashboard, such as ``http://head:8265``.
        sweep_id: The sweep; one driver of it runs at a time, so that two clients who submit at once share it.
        words: The command line of the driver.
        runtime_env: Sent to the cluster; the driver starts in its folder. Can be read on the dashboard: no secrets.

    Raises:
        MaineffectError: The cluster does not answer or refuses.
    """
    client = _client(address)
    number = 1
    with _explained(address):
        while (job_info := _info(client, job_id(sweep_id, number))) is not None:
            if job_info.status not in ENDED:
                return DetachedJob(job_id(sweep_id, number), False, str(job_info.status))
            number += 1
        name = job_id(sweep_id, number)
        created = _submit(client, shlex.join(words), name, runtime_env.environment())
    return DetachedJob(name, created, "PENDING")


def _submit(client: Any, entrypoint: str, name: str, runtime: dict[str, Any]) -> bool:
    """Whether this call created the job; a cluster that has just started gets time to find its agents."""
    deadline = time.monotonic() + _AGENT_SECONDS
    while True:
        try:
            client.submit_job(entrypoint=entrypoint, submission_id=name, runtime_env=runtime)
        except RuntimeError as error:
            if "already exists" in str(error):
                return False  # another client was faster by a moment: its job is ours as well
            if "try again later" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(1.0)
        else:
            return True


def job_of(address: str, sweep_id: str) -> DetachedJob | None:
    """The latest driver of a sweep on this cluster."""
    client = _client(address)
    latest, number = None, 1
    with _explained(address):
        while (job_info := _info(client, job_id(sweep_id, number))) is not None:
            latest = DetachedJob(job_id(sweep_id, number), False, str(job_info.status), job_info.message or "")
            number += 1
    return latest


def job_named(address: str, name: str) -> DetachedJob | None:
    """A driver by its job's id; None where the cluster does not know it (any more)."""
    client = _client(address)
    with _explained(address):
        job_info = _info(client, name)
    return None if job_info is None else DetachedJob(name, False, str(job_info.status), job_info.message or "")


def job_logs(address: str, sweep_id: str) -> str:
    """What the latest driver of a sweep printed.

    Raises:
        MaineffectError: The cluster knows none, or does not answer.
    """
    job = job_of(address, sweep_id)
    if job is None:
        raise MaineffectError(f"no driver of {sweep_id} is known at {address}", "submit with --detach first")
    with _explained(address):
        return str(_client(address).get_job_logs(job.job_id))


def _client(address: str) -> Any:
    from ray.job_submission import JobSubmissionClient

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    logging.getLogger("ray").setLevel(logging.WARNING)
    try:
        _knock(address)
    except OSError as error:
        hint = "check that the cluster's dashboard runs, and its address (http://head:8265)"
        raise _refused(address, error, hint) from error
    with _explained(address):
        return JobSubmissionClient(address)


def _knock(address: str) -> None:
    """Ray's client would wait for minutes on a machine that is not there."""
    parts = urlsplit(address)
    if parts.hostname:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        socket.create_connection((parts.hostname, port), timeout=_ANSWER_SECONDS).close()


def _info(client: Any, name: str) -> Any | None:
    try:
        return client.get_job_info(name)
    except RuntimeError as error:
        if "404" in str(error) or "does not exist" in str(error) or "not found" in str(error).lower():
            return None
        raise


@contextlib.contextmanager
def _explained(address: str) -> Iterator[None]:
    """Ray's errors as one of ours: somebody answers there, but not as a dashboard does."""
    from ray.exceptions import RayError

    try:
        yield
    except (RuntimeError, OSError, RayError) as error:
        hint = TOKEN_HINT if wants_token(error) else "check that it is the dashboard's address (http://head:8265)"
        raise _refused(address, error, hint) from error


def _refused(address: str, error: Exception, hint: str) -> MaineffectError:
    first = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
    return MaineffectError(f"the Ray cluster at {address} does not take jobs: {first}", hint)
