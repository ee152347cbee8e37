"""What a user should know at once, and some of it only once."""

from __future__ import annotations

import logging
from collections.abc import Mapping

__all__ = ["Notices"]

_log = logging.getLogger(__name__)
_MOST = 2000


class Notices(list[str]):
    """Sentences that wait to be said; cleared when they are."""

    def __init__(self) -> None:
        super().__init__()
        self._told: set[str] = set()

    def append(self, sentence: str) -> None:
        """Say something, and keep it in the record; what a run raised may be of any length, and no text at all."""
        if len(sentence) > _MOST:
            sentence = f"{sentence[:_MOST]} … ({len(sentence)} characters)"
        sentence = sentence.encode("utf-8", "backslashreplace").decode()
        _log.info(sentence)
        super().append(sentence)

    def once(self, about: str, sentence: str) -> None:
        """Say something of which one word in a submission is enough.

        Args:
            about: What it is about; nothing more is said about that.
            sentence: What to say; nothing if it is empty.
        """
        if sentence and about not in self._told:
            self._told.add(about)
            self.append(sentence)

    def all_once(self, sentences: Mapping[str, str]) -> None:
        """Say several things, each once.

        Args:
            sentences: What each is about → what to say.
        """
        for about, sentence in sentences.items():
            self.once(about, sentence)

    def of_place(self, sentence: str) -> None:
        """Say what a run tells of where it runs: of a home that is not shared once, of the run itself once a run.

        Args:
            sentence: What to say; nothing if it is empty.
        """
        self.once("home" if sentence.startswith("the home ") else sentence, sentence)
