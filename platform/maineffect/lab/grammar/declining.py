"""Saying that there is no answer, in usual words."""

from __future__ import annotations

import regex

from maineffect.lab.grammar.text import fold

__all__ = ["ABSTAIN", "declines"]

ABSTAIN = "none"
"""How an answer that declines is recorded."""

_LONGEST = 160
_WHERE = r"""(?:\s(?:from|based\son|in|given|within|by|with|on|according\sto)
    \s(?:the\s|this\s|these\s|any\s|what\s(?:i|was)\s)*(?:available\s|given\s|provided\s|retrieved\s|search\s|found\s)*
    (?:documents?|information|evidence|sources?|texts?|context|results?|passages?|corpus|found|data)
    (?:\s(?:provided|found|given|available|retrieved|above|here))*)*"""
_WHAT = r"""(?:\s(?:the|this|that|it|an|any|what|correct|right|true))*
    (?:\s(?:answer|question|value|it|this|that|name|date|number))?"""
_CANNOT = r"""(?:can\s?not|cant|could\snot|couldnt|(?:am\s|was\s|are\s)?unable\sto|not\sable\sto|do\snot|dont
    |did\snot|didnt)"""
_KNOW = r"""(?:know|say|tell|answer|determine|find|be\ssure|be\scertain
    |have\s(?:an\sanswer|the\sanswer|any\sidea|an\sidea|any\sinformation|the\sinformation|enough\s(?:information|evidence)))"""
_TO_SAY = rf"""(?:\s(?:to|for)\s(?:say|tell|answer|determine|decide|know|find|conclude|give|an\sanswer){_WHAT})?"""
_DECLINING = regex.compile(
    rf"""(?:(?:sorry|unfortunately|therefore|the\sanswer|answer|it|this|that|the\squestion|is|was)\s)*(?:
    none|unknown|unanswerable|undetermined|undeterminable|indeterminate|unavailable|unclear|undefined|undisclosed
    |unspecified|n\s?/\s?a|abstain|abstention
    |not\s(?:applicable|known|found|available|stated|specified|given|mentioned|provided|determined|answerable
        |determinable|disclosed|sure|certain|there)|not(?=\sin\s)
    |idk|null
    |(?:there(?:\sis|s|\sare|\swas)\s)?(?:insufficient|not\senough|not\ssufficient|no\ssufficient|no\senough|no\srelevant|no)
        \s(?:information|info|evidence|data|answers?|idea|results?|clue|documents?|match(?:es)?)
        (?:\s(?:found|available|given|known|exists?|provided|possible|was|were|is|could|be))*{_WHERE}{_TO_SAY}
    |(?:not\spossible|impossible)\sto\s(?:know|say|tell|answer|determine|find){_WHAT}
    |none\s(?:found|known|given|stated|available
        |of\s(?:the|these)\s(?:documents?|sources?|passages?|results?)\s(?:say|tell|answer|state)s?)
    |(?:can\s?not|cant|could\snot|couldnt)
        \sbe\s(?:determined|answered|known|found|said|told|established|inferred|verified|stated)
    |(?:i\s|we\s|one\s)?{_CANNOT}\s{_KNOW}(?:\sout)?{_WHAT}
    |(?:(?:i\s|we\s)(?:am|are)|im)\snot\s(?:sure|certain)
    |(?:i\s|we\s)have\sno\s(?:idea|answer|information|clue)
    |(?:i\s|we\s)(?:decline|abstain|pass)(?:\sto\sanswer)?
    |(?:the\s)?(?:documents?|sources?|passages?|evidence|texts?)\s(?:do|does)(?:\snot|nt)
        \s(?:say|tell|state|mention|know|answer|contain|give|provide|specify|support)
        (?:\s(?:enough|sufficient|any)\s(?:information|info|evidence|answer))?{_WHAT}{_TO_SAY}
    |there\sis\s(?:no|not\san)\s(?:answer|information|evidence)
    ){_WHERE}""",
    regex.VERBOSE,
)


def declines(text: str) -> bool:
    """Whether an answer says that there is none, and nothing else; ``NA`` and ``Na`` are names, ``N/A`` is not."""
    if len(text) > _LONGEST:
        return False
    plain = fold(text).casefold().replace("'", "")
    # Everything but words and the stroke of n/a is punctuation here.
    plain = regex.sub(r"[^\p{L}\p{N}\p{M}/]+", " ", plain).strip()
    return _DECLINING.fullmatch(plain) is not None
