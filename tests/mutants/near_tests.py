"""The modules that are mutated, and the tests that are near to each: those that a mutant has to get past.

The quickest come first, because a mutant is given up at its first failure. Tests that start another process cannot be
near: only the process that runs them sees the mutant. Left out by name are simulations of seconds, where others of the
same file see as much.
"""

from __future__ import annotations

__all__ = ["LEFT_OUT", "NEAR"]

_CONFIRMATORY = "tests/analyse/confirmatory"

# Module in platform/maineffect/ → test files.
NEAR: dict[str, tuple[str, ...]] = {
    "analyse/confirmatory/verdicts.py": (
        f"{_CONFIRMATORY}/test_verdicts.py",
        f"{_CONFIRMATORY}/test_hypotheses.py",
    ),
    "analyse/confirmatory/hypotheses.py": (
        f"{_CONFIRMATORY}/test_claims.py",
        f"{_CONFIRMATORY}/test_hypotheses.py",
        "tests/regression/test_verdicts.py",
        f"{_CONFIRMATORY}/test_assurance.py",
        "tests/analyse/test_run.py",
        "tests/analyse/test_adversarial.py",
        f"{_CONFIRMATORY}/test_on_seeds.py",
    ),
    "analyse/confirmatory/randomisation.py": (
        f"{_CONFIRMATORY}/test_randomisation.py",
        f"{_CONFIRMATORY}/test_hypotheses.py",
    ),
    "analyse/confirmatory/sequential.py": (
        f"{_CONFIRMATORY}/test_sequential.py",
        f"{_CONFIRMATORY}/test_interim.py",
        "tests/known_answers/test_stats_procedures.py",
    ),
    "analyse/confirmatory/interim.py": (
        f"{_CONFIRMATORY}/test_look_rules.py",
        f"{_CONFIRMATORY}/test_interim.py",
        f"{_CONFIRMATORY}/test_on_seeds.py",
    ),
    "analyse/fit/losses.py": (
        "tests/analyse/fit/test_losses.py",
        "tests/analyse/fit/test_empty_cells.py",
        "tests/analyse/test_run.py",
    ),
    "analyse/fit/mixed.py": (
        "tests/analyse/fit/test_mixed.py",
        "tests/analyse/fit/test_few_plots.py",
        "tests/analyse/fit/test_random_blocks.py",
        "tests/known_answers/test_stats_split_plot_oracle.py",
        "tests/known_answers/test_stats_designs.py",
    ),
    "design/model/order.py": (
        "tests/design/model/test_order.py",
        "tests/design/test_build.py",
        "tests/design/kinds/test_split_plot.py",
    ),
    "design/power/precision.py": (
        "tests/design/power/test_precision.py",
        "tests/design/power/test_analytic.py",
    ),
}

# Words in the names of tests that no mutant runs.
LEFT_OUT = (
    "keeps_the_error",
    "keeps_its_error",
    "held_before_the_bound",
    "no_effect_is_not_taken",
    "differs_between_seeds",
    "decided_in_eighty",
    "command_line",
)
