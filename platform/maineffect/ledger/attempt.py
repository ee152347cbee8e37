"""One attempt being recorded: a tracking run, its metrics, and at the end one commit or one end."""

from __future__ import annotations

import hashlib
import json
import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from maineffect.contracts import FailureClass, RunResult
from maineffect.ledger.records import Records
from maineffect.ledger.spool import Spool
from maineffect.ledger.tracking import client, store_errors

__all__ = ["MlflowAttempt"]


class MlflowAttempt:
    """Implements :class:`maineffect.contracts.AttemptRecord` over one MLflow run."""

    def __init__(self, records: Records, run_id: str, attempt: int, tracking_run_id: str, run_dir: Path) -> None:
        self._records, self._run_id, self._attempt = records, run_id, attempt
        self._tracking = tracking_run_id
        self._uri = records.uri
        self._spool = Spool(run_dir / "spool.jsonl", self._uri, tracking_run_id)
        self._curves: dict[str, list[tuple[int, float]]] = {}

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Spool metrics; microseconds."""
        self._spool.log(step, metrics)
        for name, value in metrics.items():
            self._curves.setdefault(name, []).append((int(step), float(value)))

    def commit(self, result: RunResult, *, seconds: float) -> bool:
        """Upload everything, then write the one commit record."""
        numbers = {
            "responses": {name: float(value) for name, value in result.responses.items()},
            "measures": {name: _finite(value) for name, value in result.measures.items()},
        }
        text = json.dumps(numbers, sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()
        self._spool.close()
        with store_errors(self._uri):
            self._log_final({**numbers["responses"], **numbers["measures"]}, seconds)
            self._log_artifacts(result, text)
        self._records.put(f"result.{self._run_id}.a{self._attempt}", _fitting(numbers))
        value = f"a{self._attempt}|{self._tracking}|{digest}|{seconds:.3f}"
        won = self._records.put(f"commit.{self._run_id}", value)
        self._close("FINISHED" if won else "KILLED", "finished" if won else "superseded")
        return won

    def fail(self, failure: FailureClass, message: str, *, detail: str = "", seconds: float) -> None:
        """Write the end record; the traceback becomes an artifact."""
        line = (message.strip().splitlines() or [failure.value])[0][:500]
        self._records.put(f"end.{self._run_id}.a{self._attempt}", f"{failure.value}|{seconds:.3f}|{line}")
        with store_errors(self._uri):
            if detail:
                client(self._uri).log_text(self._tracking, detail, "traceback.txt")
        self._close("KILLED" if failure is FailureClass.CANCELLED else "FAILED", failure.value)
        self._spool.close(timeout=10.0)

    def _log_final(self, numbers: Mapping[str, float | None], seconds: float) -> None:
        from mlflow.entities import Metric

        finals = {**{k: v for k, v in numbers.items() if v is not None}, "seconds": seconds}
        metrics = [Metric(f"final.{name}", value, 0, 0) for name, value in finals.items()]
        client(self._uri).log_batch(self._tracking, metrics=metrics, synchronous=True)

    def _log_artifacts(self, result: RunResult, text: str) -> None:
        """result.json, curves, items and texts go up in one call."""
        with tempfile.TemporaryDirectory() as folder:
            base = Path(folder)
            (base / "result.json").write_text(text, encoding="utf-8")
            (base / "curves.json").write_text(json.dumps(_thinned(self._curves)), encoding="utf-8")
            if result.items:
                import pandas as pd

                pd.DataFrame([dict(item) for item in result.items]).to_parquet(base / "items.parquet", index=False)
            for name, content in result.texts.items():
                (base / Path(name).name).write_text(content, encoding="utf-8")
            client(self._uri).log_artifacts(self._tracking, folder)

    def _close(self, status: str, state: str) -> None:
        with store_errors(self._uri):
            client(self._uri).set_tag(self._tracking, "me.state", state)
            client(self._uri).set_terminated(self._tracking, status)


def _finite(value: Any) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None


def _fitting(numbers: dict[str, dict[str, float | None]]) -> str:
    """The result as JSON that fits into a record; measures give way (result.json keeps them)."""
    from maineffect.ledger.records import MOST_VALUE

    text = json.dumps(numbers, sort_keys=True)
    return text if len(text) <= MOST_VALUE else json.dumps({"responses": numbers["responses"], "measures": {}})


def _thinned(curves: Mapping[str, list[tuple[int, float]]], most: int = 200) -> dict[str, dict[str, list[Any]]]:
    """At most ``most`` points a curve, first and last kept; the last value of a repeated step counts."""
    result = {}
    for name, points in curves.items():
        unique = sorted(dict(points).items())
        stride = max(1, math.ceil(len(unique) / most))
        kept = unique[::stride] + ([unique[-1]] if (len(unique) - 1) % stride else [])
        result[name] = {"steps": [step for step, _ in kept], "values": [_finite(value) for _, value in kept]}
    return result
