"""How answers about a corpus are read and compared: the grammar's rules, values of several words among them."""

from __future__ import annotations

from collections.abc import Sequence

from maineffect.lab.grammar.actions import Answer, Form, Search, parse_action
from maineffect.lab.grammar.declining import declines
from maineffect.lab.grammar.values import normalise, right, token_f1

__all__ = ["declines", "exact_match", "normalise", "parse_corpus_action", "token_f1"]


def exact_match(prediction: str, answers: Sequence[str]) -> bool:
    """Whether it is one of the answers."""
    return right(prediction, answers)


def parse_corpus_action(text: str) -> Search | Answer | None:
    """One action; an answer without bars is a value of several words. Never raises."""
    return parse_action(text, Form(phrases=True))
