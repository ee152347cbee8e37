"""Write-once records: params of an MLflow run, of which ``log_param`` is an atomic put-if-absent.

::

    ledger run    claim.<run>.a<n>    owner                                       who may run attempt n, or
                                      reused:<sweep>/<run>                        where its result was reused from
                  start.<run>.a<n>    <tracking run id>:<ms since 1970>           where attempt n is logged
                  end.<run>.a<n>      <class>:<seconds>:<message>                 attempt n ended without a result
                  commit.<run>        a<n>:<tracking run id>:<sha256>:<seconds>   attempt n is the run's result
    results run   result.<run>.a<n>.<part>   the result's JSON, in parts          what attempt n measured
    control run   cancel.<k>, reopen.<k>     who                                  stopped, and taken up again
                  fence.<run>.a<n>           <class>                              ended by somebody else: stop
                  silent.<run>.a<n>.<beat>   <host>                                  silent since that heartbeat
                  submitted.<k>              <JSON>                               code, resources, budget in force
                  job.<k>                    <JSON>                               a driver on a cluster, and where
                  look.<k>, continue.1       see ``ledger.sweep.looks``           interim looks, and going on after one

What they mean is read by :mod:`maineffect.ledger.store.state`. Repeating a record with its own value succeeds, so that
a call that timed out may be repeated. That other values are refused is undocumented behaviour of a stable public call:
:mod:`maineffect.ledger.sweep.contract` pins it for every store.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from maineffect.ledger.store import quick
from maineffect.ledger.store.broker import operation
from maineffect.ledger.store.connection import ask

__all__ = [
    "MOST_VALUE",
    "Records",
    "Snapshot",
    "join_result",
    "split_result",
]

# MLflow takes 6000 characters in a param's value.
MOST_VALUE = 5900
_REFUSED = "Changing param values is not allowed"


@dataclass(frozen=True)
class Records:
    """The write-once records of one tracking run. Picklable; connects on first use."""

    uri: str = field(repr=False)
    tracking_run_id: str

    def put(self, key: str, value: str, *, patience: float = 20.0) -> bool:
        """Write a record unless another value stands.

        Returns:
            Whether this value stands.

        Raises:
            LedgerError: The store did not answer for ``patience`` seconds.
        """
        if not value or len(value) > MOST_VALUE:
            raise ValueError(f"a record holds 1 to {MOST_VALUE} characters, {key} has {len(value)}")
        # A record that stands never changes; MLflow would load every record of the run to say so.
        stored = quick.param(self.uri, self.tracking_run_id, key)
        return self.write(key, value, patience=patience) if stored is None else stored == value

    def write(self, key: str, value: str, *, patience: float = 20.0) -> bool:
        """The store's own put-if-absent, which alone decides between writers of the same moment."""
        return _write(self.uri, self.tracking_run_id, key, value, patience)

    def get(self, key: str) -> str | None:
        """One record."""
        return quick.param(self.uri, self.tracking_run_id, key) or self.read().get(key)

    def read(self, *, patience: float = 20.0) -> dict[str, str]:
        """Every record, in one call."""
        params = quick.params(self.uri, self.tracking_run_id)
        if params is not None:
            return params
        return _read(self.uri, self.tracking_run_id, patience)


@dataclass(frozen=True)
class Snapshot(Records):
    """The records as they were at the first reading: every answer of a verb is about the same moment.

    Reading all of them once is cheaper than many readings; writing goes to the store, and is not seen in here.
    """

    _kept: dict[str, dict[str, str]] = field(default_factory=dict, repr=False, compare=False)

    def read(self, *, patience: float = 20.0) -> dict[str, str]:
        """Every record, of the first call's moment."""
        if "records" not in self._kept:
            self._kept["records"] = super().read(patience=patience)
        return self._kept["records"]

    def get(self, key: str) -> str | None:
        """One record, of the first reading's moment."""
        return self.read().get(key)


@operation
def _write(uri: str, run: str, key: str, value: str, patience: float) -> bool:
    from mlflow.exceptions import MlflowException

    def write(store):  # type: ignore[no-untyped-def]
        try:
            store.log_param(run, key, value, synchronous=True)
        except MlflowException as error:
            if _REFUSED not in str(error):
                raise
            return False
        return True

    return bool(ask(uri, write, patience=patience))


@operation
def _read(uri: str, run: str, patience: float) -> dict[str, str]:
    return ask(uri, lambda store: dict(store.get_run(run).data.params), patience=patience)


def split_result(run_id: str, attempt: int, text: str) -> dict[str, str]:
    """A result's JSON as records, each short enough."""
    parts = [text[start : start + MOST_VALUE] for start in range(0, len(text), MOST_VALUE)]
    return {f"result.{run_id}.a{attempt}.{number}": part for number, part in enumerate(parts)}


def join_result(records: Mapping[str, str], run_id: str, attempt: int) -> str:
    """The JSON that :func:`split_result` split; empty if there is none."""
    parts: list[str] = []
    while (part := records.get(f"result.{run_id}.a{attempt}.{len(parts)}")) is not None:
        parts.append(part)
    return "".join(parts)
