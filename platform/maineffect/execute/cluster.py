"""Ray: started on this machine by default, or a cluster's address. Nothing else in the package talks to Ray's API."""

from __future__ import annotations

import logging
import os
from typing import Any

from maineffect.errors import MaineffectError
from maineffect.execute.one_run import WorkOrder
from maineffect.execute.worker import RunWorker

__all__ = ["actor_name", "connect", "disconnect", "start_worker"]

NAMESPACE = "maineffect"
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    # Accelerators are only set by what a run asks for; Ray must not blank them for runs that ask for none.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


def connect(address: str | None, *, workers: int | None, cpus: float, gpus: float) -> int:
    """Start or join Ray.

    Args:
        address: A cluster's address; None starts Ray on this machine, for this process only.
        workers: Most runs at a time.
        cpus: Cores of one run.
        gpus: GPUs of one run.

    Returns:
        Runs that fit at a time.

    Raises:
        MaineffectError: The cluster does not answer, or has no room for a single run.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import ray

    cores = os.cpu_count() or 1
    wanted = workers or max(1, int(cores // cpus))
    try:
        if ray.is_initialized():
            pass
        elif address is None:
            # Always an explicit address: a bare init joins whatever cluster a stale file names.
            ray.init(
                address="local",
                num_cpus=max(1, int(wanted * cpus + 0.999)),
                include_dashboard=False,
                namespace=NAMESPACE,
                log_to_driver=False,
                logging_level=logging.ERROR,
                configure_logging=False,
            )
        else:
            ray.init(address=address, namespace=NAMESPACE, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise MaineffectError(
            f"Ray does not start or answer at {address or 'this machine'}: {first}",
            "check `ray status`, the --address, and free memory and disk in /tmp",
        ) from error
    total = ray.cluster_resources()
    fit = int(total.get("CPU", 0) // cpus)
    if gpus:
        fit = min(fit, int(total.get("GPU", 0) // gpus))
    if fit < 1:
        disconnect(address)
        raise MaineffectError(
            f"one run needs {cpus:g} CPUs and {gpus:g} GPUs; "
            f"Ray has {total.get('CPU', 0):g} and {total.get('GPU', 0):g}",
            "lower `resources:` in the study, or give the --address of a larger cluster",
        )
    return min(wanted, fit) if address is None else min(workers or fit, fit)


def disconnect(address: str | None) -> None:
    """Leave Ray; an embedded one ends with everything it started."""
    import ray

    if address is None or ray.is_initialized():
        ray.shutdown()


def actor_name(order: WorkOrder) -> str:
    """A name that is taken while the attempt lives: a second start of it fails in the cluster."""
    return f"me-{order.request.sweep_id}-{order.request.run_id}-a{order.attempt}"


def start_worker(
    order: WorkOrder, cpus: float, gpus: float, memory_gb: float | None, timeout: float
) -> tuple[Any, Any]:
    """Start the detached actor of an attempt, or find it when another driver has started it.

    Returns:
        The actor's handle, and the reference of its outcome.
    """
    import ray

    options: dict[str, Any] = {
        "name": actor_name(order),
        "lifetime": "detached",
        "num_cpus": cpus,
        "num_gpus": gpus,
        "max_restarts": 0,
        "max_concurrency": 4,
    }
    if memory_gb is not None:
        options["memory"] = int(memory_gb * 1e9)
    try:
        actor = ray.remote(RunWorker).options(**options).remote(order, timeout)
    except ValueError:
        actor = ray.get_actor(actor_name(order), namespace=NAMESPACE)
    return actor, actor.result.remote()
