"""Which claims stood in a registration before the first run that counts for them: all others are post hoc.

A claim is its content: term, response, direction, bar, margin, error rate, correction and how it is tested. Its name
and the words of its statement may change; the family may grow, which makes it stricter, but not shrink.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from maineffect.register.canonical import canonical

__all__ = ["RegisteredClaims", "claims_of", "post_hoc", "registered_claims"]

_INFERENCE = ("terms", "sum_of_squares", "robust", "sequential", "covariates", "blocks", "inference", "follow_up")
_WORDS = {
    "term": "its term",
    "response": "its response",
    "direction": "its direction",
    "beyond": "what it must lie beyond",
    "smallest_effect": "its smallest effect of interest",
    "alpha": "the error rate",
    "correction": "the correction",
    "scale": "the response's scale",
    "on_failure": "the score of a failed run",
    "inference": "how it is tested",
}


@dataclass(frozen=True)
class RegisteredClaims:
    """The claims of one registration.

    Attributes:
        at: When it was made, in seconds since 1970.
        claims: Hypothesis id → content.
    """

    at: float
    claims: Mapping[str, Mapping[str, Any]]


def claims_of(study: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Hypothesis id → content, from the study part of a plan."""
    analysis, responses = study.get("analysis") or {}, study.get("responses") or {}
    contents = {}
    for hypothesis in study.get("hypotheses") or ():
        asked = hypothesis["response"]
        names = asked if isinstance(asked, list) else [asked]
        of = [responses.get(name) or {} for name in names]
        margins = [response.get("smallest_effect") for response in of]
        own = hypothesis.get("smallest_effect")
        content = {
            "term": ":".join(sorted(hypothesis["term"].split(":"))),
            "response": asked,
            "direction": hypothesis.get("direction", "different"),
            "beyond": hypothesis.get("beyond", "zero"),
            "smallest_effect": own if own is not None else margins,
            "alpha": analysis.get("alpha"),
            "correction": analysis.get("correction"),
            "scale": [response.get("scale") for response in of],
            "on_failure": [response.get("on_failure") for response in of],
            "inference": {key: analysis[key] for key in _INFERENCE if analysis.get(key)},
        }
        for key in ("contrast", "common_scale"):
            if hypothesis.get(key):
                content["direction"] = f"{content['direction']} {key} {hypothesis[key]}"
        contents[str(hypothesis["id"])] = canonical(content)
    return contents


def registered_claims(registered_at: str, study: Mapping[str, Any] | None, claims: Any = None) -> RegisteredClaims:
    """The claims of a registration, from its plan or as a later registration kept them.

    Args:
        registered_at: ISO time; a time that cannot be read counts as now, so that nothing is taken for older.
        study: The study part of its plan, if there is one.
        claims: Hypothesis id → content, if it was kept.
    """
    try:
        at = datetime.fromisoformat(registered_at).timestamp()
    except ValueError:
        at = datetime.now(UTC).timestamp()
    return RegisteredClaims(at, claims_of(study) if study is not None else dict(claims or {}))


def post_hoc(
    claims: Mapping[str, Mapping[str, Any]], registrations: Sequence[RegisteredClaims], first_run: float | None
) -> dict[str, str]:
    """Claims that were not registered before the first run that counts for them, each with the reason.

    Args:
        claims: Hypothesis id → content, as they are judged.
        registrations: All that stand behind them.
        first_run: When the first run that counts was started, in seconds since 1970; None: none has been.
    """
    if first_run is None:
        return {}
    # A registration's time is kept to the second.
    before = [one for one in registrations if int(one.at) <= first_run]
    reasons = {}
    for name, content in claims.items():
        holding = [one for one in before if content in one.claims.values()]
        if not holding:
            reasons[name] = _reason(name, content, before, first_run)
        elif len(claims) < max(len(one.claims) for one in holding):
            most = max(len(one.claims) for one in holding)
            reasons[name] = f"it was registered in a family of {most} hypotheses, of which {len(claims)} are left"
    return reasons


def _reason(name: str, content: Mapping[str, Any], before: Sequence[RegisteredClaims], first_run: float) -> str:
    when = datetime.fromtimestamp(first_run, UTC).strftime("%Y-%m-%d %H:%M UTC")
    earlier = next((one.claims[name] for one in reversed(before) if name in one.claims), None)
    if earlier is None:
        return f"it was registered after the first run that counts for it was started ({when})"
    changed = [
        f"{words} was {earlier.get(key)} when that run was started"
        for key, words in _WORDS.items()
        if earlier.get(key) != content.get(key)
    ]
    return f"it was changed after the first run that counts for it was started ({when}): {'; '.join(changed)}"
