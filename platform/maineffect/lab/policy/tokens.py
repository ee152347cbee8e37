"""Words ↔ token ids of the generated world."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from maineffect.lab.world.vocabulary import END_ANSWER, END_SEARCH, UNKNOWN, VOCABULARY

__all__ = ["ACTION_ENDS", "PAD_ID", "decode", "encode"]

_IDS = {word: i for i, word in enumerate(VOCABULARY)}
PAD_ID = 0
ACTION_ENDS = (_IDS[END_SEARCH], _IDS[END_ANSWER])


def encode(text: str) -> list[int]:
    """Token ids of space-separated words; a word that the vocabulary lacks becomes ``unknown``."""
    return [_IDS.get(word, _IDS[UNKNOWN]) for word in text.split()]


def decode(ids: Iterable[int] | Sequence[int]) -> str:
    """Words of token ids, separated by spaces."""
    return " ".join(VOCABULARY[i] for i in ids)
