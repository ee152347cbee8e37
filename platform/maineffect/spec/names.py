"""Which words may name a factor or a response. They are only ever looked up, so almost any word may."""

from __future__ import annotations

import unicodedata
from typing import Literal

from maineffect.spec.problems import Finding, KeyPath

__all__ = ["LEDGER_COLUMNS", "TABLE_COLUMNS", "name_findings"]

TABLE_COLUMNS = frozenset({"block", "repeat", "replicate", "run_id", "status", "whole_plot"})
"""Columns by which a table of runs says what a row is."""
LEDGER_COLUMNS = frozenset(
    {"attempts", "cell_id", "lost_seconds", "message", "order", "seconds", "seed", "tracking_run_id"}
)
"""Columns that the ledger adds to the table of a sweep; free in a study that runs nothing."""


def name_findings(kind: Literal["factor", "response"], path: KeyPath, name: str, *, runs: bool) -> list[Finding]:
    """What keeps a word from being a name.

    Args:
        kind: What it would name.
        path: Where it is written.
        name: The word.
        runs: Whether the study has a trainable, so that the ledger's own columns must stay free.
    """
    reasons = []
    if not name.strip() or name.strip() != name:
        reasons.append("it is empty, or begins or ends with a space")
    if any(unicodedata.category(sign) in {"Cc", "Zl", "Zp"} for sign in name):
        reasons.append("it holds a line break or control character")
    if kind == "factor" and any(sign in name for sign in ":^"):
        reasons.append("':' and '^' build terms, as in A:B and A^2")
    if kind == "factor" and name == "1":
        reasons.append("the model matrix calls its intercept so")
    if name in TABLE_COLUMNS or (runs and name in LEDGER_COLUMNS):
        reasons.append("a column of every table of runs has this name")
    return [Finding(path, f"{name!r} cannot be a {kind}'s name: {'; '.join(reasons)}", "rename it")] if reasons else []
