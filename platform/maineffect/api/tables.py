"""Records → DataFrames: one row an effect, a verdict, a mean, a run, a point of a curve, an item."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from maineffect.analyse.record.result import AnalysisResult

__all__ = ["curves", "effects", "frame", "means", "runs", "verdicts"]

_VERDICT = ("id", "term", "response", "verdict", "label", "estimate", "ci_low", "ci_high", "p_adjusted", "answer")
_LEFT_OUT = {"aliased_with"}


def frame(rows: Iterable[Mapping[str, Any]], columns: Sequence[str] = ()) -> pd.DataFrame:
    """A table of rows; its columns are there even where no row is."""
    import pandas as pd

    made = [dict(row) for row in rows]
    return pd.DataFrame(made, columns=None if made else list(columns))


def effects(result: AnalysisResult) -> pd.DataFrame:
    """One row for each contrast of a term on a response: ``response``, then the fields of an effect."""
    from maineffect.analyse.record.result import Effect

    rows = [
        {
            "response": name,
            **effect.model_dump(exclude=_LEFT_OUT),
            "aliased_with": ", ".join(effect.aliased_with),
        }
        for name, response in result.responses.items()
        for effect in response.effects
    ]
    return frame(rows, ("response", *Effect.model_fields))


def verdicts(result: AnalysisResult) -> pd.DataFrame:
    """One row for each registered hypothesis: what it is about, the verdict, the estimate with its interval."""
    rows = [{name: getattr(claim, name) for name in _VERDICT} for claim in result.hypotheses]
    return frame(rows, _VERDICT)


def means(result: AnalysisResult) -> pd.DataFrame:
    """One row for each marginal mean: ``response``, ``term``, a column a factor, the estimate with its interval."""
    rows = [
        {
            "response": name,
            "term": mean.term,
            **mean.levels,
            "estimate": mean.estimate,
            "ci_low": mean.ci_low,
            "ci_high": mean.ci_high,
        }
        for name, response in result.responses.items()
        for mean in response.means
    ]
    return frame(rows, ("response", "term", "estimate", "ci_low", "ci_high"))


def runs(result: AnalysisResult) -> pd.DataFrame:
    """One row a planned run: ids, a column a factor, how it ended, and a column a response."""
    rows = [
        {
            "run_id": run.run_id,
            "cell_id": run.cell_id,
            **run.levels,
            "replicate": run.replicate,
            "status": run.status,
            "attempts": run.attempts,
            "seconds": run.seconds,
            **run.responses,
        }
        for run in result.runs
    ]
    return frame(rows, ("run_id", "cell_id", "replicate", "status", "attempts", "seconds"))


def curves(result: AnalysisResult) -> pd.DataFrame:
    """One row for each point of a training curve: ``run_id``, a column a factor, ``metric``, ``step``, ``value``."""
    levels = {run.run_id: run.levels for run in result.runs}
    rows = [
        {"run_id": curve.run_id, **levels.get(curve.run_id, {}), "metric": curve.metric, "step": step, "value": value}
        for curve in result.curves
        for step, value in zip(curve.steps, curve.values, strict=True)
    ]
    return frame(rows, ("run_id", "metric", "step", "value"))
