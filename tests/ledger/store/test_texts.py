"""Texts of runs: without passwords, as a store can hold them, and in time that grows as the text does."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maineffect.command.exit_codes import failure_of
from maineffect.contracts import FailureClass
from maineffect.execute.drive.breaker import signature
from maineffect.ledger.attempt.spool import metric_key
from maineffect.ledger.store.state import end_value
from maineffect.ledger.store.texts import redact, storable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:pass@host/db", "postgresql://me:***@host/db"),
        ("https://token@host/x", "https://***@host/x"),
        ("a://u:p@ss@host b://v:q@h", "a://u:***@host b://v:***@h"),
        ("Authorization: Bearer abcdefgh12345", "Authorization: Bearer ***"),
        ("GET /x?token=abc&y=1", "GET /x?token=***&y=1"),
        ("nothing://here/to@hide", "nothing://here/to@hide"),
    ],
)
def test_passwords_are_hidden(text: str, shown: str) -> None:
    assert redact(text) == shown


@given(st.text(alphabet=st.characters()))
def test_what_is_stored_is_utf8_without_nul(text: str) -> None:
    stored = storable(text)
    assert "\0" not in stored
    assert stored.encode().decode() == stored
    assert end_value(FailureClass.USER_ERROR, 1.0, text).isprintable() or end_value(FailureClass.USER_ERROR, 1.0, text)


TOUCHED: dict[str, Callable[[str], object]] = {
    "redact": redact,
    "storable": storable,
    "end_value": lambda text: end_value(FailureClass.USER_ERROR, 1.0, text),
    "failure_of": lambda text: failure_of("train.py", 1, text, out_of_memory=False),
    "signature": lambda text: signature(FailureClass.USER_ERROR, text),
    "metric_key": metric_key,
}
# What a run may print a megabyte of: each once made some pattern read the same characters again and again.
WORDS = ["a", "A1", "://", "://a", "://a:b", "http", "CUDA", "out of memory", "bearer ", "bearer a", "?token=", "numpy", "0x", "f", "9", "@", " ", "\n", "1e", "&sig"]  # fmt: skip


def _seconds(function: Callable[[str], object], text: str) -> float:
    best = float("inf")
    for _ in range(3):
        began = time.thread_time()  # of this thread alone: others on the machine do not count
        function(text)
        best = min(best, time.thread_time() - began)
    return best


def grows_as_its_text(function: Callable[[str], object], word: str, length: int) -> bool:
    """Whether four times the text takes well below sixteen times as long, as quadratic time would."""
    short, long = (word * (size // len(word)) for size in (length, 4 * length))
    return _seconds(function, long) < 10 * max(_seconds(function, short), 2e-4)


@pytest.mark.parametrize("name", TOUCHED)
def test_time_grows_as_the_text_does(name: str) -> None:
    slow = [word for word in WORDS if not grows_as_its_text(TOUCHED[name], word, 50_000)]
    # A busy machine's caches may slow one measurement: what is really slow is slow again.
    assert [word for word in slow if not grows_as_its_text(TOUCHED[name], word, 50_000)] == []


@settings(max_examples=40, deadline=None, derandomize=True)
@given(parts=st.lists(st.sampled_from(WORDS), min_size=1, max_size=4))
def test_time_grows_as_the_text_does_for_any_mixture(parts: list[str]) -> None:
    word = "".join(parts)
    slow = [name for name, function in TOUCHED.items() if not grows_as_its_text(function, word, 20_000)]
    assert [name for name in slow if not grows_as_its_text(TOUCHED[name], word, 20_000)] == []
