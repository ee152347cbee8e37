"""Settings that every test needs before anything heavy is imported."""

from __future__ import annotations

import os
import signal


def pytest_configure() -> None:
    """A shell tells what it starts in the background to ignore Ctrl-C, and processes hand that on: tests need it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["HF_HUB_OFFLINE"] = "1"
for _name in ("MLFLOW_TRACKING_URI", "MAINEFFECT_TRACKING_URI", "MAINEFFECT_HOME", "RAY_ADDRESS"):
    os.environ.pop(_name, None)
