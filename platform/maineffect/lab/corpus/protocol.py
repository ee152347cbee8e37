"""Answers of several words, and how they are compared."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

from maineffect.lab.world.protocol import Answer, Search, parse_action
from maineffect.lab.world.vocabulary import ABSTAIN, ANSWER, END_ANSWER

__all__ = ["declines", "exact_match", "normalise", "parse_corpus_action", "token_f1"]

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_DECLINED = frozenset(
    {ABSTAIN, "unknown", "unanswerable", "i dont know", "no answer", "not known", "cannot be determined"}
)


def normalise(text: str) -> str:
    """Lower case, without punctuation, articles and extra blanks (Rajpurkar et al. 2016, SQuAD, sec. 6.1)."""
    plain = text.lower().translate(_PUNCTUATION)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", plain).split())


def declines(text: str) -> bool:
    """Whether an answer says that there is none."""
    return normalise(text) in _DECLINED


def exact_match(prediction: str, answers: Sequence[str]) -> bool:
    """Whether it equals one of the answers after normalising."""
    return normalise(prediction) in {normalise(answer) for answer in answers}


def token_f1(prediction: str, answers: Sequence[str]) -> float:
    """Largest F1 of shared words over the answers (Rajpurkar et al. 2016, sec. 6.1)."""
    return max(_f1(normalise(prediction).split(), normalise(answer).split()) for answer in answers)


def _f1(predicted: list[str], gold: list[str]) -> float:
    shared = sum((Counter(predicted) & Counter(gold)).values())
    return 2 * shared / (len(predicted) + len(gold)) if shared else 0.0


def parse_corpus_action(text: str) -> Search | Answer | None:
    """One action; an answer without bars is a whole value of several words. Never raises."""
    move = parse_action(text)
    if isinstance(move, Answer) and "|" not in text:
        inner = text.strip().removeprefix(ANSWER).removesuffix(END_ANSWER)
        return Answer(inner.strip(), 0.5, ())
    return move
