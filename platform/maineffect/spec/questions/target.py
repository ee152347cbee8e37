"""The target of transported effects: shares of factor levels where a policy will be used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import Field

from maineffect.contracts import Level
from maineffect.spec.factors import Factor, StrictModel

__all__ = ["JointShare", "MeasuredShare", "Share", "check_target", "share_of"]


class MeasuredShare(StrictModel):
    """A share that was measured, with its standard error."""

    share: float = Field(ge=0, description="Share of the level.")
    std_error: float = Field(default=0.0, ge=0, description="Its standard error; 0: it is known.")


class JointShare(MeasuredShare):
    """The share of a combination of levels."""

    levels: dict[str, Level] = Field(description="One level of each factor that goes together.")


Share = float | MeasuredShare
Target = Mapping[str, Mapping[str, Share] | Sequence[JointShare]]


def share_of(share: Share) -> tuple[float, float]:
    """(share, standard error)."""
    return (share.share, share.std_error) if isinstance(share, MeasuredShare) else (float(share), 0.0)


def check_target(target: Target, factors: Mapping[str, Factor]) -> None:
    """Refuse a target that names what the study does not have.

    Raises:
        ValueError: An unknown factor or level, a combination twice or short of a factor, shares that are negative or
            all zero, or a factor that occurs twice.
    """
    used: list[str] = []
    for key, shares in target.items():
        where = f"analysis.transport.{key}"
        names = [key] if isinstance(shares, Mapping) else key.split(":")
        if unknown_names := [name for name in names if name not in factors]:
            raise ValueError(f"analysis.transport: no factor {unknown_names[0]!r}; factors: {', '.join(factors)}")
        used += names
        if isinstance(shares, Mapping):
            levels = [str(level) for level in factors[key].levels]
            if unknown := [level for level in shares if level not in levels]:
                raise ValueError(f"{where}: no level {unknown[0]!r}; levels: {', '.join(levels)}")
            values = [share_of(share)[0] for share in shares.values()]
        else:
            _check_joint(where, names, shares, factors)
            values = [joint.share for joint in shares]
        if min(values, default=0.0) < 0 or not sum(values) > 0:
            raise ValueError(f"{where}: shares must not be negative, and not all zero")
    if twice := [name for name in used if used.count(name) > 1]:
        raise ValueError(f"analysis.transport: {twice[0]} occurs twice")


def _check_joint(where: str, names: Sequence[str], shares: Sequence[JointShare], factors: Mapping[str, Factor]) -> None:
    seen = set()
    for joint in shares:
        if set(joint.levels) != set(names):
            raise ValueError(f"{where}: {dict(joint.levels)} must have one level of each of {', '.join(names)}")
        for name, level in joint.levels.items():
            if not factors[name].has_level(level):
                levels = ", ".join(map(str, factors[name].levels))
                raise ValueError(f"{where}.{name}: no level {level!r}; levels: {levels}")
        key = tuple(str(joint.levels[name]) for name in names)
        if key in seen:
            raise ValueError(f"{where}: the combination {', '.join(key)} occurs twice")
        seen.add(key)
