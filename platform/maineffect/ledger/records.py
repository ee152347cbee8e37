"""Write-once records: params of an MLflow run, of which ``log_param`` is an atomic put-if-absent.

::

    ledger run    claim.<run>.a<n>    owner                                       who may run attempt n, or
                                      reused:<sweep>/<run>                        where its result was taken over from
                  start.<run>.a<n>    <tracking run id>:<ms since 1970>           where attempt n is logged
                  end.<run>.a<n>      <class>:<seconds>:<message>                 attempt n ended without a result
                  commit.<run>        a<n>:<tracking run id>:<sha256>:<seconds>   attempt n is the run's result
    results run   result.<run>.a<n>.<part>   the result's JSON, in parts          what attempt n measured
    control run   cancel.<k>, reopen.<k>     who                                  stopped, and taken up again
                  fence.<run>.a<n>           <class>                              ended by somebody else: stop
                  submitted.<k>              <JSON>                               code, resources, budget in force
                  job.<k>                    <JSON>                               a driver on a cluster, and where
                  look.<k>, continue.1       see :mod:`maineffect.ledger.looks`   interim looks, and going on after one

Repeating a record with its own value succeeds, so that a call that timed out may be repeated. That other values are
refused is undocumented behaviour of a stable public call: :mod:`maineffect.ledger.contract` pins it for every store.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from maineffect.contracts import AttemptEnd, FailureClass, LedgerState, RunState, RunStatus
from maineffect.errors import LedgerError
from maineffect.ledger import quick
from maineffect.ledger.desk import operation
from maineffect.ledger.store import ask
from maineffect.ledger.tracking import redact

__all__ = [
    "MOST_VALUE",
    "REUSED",
    "Commit",
    "Records",
    "cancelled_by",
    "commits",
    "end_value",
    "join_result",
    "parse",
    "split_result",
]

REUSED = "reused:"
# MLflow takes 6000 characters in a param's value.
MOST_VALUE = 5900
_MOST_MESSAGE = 1000
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
        standing = quick.param(self.uri, self.tracking_run_id, key)
        return self.write(key, value, patience=patience) if standing is None else standing == value

    def write(self, key: str, value: str, *, patience: float = 20.0) -> bool:
        """The store's own put-if-absent, which alone decides between writers of the same moment."""
        return _write(self.uri, self.tracking_run_id, key, value, patience)

    def get(self, key: str) -> str | None:
        """One record."""
        return quick.param(self.uri, self.tracking_run_id, key) or self.read().get(key)

    def read(self, *, patience: float = 20.0) -> dict[str, str]:
        """Every record, in one call."""
        found = quick.params(self.uri, self.tracking_run_id)
        if found is not None:
            return found
        return _read(self.uri, self.tracking_run_id, patience)


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


@dataclass(frozen=True)
class Commit:
    """The one record that makes an attempt the run's result."""

    attempt: int
    tracking_run_id: str
    sha256: str
    seconds: float

    def value(self) -> str:
        """As it is written."""
        return f"a{self.attempt}:{self.tracking_run_id}:{self.sha256}:{self.seconds:.3f}"


def end_value(failure: FailureClass, seconds: float, message: str) -> str:
    """An end as it is written: one line, without secrets."""
    line = " ".join(redact(message).split()) or failure.value
    return f"{failure.value}:{seconds:.3f}:{line[:_MOST_MESSAGE]}"


def commits(records: Mapping[str, str]) -> dict[str, Commit]:
    """Run id → its commit."""
    found = {}
    for key, value in records.items():
        if key.startswith("commit."):
            attempt, run, digest, seconds = value.split(":")
            found[key.removeprefix("commit.")] = Commit(int(attempt[1:]), run, digest, float(seconds))
    return found


def cancelled_by(records: Mapping[str, str]) -> str | None:
    """Who cancelled, unless every cancel was lifted."""
    standing = [key for key in records if key.startswith("cancel.") and f"reopen.{key[7:]}" not in records]
    return records[max(standing, key=lambda key: int(key[7:]))] if standing else None


def parse(records: Mapping[str, str], control: Mapping[str, str]) -> LedgerState:
    """Records → the state of every run that has one.

    Raises:
        LedgerError: A record cannot be read: another version of maineffect wrote it.
    """
    claims: dict[str, dict[int, str]] = defaultdict(dict)
    starts: dict[str, dict[int, tuple[str, float]]] = defaultdict(dict)
    ends: dict[str, dict[int, AttemptEnd]] = defaultdict(dict)
    try:
        committed = commits(records)
        for key, value in records.items():
            kind, _, rest = key.partition(".")
            if kind not in ("claim", "start", "end"):
                continue
            run_id, _, word = rest.rpartition(".a")
            attempt = int(word)
            if kind == "claim":
                claims[run_id][attempt] = value
            elif kind == "start":
                tracking, _, began = value.partition(":")
                starts[run_id][attempt] = (tracking, int(began) / 1000)
            else:
                failure, seconds, message = value.split(":", 2)
                ends[run_id][attempt] = AttemptEnd(attempt, FailureClass(failure), message, float(seconds))
    except ValueError as error:
        raise LedgerError(
            f"a record of the ledger cannot be read: {error}", "use the maineffect that wrote it"
        ) from None
    runs = {
        run_id: _status(run_id, claims.get(run_id, {}), starts.get(run_id, {}), ends.get(run_id, {}), committed)
        for run_id in {**claims, **ends, **committed}
    }
    return LedgerState(runs, cancelled_by(control))


def _status(
    run_id: str,
    claimed: Mapping[int, str],
    starts: Mapping[int, tuple[str, float]],
    ended: Mapping[int, AttemptEnd],
    committed: Mapping[str, Commit],
) -> RunStatus:
    commit = committed.get(run_id)
    ends = tuple(ended[attempt] for attempt in sorted(ended))
    attempts = len({*claimed, *ended})
    if commit is not None:
        began = starts.get(commit.attempt, ("", None))[1]
        counted = (commit.attempt, commit.tracking_run_id, began, commit.seconds, _reused(claimed, commit.attempt))
        return RunStatus(run_id, RunState.FINISHED, attempts, ends, *counted)
    state = RunState.RUNNING if set(claimed) - set(ended) else RunState.FAILED if ended else RunState.PLANNED
    tracking, began = starts[max(starts)] if starts else (None, None)
    reused = _reused(claimed, attempts) if state is RunState.RUNNING else None
    return RunStatus(run_id, state, attempts, ends, None, tracking, began, reused_from=reused)


def _reused(claimed: Mapping[int, str], attempt: int) -> str | None:
    claim = claimed.get(attempt, "")
    return claim.removeprefix(REUSED) if claim.startswith(REUSED) else None


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
