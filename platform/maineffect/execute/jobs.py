"""Detached submissions: the driver runs on the cluster as a Ray Job and survives the client."""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maineffect.errors import MaineffectError
from maineffect.execute.embedded import ENVIRONMENT, NOT_SENT

__all__ = ["DetachedJob", "job_id", "job_logs", "job_of", "submit_job"]

_ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
_AGENT_SECONDS = 30.0


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


def submit_job(
    address: str, sweep_id: str, words: Sequence[str], *, study_dir: Path, environment: Mapping[str, str]
) -> DetachedJob:
    """Start a driver on the cluster, or find the one that runs.

    Args:
        address: The cluster's dashboard, such as ``http://head:8265``.
        sweep_id: The sweep; one driver of it runs at a time, so that two clients who submit at once share it.
        words: The command line of the driver.
        study_dir: Sent to the cluster; the driver starts in it.
        environment: Settings of the driver. They can be read on the dashboard: no secrets.

    Raises:
        MaineffectError: The cluster does not answer or refuses.
    """
    client = _client(address)
    number = 1
    with _explained(address):
        while (known := _info(client, job_id(sweep_id, number))) is not None:
            if known.status not in _ENDED:
                return DetachedJob(job_id(sweep_id, number), False, str(known.status))
            number += 1
        name = job_id(sweep_id, number)
        runtime: dict[str, Any] = {
            "working_dir": str(study_dir),
            "excludes": list(NOT_SENT),
            "env_vars": {**ENVIRONMENT, **environment},
        }
        created = _submit(client, shlex.join(words), name, runtime)
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
        while (known := _info(client, job_id(sweep_id, number))) is not None:
            latest = DetachedJob(job_id(sweep_id, number), False, str(known.status), known.message or "")
            number += 1
    return latest


def job_logs(address: str, sweep_id: str) -> str:
    """What the latest driver printed."""
    job = job_of(address, sweep_id)
    if job is None:
        raise MaineffectError(f"no driver of {sweep_id} is known at {address}", "submit with --detach first")
    with _explained(address):
        return str(_client(address).get_job_logs(job.job_id))


def _client(address: str) -> Any:
    from ray.job_submission import JobSubmissionClient

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    logging.getLogger("ray").setLevel(logging.WARNING)
    with _explained(address):
        return JobSubmissionClient(address)


def _info(client: Any, name: str) -> Any | None:
    try:
        return client.get_job_info(name)
    except RuntimeError as error:
        if "404" in str(error) or "does not exist" in str(error) or "not found" in str(error).lower():
            return None
        raise


@contextlib.contextmanager
def _explained(address: str) -> Iterator[None]:
    """Ray's errors as one of ours."""
    try:
        yield
    except (RuntimeError, ConnectionError, OSError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        hint = "check that it is the dashboard's address (http://head:8265)"
        if "token" in str(error).lower() or "401" in str(error):
            hint = "set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN (or RAY_AUTH_TOKEN_PATH) to the cluster's token"
        raise MaineffectError(f"the Ray cluster at {address} does not take jobs: {first}", hint) from error
