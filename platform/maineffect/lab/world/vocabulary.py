"""Every word of the generated world. The tiny policy's vocabulary is exactly this, in this order."""

from __future__ import annotations

__all__ = [
    "ABSTAIN",
    "ANSWER",
    "CONFIDENCE",
    "DOCUMENT_IDS",
    "END_ANSWER",
    "END_QUESTION",
    "END_RESULT",
    "END_SEARCH",
    "ENTITIES",
    "EXHAUSTED",
    "INVALID",
    "NOTICE",
    "QUESTION",
    "RELATIONS",
    "RELIABLE",
    "RESULT",
    "SEARCH",
    "UNKNOWN",
    "UNRELIABLE",
    "VOCABULARY",
]

PAD = "<pad>"
QUESTION, END_QUESTION = "<question>", "</question>"
SEARCH, END_SEARCH = "<search>", "</search>"
RESULT, END_RESULT = "<result>", "</result>"
ANSWER, END_ANSWER = "<answer>", "</answer>"
ABSTAIN = "none"
UNKNOWN = "unknown"
NOTICE, EXHAUSTED, INVALID = "notice", "exhausted", "invalid"
# Stated probability of being right.
CONFIDENCE: dict[str, float] = {"unsure": 0.3, "likely": 0.6, "sure": 0.9}
DOCUMENT_IDS = tuple(f"d{i}" for i in range(1, 25))
RELIABLE, UNRELIABLE = "archive", "rumour"
RELATIONS = ("founder", "capital", "rival", "teacher", "owner", "origin", "patron", "heir")
_ONSETS, _RIMES = ("ba", "do", "ke", "li", "mu", "ra", "se", "to"), ("lan", "mir", "nek", "por", "sul", "vin")
ENTITIES = tuple(onset + rime for onset in _ONSETS for rime in _RIMES)
VOCABULARY: tuple[str, ...] = (
    PAD,
    QUESTION,
    END_QUESTION,
    SEARCH,
    END_SEARCH,
    RESULT,
    END_RESULT,
    ANSWER,
    END_ANSWER,
    ABSTAIN,
    NOTICE,
    EXHAUSTED,
    INVALID,
    UNKNOWN,
    *CONFIDENCE,
    *DOCUMENT_IDS,
    RELIABLE,
    UNRELIABLE,
    *RELATIONS,
    *ENTITIES,
)
