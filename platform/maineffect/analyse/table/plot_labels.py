"""Labels of blocks and whole plots: unique over the table, or made so; a label that means two plots is refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pandas as pd

from maineffect.analyse.table.numbers import number_of
from maineffect.analyse.table.parsing import place_of
from maineffect.analyse.table.strata import whole_plot_factors
from maineffect.design.model.model import Design
from maineffect.errors import AnalysisError
from maineffect.spec.study import StudySpec

__all__ = ["qualified_plots", "restored_labels"]

_LABELS = ("whole_plot", "block")
_NUMBERED = "a spreadsheet turns 1.10 into 1.1: let labels be texts, such as plot 1.10"


def restored_labels(table: pd.DataFrame, design: Design, warnings: list[str]) -> pd.DataFrame:
    """Labels that a spreadsheet took for numbers, restored by the plan's run ids.

    Other names for the same plots are left alone. A table that groups planned runs in another way than the plan does is
    refused, since either its labels or its run ids are wrong.

    Raises:
        AnalysisError: Runs of the plan stand in other whole plots or blocks than planned.
    """
    planned = {run.run_id: run for run in design.runs}
    if "run_id" not in table or not all(run_id in planned for run_id in table["run_id"].tolist()):
        return table
    runs = [planned[run_id] for run_id in table["run_id"].tolist()]
    for name in _LABELS:
        meant = [getattr(run, name) for run in runs]
        if name not in table or table[name].isna().any() or any(label is None for label in meant):
            continue
        given, wanted = table[name].tolist(), [str(label) for label in meant]
        if _same_groups(given, wanted):
            continue
        wrong = next((i for i in range(len(given)) if not _equal_as_numbers(given[i], wanted[i])), None)
        if wrong is not None:
            i, j = _crossed(given, wanted)
            raise AnalysisError(
                f"{name} groups the runs in another way than the plan: {place_of(table, i)} and {place_of(table, j)} "
                f"are {given[i]} and {given[j]}, and by their run ids {wanted[i]} and {wanted[j]}",
                f"correct {name}, leave it out to take the plan's, or leave run_id out to analyse what was run",
            )
        lost = next(i for i in range(len(given)) if given[i] != wanted[i])
        warnings.append(
            f"{name}: labels such as {wanted[lost]} were taken for numbers ({place_of(table, lost)}: {given[lost]}); "
            "they were restored from the plan by run id"
        )
        table = table.assign(**{name: pd.Series(wanted, index=table.index, dtype=object)})
    return table


def _same_groups(a: Sequence[str], b: Sequence[str]) -> bool:
    pairs = set(zip(a, b, strict=True))
    return len(pairs) == len(set(a)) == len(set(b))


def _equal_as_numbers(a: str, b: str) -> bool:
    first, second = number_of(a), number_of(b)
    return a == b or (first is not None and first == second)


def _crossed(given: Sequence[str], wanted: Sequence[str]) -> tuple[int, int]:
    """Two rows that one list puts together and the other apart."""
    for a, b in ((given, wanted), (wanted, given)):
        seen: dict[str, int] = {}
        for i, label in enumerate(a):
            j = seen.setdefault(label, i)
            if b[i] != b[j]:
                return j, i
    raise AssertionError("the groups are the same")


def qualified_plots(study: StudySpec, table: pd.DataFrame, design: Design | None, warnings: list[str]) -> pd.DataFrame:
    """Whole plots whose labels are unique: plots that are numbered within each block are named by block and number.

    Raises:
        AnalysisError: One label still stands for several whole plots.
    """
    hard = tuple(study.design.hard_to_change)
    if "whole_plot" not in table or "whole_plot" in study.factors or not hard or table["whole_plot"].isna().any():
        return table
    for name in ("block", "replicate"):
        if name not in table or table[name].isna().any() or table[name].nunique() < 2:
            continue
        if (table.groupby("whole_plot")[name].nunique() > 1).any():
            whole = [f"{block}|{plot}" for block, plot in zip(table[name], table["whole_plot"], strict=True)]
            warnings.append(
                f"whole_plot: the same labels occur in several {name}s, so plots are told apart by {name} and label: "
                f"{len(set(whole))} plots, not {table['whole_plot'].nunique()}"
            )
            table = table.assign(whole_plot=pd.Series(whole, index=table.index, dtype=object))
        break
    _check_constant(table, hard)
    _check_sizes(table, design)
    return table


def _check_constant(table: pd.DataFrame, hard: Sequence[str]) -> None:
    """A whole plot has one setting of every hard-to-change factor."""
    labels = table["whole_plot"].tolist()
    rows = {name: table[name].tolist() for name in hard}
    changing = [name for name in hard if name not in whole_plot_factors(rows, labels)]
    if not changing:
        return
    i, j = _crossed(labels, [str(level) for level in rows[changing[0]]])
    if labels[i] != labels[j]:
        raise AssertionError("a factor that changes within plots has two levels in one")
    name = changing[0]
    raise AnalysisError(
        f"whole plot {labels[i]} has {name} = {rows[name][i]} ({place_of(table, i)}) and {rows[name][j]} "
        f"({place_of(table, j)}), and {name} is hard to change: one label stands for several plots",
        f"give every whole plot a label of its own; {_NUMBERED}. If {name} was changed from run to run, leave "
        "whole_plot out and take it from design.hard_to_change",
    )


def _check_sizes(table: pd.DataFrame, design: Design | None) -> None:
    """A plot that holds every cell of its setting several times over, beside others that do not, is several plots."""
    if design is None:
        return
    planned = Counter(run.whole_plot for run in design.runs)
    usual = max(planned.values())
    sizes = Counter(table["whole_plot"].tolist())
    if len(sizes) >= len(planned) or min(sizes.values()) > usual:
        return
    large = next((label for label, size in sizes.items() if size > usual), None)
    if large is not None:
        raise AnalysisError(
            f"whole plot {large} has {sizes[large]} runs and the plan gives a plot {usual}; of {len(planned)} planned "
            f"plots the table names {len(sizes)}: one label stands for several plots",
            f"give every whole plot a label of its own; {_NUMBERED}",
        )
