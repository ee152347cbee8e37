"""Texts of runs as a store can hold them and people may read them: without passwords, and without what breaks a store.

Every pattern takes time in proportion to the text: a run may print a megabyte without a space.
"""

from __future__ import annotations

import os
import re

__all__ = ["redact", "storable"]

_SECRET_NAMES = re.compile(r"(PASSWORD|TOKEN|SECRET|API_KEY|ACCESS_KEY)", re.IGNORECASE)
_SHORTEST_SECRET = 6
# Between "://" and the host; it ends at "/", so that no part of a text is read twice.
_USER = re.compile(r"://([^\s/]*)@")
_HEADER = re.compile(r"\b(bearer|basic)\s+[a-z0-9._~+/=-]{8,}", re.IGNORECASE)
_QUERY = re.compile(r"([?&](?:password|token|sig|signature|secret)=)[^&\s]+", re.IGNORECASE)


def redact(text: str) -> str:
    """The text without passwords: those in URIs, and the values of secret environment variables.

    Safe to apply to any message, traceback or URI before it is shown or stored.
    """
    hidden = _USER.sub(_hide_user, text)
    hidden = _HEADER.sub(r"\1 ***", hidden)
    hidden = _QUERY.sub(r"\1***", hidden)
    for name, value in os.environ.items():
        if len(value) >= _SHORTEST_SECRET and _SECRET_NAMES.search(name):
            hidden = hidden.replace(value, "***")
    return hidden


def _hide_user(match: re.Match[str]) -> str:
    user, colon, _ = match[1].partition(":")
    return f"://{user}:***@" if user and colon else "://***@"


def storable(text: str) -> str:
    """The text as every store and file takes it: NUL and lone surrogates are written out as escapes."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
