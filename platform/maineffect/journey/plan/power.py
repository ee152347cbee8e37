"""What a study could find, before it is paid for: the verbs ``design`` and ``power``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from maineffect.errors import UsageError
from maineffect.journey.plan.place import Checked
from maineffect.journey.plan.tuned import groups_variance, trial_runs
from maineffect.spec.responses import Goal, Response

if TYPE_CHECKING:
    from maineffect.analyse.record.result import AnalysisResult
    from maineffect.design.power_report import RunSpread
    from maineffect.spec.responses import Hypothesis
    from maineffect.spec.study import StudySpec

_FROM_MEAN = " − mean"

__all__ = ["PowerQuestion", "planned_design", "planned_power"]


@dataclass(frozen=True)
class PowerQuestion:
    """What is known of a run's spread, and what is asked.

    Attributes:
        sigma: Standard deviation of a run, the same for every response.
        seed_sd: Between runs of a cell; with ``item_sd`` and ``items`` instead of ``sigma``.
        item_sd: Of one item's score within a run.
        items: Items per run.
        pilot: A finished sweep whose analysis knows the spread of each response.
        power: Power wanted.
        replicates: Of the curve; empty: 1 to 8.
        simulate: Studies to simulate through the analysis; 0 for none.
        effect: True effect, high minus low, in the responses' units; default: each smallest effect of interest.
        covariate_r2: Share of a run's variance within cells that the registered covariates are assumed to explain.
        tau: Standard deviation of an effect between seeds, in standard deviations of a run; default: the pilot's.
    """

    sigma: float | None = None
    seed_sd: float | None = None
    item_sd: float | None = None
    items: int | None = None
    pilot: str | None = None
    power: float = 0.8
    replicates: tuple[int, ...] = ()
    simulate: int = 0
    effect: float | None = None
    covariate_r2: float | None = None
    tau: float | None = None


def planned_design(checked: Checked) -> tuple[Checked, list[dict[str, Any]]]:
    """A checked study with the smallest effect that each of its terms detects."""
    from maineffect.analyse.simulation.planned import planned_model
    from maineffect.design.phases import judged_runs
    from maineffect.design.power.analytic import power_document

    design = judged_runs(checked.study, checked.design)
    model = planned_model(checked.study, design)
    document = power_document(checked.study, design, terms=model.terms, extra=model.extra)
    return checked, list(document["terms"])


def planned_power(
    checked: Checked,
    question: PowerQuestion,
    analysed: Callable[[str], AnalysisResult],
    on_study: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Smallest detectable effects, power of the hypotheses, curve over replicates, and simulation if asked.

    Args:
        analysed: Analyses the pilot sweep.
        on_study: Told of every simulated study.

    Raises:
        UsageError: Sources of the spread contradict each other, or a simulation has none.
    """
    from maineffect.analyse.simulation.planned import planned_model
    from maineffect.design.phases import judged_runs
    from maineffect.design.power_report import beside_covariates, claimed_size, power_report

    study, design = checked.study, judged_runs(checked.study, checked.design)
    covariates = _covariates(study, question)
    spreads = _spreads(study, question, analysed)
    if question.tau is not None:
        _check_tau(checked, question.tau)
        spreads = {name: replace(spread, tau=question.tau) for name, spread in spreads.items()}
    if question.covariate_r2 is not None:
        spreads = {name: beside_covariates(spread, question.covariate_r2) for name, spread in spreads.items()}
    document = power_report(
        study,
        design,
        spreads,
        power=question.power,
        replicates=question.replicates,
        effect=question.effect,
        fitted=lambda made: planned_model(study, made),
    )
    document["covariates"] = covariates
    if (trials := trial_runs(study, design)) > 0:
        share = trials / len(design.runs)
        cost = {f"tuning_{name}": share * amount for name, amount in document["cost"].items() if name != "runs"}
        document["cost"] |= {"tuning_runs": trials, **cost}
        document["tuned_groups"] = groups_variance(study, design, [spread.ratio for spread in spreads.values()])
    if question.simulate:
        from maineffect.analyse.simulation.power_simulation import simulate_power

        scaled, effects = _in_sigmas(study, spreads, claimed_size(study, question.effect))
        ratios = {spread.ratio for spread in spreads.values() if spread.ratio is not None}
        ratio = max(ratios) if ratios else None
        simulated = simulate_power(
            scaled,
            design,
            effects,
            studies=question.simulate,
            ratio=ratio,
            tau=_simulated_tau(checked, spreads),
            on_study=on_study,
        )
        document["simulated"] = [power.document() for power in simulated]
    return document


def _check_tau(checked: Checked, tau: float) -> None:
    """Refuse a τ that is none, or that no claim of the study is about."""
    if tau < 0:
        raise UsageError(f"a standard deviation of {tau:g} is negative", "such as --tau 0.5")
    seeds = [run.seed for run in checked.design.runs]
    if len(set(seeds)) == len(seeds):
        raise UsageError(
            "--tau is about seeds that runs share, and here every run has its own",
            "leave it out: what seeds do to an effect is part of a run's own spread (--sigma)",
        )
    if not checked.study.analysis.over_seeds:
        raise UsageError(
            "--tau is about new seeds, and the verdicts of this study are about the seeds that are run",
            "leave it out, or state analysis.inference: seeds",
        )


def _simulated_tau(checked: Checked, spreads: Mapping[str, RunSpread]) -> dict[str, float] | None:
    """Response → τ, where claims are about new seeds from shared ones.

    Raises:
        UsageError: It is unknown: studies whose effects are alike in all seeds would promise too much.
    """
    from maineffect.design.power.shared_seeds import shared_seeds

    if shared_seeds(checked.study, checked.design, None) is None:
        return None
    unknown = sorted({h.response for h in checked.study.hypotheses if spreads[h.response].tau is None})
    if unknown:
        raise UsageError(
            f"how much effects on {', '.join(unknown)} differ between seeds is unknown, and --simulate needs it",
            "give --tau, or a --pilot with seeds shared in replicates",
        )
    return {name: spread.tau for name, spread in spreads.items() if spread.tau is not None}


def _covariates(study: StudySpec, question: PowerQuestion) -> dict[str, Any] | None:
    """What power assumes of the registered covariates, in words too; None without any.

    Raises:
        UsageError: A share is stated that is none, that nothing explains, or that a pilot has taken off already.
    """
    names, r2 = list(study.analysis.covariates), question.covariate_r2
    if r2 is not None and not 0 <= r2 < 1:
        raise UsageError(f"a share of {r2:g} is not between 0 and 1", "such as --covariate-r2 0.3")
    if r2 is not None and not names:
        raise UsageError("--covariate-r2 is about covariates, and none is registered", "name them: analysis.covariates")
    if r2 is not None and question.pilot is not None:
        raise UsageError(
            "a pilot's spread is what its own covariates left over: --covariate-r2 would take them off twice",
            "register them in the pilot's study, or give --sigma",
        )
    if not names:
        return None
    which = ", ".join(names)
    if r2 is not None:
        note = f"assumed: {which} explain(s) {r2:.0%} of the variance of a run within cells"
    elif question.pilot is not None:
        note = f"{which}: taken as the pilot's study fitted them; if it did not, power is at least this"
    else:
        note = f"{which}: power is reckoned as if it explained nothing; state --covariate-r2 for what it does"
    return {"names": names, "r2": r2, "note": f"{note}; each costs a degree of freedom and chance imbalance"}


def _spreads(
    study: StudySpec, question: PowerQuestion, analysed: Callable[[str], AnalysisResult]
) -> Mapping[str, RunSpread]:
    from maineffect.design.power_report import RunSpread, spread_from_parts

    parts = (question.seed_sd, question.item_sd, question.items)
    given = [question.sigma is not None, any(part is not None for part in parts), question.pilot is not None]
    if sum(given) > 1:
        raise UsageError("--sigma, --pilot and --seed-sd are three ways to say one thing", "give one of them")
    if question.sigma is not None:
        if question.sigma <= 0:
            raise UsageError(f"a standard deviation of {question.sigma:g} is not positive", "such as --sigma 0.04")
        return dict.fromkeys(study.responses, RunSpread(question.sigma))
    if given[1]:
        if question.seed_sd is None or question.item_sd is None or question.items is None:
            raise UsageError("a spread in parts needs all three", "--seed-sd 0.03 --item-sd 0.5 --items 200")
        return dict.fromkeys(study.responses, spread_from_parts(*parts))  # type: ignore[arg-type]
    if question.pilot is not None:
        return _from_pilot(study, question.pilot, analysed(question.pilot))
    return {}


def _from_pilot(study: StudySpec, name: str, pilot: AnalysisResult) -> Mapping[str, RunSpread]:
    from maineffect.design.power_report import RunSpread

    spreads: dict[str, RunSpread] = {}
    differences = tuple(h.response for h in study.hypotheses if h.pair is not None)
    for response in dict.fromkeys((*study.responses, *study.analysis.overfit, *differences)):
        result = pilot.responses.get(response)
        if result is None or result.model.sigma is None or not result.model.df_error or result.model.sigma <= 0:
            continue
        components = result.variance_components or {}
        plots = components.get("whole_plot")
        ratio = None if plots is None else plots / result.model.sigma**2
        spreads[response] = RunSpread(
            result.model.sigma,
            result.model.df_error,
            ratio,
            f"pilot {name}, {result.model.df_error:g} degrees of freedom",
            tau=_tau(pilot, response, result.model.sigma),
        )
    if not spreads:
        raise UsageError(
            f"the pilot {name} knows the spread of none of {', '.join(study.responses)}",
            "it needs the same responses and error degrees of freedom (replicates); or give --sigma",
        )
    return spreads


def _tau(pilot: AnalysisResult, response: str, sigma: float) -> float | None:
    """Root mean variance of the main effects between the pilot's seeds, in standard deviations of a run.

    A level minus the mean of L levels varies (1 − 1/L)/2 times as much as the difference of two levels, of which τ is.
    """
    parts = [part for part in pilot.seed_variances if part.response == response]
    variances = []
    for part in parts:
        levels = sum(other.term == part.term for other in parts)
        from_mean = part.contrast.endswith(_FROM_MEAN)
        variances.append(part.sd**2 * (2 * levels / (levels - 1) if from_mean and levels > 1 else 1.0))
    return (sum(variances) / len(variances)) ** 0.5 / sigma if variances else None


def _in_sigmas(
    study: StudySpec, spreads: Mapping[str, RunSpread], effect: float | None
) -> tuple[StudySpec, dict[str, float]]:
    """The study with its margins in standard deviations of a run, and what is planted for each hypothesis."""
    effects = {}
    for hypothesis in study.hypotheses:
        spread = spreads.get(hypothesis.response)
        declared = study.responses.get(hypothesis.response)
        size = effect or hypothesis.smallest_effect or (declared.smallest_effect if declared is not None else None)
        if spread is None or size is None:
            lacking = "the spread of a run" if spread is None else "an effect to plant"
            raise UsageError(
                f"{hypothesis.id} cannot be simulated without {lacking}",
                "give --sigma, --pilot or --seed-sd with --item-sd and --items"
                if spread is None
                else "state responses.*.smallest_effect, or give --effect",
            )
        effects[hypothesis.id] = size / spread.sigma
    made = {name: Response(name=name, goal=Goal.MINIMIZE) for name in spreads if name not in study.responses}
    study = study.model_copy(update={"analysis": study.analysis.model_copy(update={"overfit": {}, "covariates": ()})})
    responses = {
        name: response.model_copy(
            update={
                "smallest_effect": None
                if response.smallest_effect is None or name not in spreads
                else response.smallest_effect / spreads[name].sigma
            }
        )
        for name, response in {**study.responses, **made}.items()
    }
    hypotheses = tuple(_scaled(hypothesis, spreads[hypothesis.response].sigma) for hypothesis in study.hypotheses)
    used = {name: response for name, response in responses.items() if any(h.response == name for h in hypotheses)}
    return study.model_copy(update={"responses": used or responses, "hypotheses": hypotheses}), effects


def _scaled(hypothesis: Hypothesis, sigma: float) -> Hypothesis:
    """The claim in standard deviations of a run; a difference of responses is simulated as one response."""
    margin = None if hypothesis.smallest_effect is None else hypothesis.smallest_effect / sigma
    return hypothesis.model_copy(update={"smallest_effect": margin, "contrast": None})
