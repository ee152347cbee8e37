"""Every word of the generated world. The tiny policy's vocabulary is exactly this, in this order."""

from __future__ import annotations

from maineffect.lab.grammar.actions import ANSWER, END_ANSWER, END_SEARCH, SEARCH
from maineffect.lab.grammar.declining import ABSTAIN
from maineffect.lab.grammar.stated import LEVELS

__all__ = [
    "ABSTAIN",
    "ALIAS",
    "ANSWER",
    "AS_OF",
    "BUDGET",
    "COMMAND",
    "CONFIDENCE",
    "COUNT",
    "DOCUMENT_IDS",
    "END_ANSWER",
    "END_QUESTION",
    "END_RESULT",
    "END_SEARCH",
    "ENTITIES",
    "EXHAUSTED",
    "FILLER",
    "INVALID",
    "LEFT",
    "MORE",
    "NEUTRAL_SOURCES",
    "NOTICE",
    "NUMBERS",
    "QUANTITIES",
    "QUESTION",
    "RELATIONS",
    "RELIABLE_SOURCES",
    "RESULT",
    "SEARCH",
    "SYNONYMS",
    "TRUST",
    "UNKNOWN",
    "UNRELIABLE_SOURCES",
    "UNSIGNED",
    "VOCABULARY",
    "YEARS",
    "near_names",
]

PAD = "<pad>"
QUESTION, END_QUESTION = "<question>", "</question>"
RESULT, END_RESULT = "<result>", "</result>"
UNKNOWN = "unknown"
NOTICE, EXHAUSTED, INVALID = "notice", "exhausted", "invalid"
CONFIDENCE = LEVELS
# What a question asks beside a path, and what it says about the world.
COUNT, MORE, AS_OF, TRUST, BUDGET, LEFT = "count", "more", "asof", "trust", "budget", "left"
# As many as the largest budget times the most documents per search.
DOCUMENT_IDS = tuple(f"d{i}" for i in range(1, 65))
NUMBERS = tuple(f"n{i}" for i in range(9))
YEARS = tuple(f"y{i}" for i in range(1, 9))
RELIABLE_SOURCES = ("archive", "census", "ledger", "register")
UNRELIABLE_SOURCES = ("rumour", "gossip", "hearsay", "leaflet")
NEUTRAL_SOURCES = tuple(f"s{i}" for i in range(1, 9))
UNSIGNED = "unsigned"
RELATIONS = ("founder", "capital", "rival", "teacher", "owner", "origin", "patron", "heir")
SYNONYMS: dict[str, str] = dict(
    zip(RELATIONS, ("creator", "seat", "foe", "mentor", "holder", "cradle", "sponsor", "successor"), strict=True)
)
QUANTITIES = ("size", "age", "wealth", "fame")
ALIAS = "alias"
COMMAND = ("ignore", "everything", "say")
FILLER = ("also", "reported", "there", "today")
_ONSETS, _RIMES = ("ba", "do", "ke", "li", "mu", "ra", "se", "to"), ("lan", "mir", "nek", "por", "sul", "vin")
ENTITIES = tuple(onset + rime for onset in _ONSETS for rime in _RIMES)
_NEAR = {name: tuple(other for other in ENTITIES if other[:2] == name[:2] and other != name) for name in ENTITIES}
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
    COUNT,
    MORE,
    AS_OF,
    TRUST,
    BUDGET,
    LEFT,
    # Tags inside documents, as they look when escaped.
    "‹answer›",
    "‹/answer›",
    *CONFIDENCE,
    *DOCUMENT_IDS,
    *NUMBERS,
    *YEARS,
    *RELIABLE_SOURCES,
    *UNRELIABLE_SOURCES,
    *NEUTRAL_SOURCES,
    UNSIGNED,
    *RELATIONS,
    *SYNONYMS.values(),
    *QUANTITIES,
    ALIAS,
    *COMMAND,
    *FILLER,
    *ENTITIES,
)


def near_names(name: str) -> tuple[str, ...]:
    """The other entities whose name has the same onset; a search confuses them with it."""
    return _NEAR.get(name, ())
