"""The study: everything that is asked, in one immutable record."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from maineffect.contracts import Level
from maineffect.spec.factors import Factor, StrictModel
from maineffect.spec.phases.optimise import Optimise
from maineffect.spec.phases.tuning import Tuning, check_groups, check_tuning
from maineffect.spec.questions.scaling import Scaling
from maineffect.spec.questions.target import JointShare, Share, check_target
from maineffect.spec.requests import DesignRequest, FollowUp, ModelTerms
from maineffect.spec.responses import Hypothesis, Response

__all__ = [
    "FEWEST_SEEDS",
    "SEEDS_TO_FLIP",
    "AnalysisPlan",
    "Budget",
    "Correction",
    "Reserve",
    "Resources",
    "Sequential",
    "StudySpec",
    "parse_duration",
]

FEWEST_SEEDS = 4
"""Replicates with shared seeds from which on a claim about new seeds is judged."""
SEEDS_TO_FLIP = 6
"""Replicates from which on its randomisation test can give a p-value below .05: 2/2⁶ = .03."""

_AUTO = "auto"
_LEAST_AMOUNT = 1e-4
_DURATION = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(s|m|h|d)?\s*$")
_SECONDS = {None: 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_duration(text: str | int | float) -> float:
    """Seconds of ``90``, ``"90s"``, ``"30m"``, ``"2h"`` or ``"1d"``.

    Raises:
        ValueError: The text is not a positive duration.
    """
    match = _DURATION.match(str(text))
    seconds = float(match[1]) * _SECONDS[match[2]] if match else 0.0
    if seconds <= 0:
        raise ValueError(
            f"{text!r} is not a positive duration: write a number and s, m, h or d, such as 90s, 30m, 2h or 1d"
        )
    return seconds


class Correction(StrEnum):
    """Adjustment for multiplicity within the registered family; bh is a false discovery rate, for exploration."""

    HOLM = "holm"
    MAX_T = "max_t"
    BH = "bh"
    NONE = "none"


class Sequential(StrictModel):
    """Interim looks after complete waves: replicate k of every cell is wave k, and waves run in order."""

    spending: Literal["obrien_fleming", "pocock"] = Field(
        default="obrien_fleming", description="How the error is spent over the looks (Lan and DeMets)."
    )
    futility: float = Field(
        default=0.1, ge=0, lt=1, description="Look says futility when conditional power falls below this; 0: never."
    )
    stop: bool = Field(
        default=True,
        description="Whether no further wave is started once a look has decided every hypothesis (efficacy, or "
        "futility). A claim that an effect is negligible is decided at the last look only.",
    )


class Reserve(StrictModel):
    """Error that is kept back for a second phase, before the first run of the first."""

    phases: Literal[2] = Field(description="Number of phases: this sweep, and one follow-up.")
    spending: Literal["obrien_fleming", "pocock"] = Field(
        default="obrien_fleming", description="How the error is spent over the phases (Lan and DeMets)."
    )
    weight: float = Field(
        default=0.5,
        gt=0,
        lt=1,
        description="Weight of the first phase where both are combined; the rest is the other's.",
    )


class SeedInference(StrictModel):
    """Verdicts about new seeds where the runs of a replicate share theirs."""

    kind: Literal["seeds"]
    pool: bool = Field(
        default=False, description="Whether terms with equally many factors share one variance between seeds."
    )


class AttributionEnds(StrictModel):
    """Two configurations whose gap is attributed to factors; one that is left out goes from first to last level."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True)

    start: dict[str, Level] = Field(default_factory=dict, alias="from", description="Levels that the gap starts at.")
    to: dict[str, Level] = Field(default_factory=dict, description="Levels that it ends at.")


class AnalysisPlan(StrictModel):
    """How the runs will be analysed, fixed before the first of them."""

    terms: ModelTerms = Field(
        default="two_way", description="main, two_way, second_order, full, or a list: [A, B, 'A:B']."
    )
    sum_of_squares: Literal["II", "III"] = Field(default="III", description="Type of sums of squares.")
    alpha: float = Field(default=0.05, gt=0, lt=0.5, description="Two-sided error rate of the registered family.")
    correction: Correction = Field(default=Correction.HOLM, description="holm, max_t, bh or none.")
    robust: Literal["hc3"] | None = Field(default=None, description="Heteroscedasticity-robust intervals.")
    sequential: Sequential | None = Field(
        default=None, description="Interim looks after each complete replicate, with alpha spending."
    )
    follow_up: Reserve | None = Field(
        default=None,
        description="Error kept back for a follow-up, so that both phases count together in its verdicts; without it a "
        "follow-up's verdicts come from its new runs alone.",
    )
    transport: dict[str, dict[str, Share] | tuple[JointShare, ...]] = Field(
        default_factory=dict,
        description="Target distribution of factor levels, such as {recall: {0.7: 0.2, 1.0: 0.8}}: effects are "
        "re-weighted to it. A share that was measured has a standard error: {share: 0.2, std_error: 0.03}. Factors "
        "that go together: {'recall:lag': [{levels: {recall: 0.7, lag: 0}, share: 0.1}, …]}.",
    )
    thresholds: dict[str, float] = Field(
        default_factory=dict, description="Training metric: value; steps until it is reached become a response."
    )
    covariates: tuple[str, ...] = Field(
        default=(),
        description="Numbers known before training, such as the base model's score: columns of the table, or measures "
        "of the runs. Centred, and fitted beside the design.",
    )
    inference: Literal["seeds", "these_seeds"] | SeedInference | None = Field(
        default=None,
        description="What verdicts are about where runs of a replicate share their seed: seeds (new ones: the error "
        "of an effect is its variance between replicates; {kind: seeds, pool: true} pools it over terms), or "
        "these_seeds, which is the default there. Runs with seeds of their own are always about new ones.",
    )
    blocks: Literal["fixed", "random"] = Field(
        default="fixed", description="Blocks (replicates) as fixed effects, or as drawn from many (REML)."
    )
    attribution: Literal["first_to_last", "worst_to_best"] | AttributionEnds = Field(
        default="first_to_last",
        description="Configurations whose gap is attributed to factors: first_to_last (levels), {from: {…}, to: {…}}, "
        "or worst_to_best, which the data choose: its intervals are simultaneous over all pairs of cells.",
    )
    overfit: dict[str, tuple[str, str]] = Field(
        default_factory=dict,
        description="New response: [gain in the training regime, gain outside it]; their difference is analysed, such "
        "as {regime_overfit: [reward_gain, battery_gain]}.",
    )

    @property
    def over_seeds(self) -> bool:
        """Whether verdicts are asked to be about new seeds."""
        return self.inference == "seeds" or isinstance(self.inference, SeedInference)

    @property
    def pool_seeds(self) -> bool:
        """Whether terms with equally many factors share one variance between seeds."""
        return isinstance(self.inference, SeedInference) and self.inference.pool

    @field_validator("transport", mode="before")
    @classmethod
    def _level_names(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {k: {str(a): b for a, b in v.items()} if isinstance(v, dict) else v for k, v in value.items()}


class Resources(StrictModel):
    """What one run needs."""

    cpus: float = Field(default=1.0, gt=0, description="CPU cores of a run.")
    gpus: float = Field(default=0.0, ge=0, description="GPUs of a run; fractions share one.")
    memory_gb: float | None = Field(default=None, gt=0, description="Memory of a run in GB.")
    timeout: str = Field(
        default=_AUTO,
        description="Time limit of a run: 90s, 30m, 2h; auto: 20 times the median of the finished runs, at least 30m.",
    )
    wait: str = Field(
        default="30m",
        description="How long runs wait on a cluster none of whose nodes could ever take one of them: 90s, 30m, 2h. "
        "A cluster that changes is given the time again.",
    )
    retries: int = Field(default=2, ge=0, description="Further attempts after a transient failure.")
    gpu_hour_price: float = Field(default=0.0, ge=0, description="Price of a GPU-hour.")
    cpu_hour_price: float = Field(default=0.0, ge=0, description="Price of the hour of a CPU core.")
    custom: dict[str, float] = Field(
        default_factory=dict, description="Custom Ray resources of a run, such as {accelerator_type:A100: 0.001}."
    )
    bundles: tuple[dict[str, float], ...] = Field(
        default=(),
        description="Resources of processes that a run starts beside itself, such as [{CPU: 1, GPU: 1}] for an "
        "inference engine; reserved together with the run.",
    )
    priority: int = Field(
        default=1, ge=1, le=100, description="Weight of this study where several share one Ray cluster."
    )

    @field_validator("cpus", "gpus")
    @classmethod
    def _check_amount(cls, value: float) -> float:
        if 0 < value < _LEAST_AMOUNT:
            raise ValueError(f"Ray counts in steps of {_LEAST_AMOUNT:g}: a run that needs less would need nothing")
        return value

    @field_validator("gpus")
    @classmethod
    def _check_gpus(cls, value: float) -> float:
        if value > 1 and value != int(value):
            raise ValueError("more than one GPU must be a whole number of them")
        return value

    @field_validator("custom", "bundles")
    @classmethod
    def _check_amounts(cls, value: Any) -> Any:
        for bundle in (value,) if isinstance(value, dict) else value:
            for name, amount in bundle.items():
                if amount <= 0:
                    raise ValueError(f"{name} must be more than 0")
                if amount < _LEAST_AMOUNT:
                    raise ValueError(f"{name}: Ray counts in steps of {_LEAST_AMOUNT:g}; less would be nothing")
        if isinstance(value, dict) and (reserved := {"CPU", "GPU", "memory"} & set(value)):
            raise ValueError(f"{min(reserved)} is no custom resource; use cpus, gpus or memory_gb")
        return value

    @field_validator("wait", mode="before")
    @classmethod
    def _check_wait(cls, value: Any) -> str:
        parse_duration(value)
        return str(value)

    @field_validator("timeout", mode="before")
    @classmethod
    def _check_timeout(cls, value: Any) -> str:
        if value != _AUTO:
            parse_duration(value)
        return str(value)

    @property
    def timeout_seconds(self) -> float | None:
        """Time limit in seconds; None: it follows from what finished runs cost."""
        return None if self.timeout == _AUTO else parse_duration(self.timeout)


class Budget(StrictModel):
    """What a sweep may spend, earlier submissions and failed attempts included. Nothing starts that would overrun it.

    Before the first run has finished nobody knows what a run costs: one pilot may start while anything is left.
    """

    gpu_hours: float | None = Field(default=None, gt=0, description="GPU-hours in all.")
    cpu_hours: float | None = Field(default=None, gt=0, description="Core-hours in all.")
    price: float | None = Field(default=None, gt=0, description="Price in all, by the prices in resources.")
    wall_time: str | None = Field(
        default=None, description="Time that one submission may take: 90s, 30m, 2h, 3d. What runs is not cut off."
    )

    @field_validator("wall_time", mode="before")
    @classmethod
    def _check_wall_time(cls, value: Any) -> str | None:
        if value is None:
            return None
        parse_duration(value)
        return str(value)

    @property
    def wall_seconds(self) -> float | None:
        """The time limit in seconds."""
        return None if self.wall_time is None else parse_duration(self.wall_time)


class StudySpec(StrictModel):
    """One study file, validated. ``factors`` and ``responses`` keep the file's order."""

    schema_version: Literal[1] = Field(description="Version of this format.")
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$", description="Short name: letters, digits, - _ .")
    question: str = Field(default="", description="The question that the study answers, in words.")
    trainable: str | None = Field(default=None, description="module:object or an entry point's name.")
    factors: dict[str, Factor] = Field(min_length=1, description="What is varied.")
    design: DesignRequest = Field(description="Which combinations are run.")
    responses: dict[str, Response] = Field(min_length=1, description="What is measured on every run.")
    follow_up: FollowUp | None = Field(default=None, description="The finished sweep that this study continues.")
    tuning: Tuning | None = Field(default=None, description="Settings that are tuned before the registered runs.")
    scaling: Scaling | None = Field(
        default=None, description="Factors that are sizes: effects are read against them, and beyond them."
    )
    optimise: Optimise | None = Field(
        default=None, description="Filled in by `maineffect optimise SWEEP --study FILE`."
    )
    hypotheses: tuple[Hypothesis, ...] = Field(default=(), description="Claims registered before the first run.")
    analysis: AnalysisPlan = Field(default_factory=AnalysisPlan, description="How the runs are analysed.")
    settings: dict[str, Any] = Field(default_factory=dict, description="Fixed settings of the trainable.")
    resources: Resources = Field(default_factory=Resources, description="What one run needs.")
    budget: Budget = Field(default_factory=Budget, description="What the sweep may spend.")
    seed: int = Field(default=0, ge=0, description="Root of the seed tree.")
    standards: str | None = Field(
        default=None, description="A team's own standards: a YAML file beside the study, held against it at `check`."
    )
    waivers: dict[str, str] = Field(
        default_factory=dict,
        description="Rules of the standards that this study sets aside: {rule: reason}; the report prints them.",
    )

    @property
    def tuned_by(self) -> tuple[str, ...]:
        """Factors whose levels say which runs share a tuned value; none where all runs do, or every run has its own."""
        scope = self.tuning.scope if self.tuning is not None else "shared"
        if isinstance(scope, str):
            return tuple(self.factors) if scope == "cell" else ()
        return tuple(name for name in self.factors if name in scope)

    @model_validator(mode="after")
    def _check_target(self) -> StudySpec:
        check_target(self.analysis.transport, self.factors)
        return self

    @model_validator(mode="after")
    def _check_tuning(self) -> StudySpec:
        if self.tuning is not None:
            check_tuning(self.tuning, self.factors, self.responses)
            shared = self.design.common_random_numbers and self.analysis.over_seeds
            strata = {
                "design.hard_to_change": bool(self.design.hard_to_change),
                "analysis.inference: seeds": shared,
                "analysis.sequential": self.analysis.sequential is not None,
                "analysis.follow_up": self.analysis.follow_up is not None,
            }
            check_groups(self.tuning, self.factors, strata)
            if self.follow_up is not None:
                raise ValueError(
                    "tuning: a study that continues a sweep cannot tune, or its new runs take other values than the "
                    "finished ones; write the chosen value into settings"
                )
        return self

    @model_validator(mode="after")
    def _check_attribution(self) -> StudySpec:
        ends = self.analysis.attribution
        for side, chosen in () if isinstance(ends, str) else (("from", ends.start), ("to", ends.to)):
            for name, level in chosen.items():
                if name not in self.factors:
                    raise ValueError(
                        f"analysis.attribution.{side}: no factor {name!r}; factors: {', '.join(self.factors)}"
                    )
                if not self.factors[name].has_level(level):
                    levels = ", ".join(map(str, self.factors[name].levels))
                    raise ValueError(f"analysis.attribution.{side}.{name}: no level {level!r}; levels: {levels}")
        return self

    @model_validator(mode="after")
    def _check_analysis(self) -> StudySpec:
        for name in self.analysis.covariates:
            if name in self.factors or name in self.responses:
                raise ValueError(f"analysis.covariates: {name!r} is a factor or response, not known before training")
        if len(set(self.analysis.covariates)) < len(self.analysis.covariates):
            raise ValueError("analysis.covariates: a name occurs twice")
        for name, pair in self.analysis.overfit.items():
            if name in self.responses or name in self.factors:
                raise ValueError(f"analysis.overfit: {name!r} is a factor or response already; choose a new name")
            if unknown := [gain for gain in pair if gain not in self.responses]:
                response_names = ", ".join(self.responses)
                raise ValueError(f"analysis.overfit.{name}: no response {unknown[0]!r}; responses: {response_names}")
            if self.responses[pair[0]].unit != self.responses[pair[1]].unit or pair[0] == pair[1]:
                raise ValueError(f"analysis.overfit.{name}: {pair[0]} and {pair[1]} must be two responses in one unit")
        return self
