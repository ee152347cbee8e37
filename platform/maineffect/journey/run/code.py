"""The trainable's code over a sweep's submissions: kept file by file, so that a change is named and only then one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from maineffect.code_version import Code, code_of, kept_code
from maineffect.journey.plan.requests import require_trainable

if TYPE_CHECKING:
    from maineffect.contracts import RunRequest
    from maineffect.journey.plan.place import Checked
    from maineffect.ledger.sweep.ledger import MlflowLedger

__all__ = ["changed_files", "keep_code", "same_code"]


def same_code(checked: Checked, ledger: MlflowLedger | None, requests: Sequence[RunRequest]) -> list[RunRequest]:
    """The requests under an earlier submission's version, if all of its files are unchanged.

    A run may write into the study's folder (a command writes its configuration there): that makes no other code.
    """
    if ledger is None or not requests:
        return list(requests)
    earlier = _kept(ledger, [code for code in _versions(ledger) if code != requests[0].code_version])
    if not earlier:
        return list(requests)
    now = code_of(require_trainable(checked), checked.path.parent, checked.study.settings)
    same = next((code for code in earlier.values() if now.holds(code)), None)
    return [replace(request, code_version=same.version) if same is not None else request for request in requests]


def keep_code(checked: Checked, ledger: MlflowLedger, home: Path, version: str) -> None:
    """Keep a version of the code file by file: with the sweep, and in the home, where its runs read it."""
    from maineffect.ledger.store.artifacts import keep_text, read_text

    path, name = kept_code(home, version), f"code-{version}.json"
    text = read_text(ledger.uri, ledger.entry.sweep_run, name)
    if text is None:
        text = code_of(require_trainable(checked), checked.path.parent, checked.study.settings).text()
        keep_text(ledger.uri, ledger.entry.sweep_run, name, text)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def changed_files(checked: Checked, ledger: MlflowLedger, versions: Sequence[str]) -> list[str]:
    """What differs between the code now and the versions under which runs were finished, in words, by file."""
    now = code_of(require_trainable(checked), checked.path.parent, checked.study.settings)
    return [line for code in _kept(ledger, versions).values() for line in now.differences(code)]


def _versions(ledger: MlflowLedger) -> list[str]:
    from maineffect.ledger.sweep.reuse import finished_runs

    return list(dict.fromkeys(run.code for run in finished_runs(ledger).values() if run.code))


def _kept(ledger: MlflowLedger, versions: Sequence[str]) -> Mapping[str, Code]:
    from maineffect.ledger.store.artifacts import read_text

    texts = {code: read_text(ledger.uri, ledger.entry.sweep_run, f"code-{code}.json") for code in versions}
    parsed = {version: Code.parse(text) for version, text in texts.items() if text is not None}
    return {version: code for version, code in parsed.items() if code is not None}
