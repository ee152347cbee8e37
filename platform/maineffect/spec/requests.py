"""Design requests: one model per kind of design, told apart by ``kind:``; and the finished runs that one follows."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from maineffect.contracts import Level
from maineffect.spec.factors import StrictModel

__all__ = [
    "REQUESTS",
    "AblationRequest",
    "AutoRequest",
    "BoxBehnkenRequest",
    "CentralCompositeRequest",
    "DefinitiveScreeningRequest",
    "DesignRequest",
    "EarlierRun",
    "FollowUp",
    "FractionalRequest",
    "FullRequest",
    "ListRequest",
    "ModelTerms",
    "OptimalRequest",
    "OrthogonalArrayRequest",
    "PlackettBurmanRequest",
    "SplitPlotRequest",
]

ModelTerms = Literal["main", "two_way", "second_order", "full"] | tuple[str, ...]
"""``main``, ``two_way`` (main effects and two-factor interactions), ``second_order`` (these, and the quadratics of
numeric factors with three levels or more), ``full``, or a list of terms such as ``A:B``."""


class _Request(StrictModel):
    replicates: int = Field(default=1, ge=1, description="How often the design is run.")
    common_random_numbers: bool = Field(
        default=False,
        description="false: every run has its own seed, and one base model or warm start serves the whole sweep. "
        "true: the runs of a replicate share their seed, and replicates are blocks.",
    )
    balanced_order: bool = Field(
        default=False, description="Take the random order that is least correlated with time, of many."
    )
    hard_to_change: tuple[str, ...] = Field(default=(), description="Factors held constant within a whole plot.")
    variance_ratio: float = Field(default=1.0, ge=0, description="Whole-plot variance over run variance.")
    run_cost: float | None = Field(default=None, gt=0, description="Cost of one run (GPU-hours); 1 if not stated.")
    setup_cost: float = Field(default=0.0, ge=0, description="Cost of setting up one whole plot (GPU-hours).")


class FullRequest(_Request):
    """Every combination of levels."""

    kind: Literal["full"]
    forbid: tuple[dict[str, Level], ...] = Field(default=(), description="Combinations that must not occur.")
    centre_points: int = Field(default=0, ge=0, description="Centre runs added to each replicate (numeric factors).")
    blocks: int = Field(default=1, ge=1, description="Blocks within a replicate (a power of two, two-level factors).")


class FractionalRequest(_Request):
    """A regular two-level fraction of minimum aberration, stated by size, resolution or clear effects."""

    kind: Literal["fractional"]
    runs: int | None = Field(default=None, ge=4, description="Runs per replicate: a power of two.")
    resolution: int | None = Field(default=None, ge=3, description="Smallest resolution that is acceptable.")
    clear: tuple[str, ...] = Field(
        default=(), description="Terms kept clear of main effects and 2-factor interactions."
    )
    generators: tuple[str, ...] = Field(default=(), description="Such as `E = A:B:C`; searched if absent.")
    foldover: Literal["none", "full", "semi"] | str = Field(
        default="none", description="none, full, semi, or the factor to fold on."
    )
    centre_points: int = Field(default=0, ge=0, description="Centre runs added to each replicate.")
    blocks: int = Field(default=1, ge=1, description="Blocks within a replicate (a power of two).")


class PlackettBurmanRequest(_Request):
    """A Plackett–Burman screening design for two-level factors."""

    kind: Literal["plackett_burman"]
    runs: int | None = Field(default=None, ge=4, description="A multiple of four; default: the smallest that fits.")
    foldover: bool = Field(default=False, description="Add the mirror image (clears main effects of interactions).")


class DefinitiveScreeningRequest(_Request):
    """A definitive screening design (Jones and Nachtsheim)."""

    kind: Literal["definitive_screening"]
    extra_factors: int = Field(default=0, ge=0, description="Fake factors, for an error estimate (two is customary).")
    centre_points: int = Field(default=1, ge=0, description="Centre runs.")


class CentralCompositeRequest(_Request):
    """A central composite design (Box and Wilson 1951): factorial, axial and centre runs, for a second-order model."""

    kind: Literal["central_composite"]
    alpha: Literal["rotatable", "face_centred", "spherical", "orthogonal_blocks"] | float | None = Field(
        default=None,
        description="Distance of the axial runs, in half distances of the corners, 1 or more; default: rotatable, and "
        "orthogonal_blocks where there are blocks. face_centred takes three levels, all else five.",
    )
    factorial_runs: int | None = Field(
        default=None, ge=4, description="A power of two; default: all corners of up to 4 factors, then resolution V."
    )
    centre_points: int | None = Field(
        default=None, ge=0, description="Centre runs per replicate; with blocks: in each block of factorial runs."
    )
    axial_centre_points: int | None = Field(default=None, ge=0, description="Centre runs in the block of axial runs.")
    blocks: int = Field(
        default=1,
        ge=1,
        description="Blocks within a replicate: the axial runs are one, the others (1, 2, 4, …) factorial.",
    )


class BoxBehnkenRequest(_Request):
    """A Box–Behnken design (1960) of 3 to 7 three-level factors, for a second-order model, without corners."""

    kind: Literal["box_behnken"]
    centre_points: int | None = Field(
        default=None, ge=1, description="Centre runs per replicate, as many in every block; default: as published."
    )
    blocks: int = Field(default=1, ge=1, description="Blocks within a replicate: 3 for 4 factors, 2 for 5, 6 and 7.")


class OrthogonalArrayRequest(_Request):
    """A strength-2 orthogonal array for mixed levels."""

    kind: Literal["orthogonal_array"]
    runs: int | None = Field(default=None, ge=4, description="Default: the smallest array that fits.")


class OptimalRequest(_Request):
    """A D- or I-optimal design by coordinate exchange; split-plot when factors are hard to change."""

    kind: Literal["optimal"]
    runs: int = Field(ge=2, description="Runs per replicate.")
    criterion: Literal["D", "I"] = Field(default="D", description="D: precise effects; I: precise predictions.")
    model: ModelTerms | None = Field(default=None, description="Terms to estimate; default: those of `analysis.terms`.")
    forbid: tuple[dict[str, Level], ...] = Field(default=(), description="Combinations that must not occur.")
    fixed: tuple[dict[str, Level], ...] = Field(default=(), description="Runs that exist already and are kept.")
    starts: int | None = Field(default=None, ge=1, description="Random starts of the search.")
    whole_plots: int | None = Field(
        default=None, ge=2, description="Whole plots per replicate; default: what costs least per information."
    )
    blocks: int = Field(default=1, ge=1, description="Blocks within a replicate; fixed runs are the first of them.")
    grid: int | None = Field(
        default=None, ge=2, le=101, description="Even steps tried of each continuous factor; default: its levels."
    )


class SplitPlotRequest(_Request):
    """A full factorial run as a split plot: hard-to-change factors are constant within a whole plot."""

    kind: Literal["split_plot"]
    hard_to_change: tuple[str, ...] = Field(min_length=1, description="Factors held constant within a whole plot.")
    whole_plots: int | None = Field(default=None, ge=2, description="Per replicate; default: one per combination.")
    runs: int | None = Field(default=None, ge=2, description="Runs per replicate; fewer than the full: optimal.")
    model: ModelTerms | None = Field(default=None, description="Terms to estimate; default: those of `analysis.terms`.")
    forbid: tuple[dict[str, Level], ...] = Field(default=(), description="Combinations that must not occur.")


class AblationRequest(_Request):
    """Changes around a baseline, one at a time. Cannot estimate interactions."""

    kind: Literal["ablation"]
    baseline: dict[str, Level] = Field(description="Level of every factor in the baseline.")
    mode: Literal["leave_one_out", "add_one_in"] = Field(
        default="leave_one_out",
        description="leave_one_out: baseline is everything on; add_one_in: baseline is everything off.",
    )
    baseline_repeats: int = Field(default=1, ge=1, description="Baseline runs in each replicate (the control).")


class ListRequest(_Request):
    """Cells written out by hand."""

    kind: Literal["list"]
    cells: tuple[dict[str, Level], ...] = Field(min_length=1, description="One mapping factor → level per cell.")


class AutoRequest(_Request):
    """The design that finds the smallest effects for a budget, chosen among all kinds and shown with its rivals."""

    kind: Literal["auto"]
    budget: float = Field(gt=0, description="GPU-hours for the whole sweep, in the unit of run_cost and setup_cost.")
    effects: ModelTerms | None = Field(default=None, description="Effects wanted; default: those of `analysis.terms`.")
    sigma: float | None = Field(default=None, gt=0, description="Standard deviation of a run, from a pilot.")
    power: float = Field(default=0.8, gt=0.5, lt=1, description="Power at which detectable effects are compared.")
    forbid: tuple[dict[str, Level], ...] = Field(default=(), description="Combinations that must not occur.")


DesignRequest = Annotated[
    FullRequest
    | FractionalRequest
    | PlackettBurmanRequest
    | DefinitiveScreeningRequest
    | CentralCompositeRequest
    | BoxBehnkenRequest
    | OrthogonalArrayRequest
    | OptimalRequest
    | SplitPlotRequest
    | AblationRequest
    | ListRequest
    | AutoRequest,
    Field(discriminator="kind"),
]

REQUESTS: dict[str, type[StrictModel]] = {
    "full": FullRequest,
    "fractional": FractionalRequest,
    "plackett_burman": PlackettBurmanRequest,
    "definitive_screening": DefinitiveScreeningRequest,
    "central_composite": CentralCompositeRequest,
    "box_behnken": BoxBehnkenRequest,
    "orthogonal_array": OrthogonalArrayRequest,
    "optimal": OptimalRequest,
    "split_plot": SplitPlotRequest,
    "ablation": AblationRequest,
    "list": ListRequest,
    "auto": AutoRequest,
}
"""Kind → request model."""


class EarlierRun(StrictModel):
    """A finished run of an earlier phase: a fixed row of the design, which counts and is never run again."""

    run: str = Field(pattern=r"^c[0-9a-f]{10}-r[1-9]\d*(-\d+)?$", description="Its run id.")
    levels: dict[str, Level] = Field(description="Its level of every factor.")
    block: str | None = Field(default=None, description="Its block; default: the first phase is one block.")
    whole_plot: str | None = Field(default=None, description="Its whole plot, where factors are hard to change.")

    @property
    def replicate(self) -> int:
        """The replicate that its run id names."""
        return int(self.run.split("-")[1].removeprefix("r"))


class FollowUp(StrictModel):
    """A new phase of a study whose sweep has ended; `design` is then the new phase alone.

    `maineffect next SWEEP --write FILE` writes it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True)

    sweep: str = Field(alias="from", min_length=1, description="The sweep that it follows.")
    plan: str = Field(pattern="^[0-9a-f]{64}$", description="Hash of that sweep's plan.")
    results: str = Field(pattern="^[0-9a-f]{64}$", description="Digest of that sweep's results.")
    phase: int = Field(default=2, ge=2, description="Number of the new phase.")
    runs: tuple[EarlierRun, ...] = Field(
        default=(), description="Finished runs that count as earlier phases, a block of their own; none: new runs only."
    )

    @property
    def last_replicate(self) -> int:
        """The last replicate of the earlier phases: those of the new phase are counted on."""
        return max((run.replicate for run in self.runs), default=0)
