"""What an analysis found, as tables, figures and a report."""

from __future__ import annotations

import html
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maineffect.api import tables
from maineffect.errors import UsageError
from maineffect.journey.plan.place import Place

if TYPE_CHECKING:
    import pandas as pd

    from maineffect.analyse.record.result import AnalysisResult
    from maineffect.report.charts.drawing import Chart

__all__ = ["Result"]


class Result:
    """An analysis of one study on one table of runs.

    Attributes:
        record: Everything, as the typed record that ``maineffect analyse --json`` prints.
    """

    def __init__(self, record: AnalysisResult, place: Place | None = None) -> None:
        self.record = record
        self._place = place or Place()

    @property
    def verdicts(self) -> pd.DataFrame:
        """One row for each registered hypothesis."""
        return tables.verdicts(self.record)

    @property
    def effects(self) -> pd.DataFrame:
        """One row for each contrast of a term on a response."""
        return tables.effects(self.record)

    @property
    def means(self) -> pd.DataFrame:
        """One row for each marginal mean."""
        return tables.means(self.record)

    @property
    def runs(self) -> pd.DataFrame:
        """One row for each planned run."""
        return tables.runs(self.record)

    @property
    def curves(self) -> pd.DataFrame:
        """One row for each point of a training curve."""
        return tables.curves(self.record)

    @property
    def warnings(self) -> list[str]:
        """What must be known before the numbers are believed."""
        return list(self.record.warnings)

    @property
    def figures(self) -> tuple[str, ...]:
        """Names of the report's figures, such as ``forest: effects_skill``: the card, and the figure in it."""
        return tuple(self._figures)

    def figure(self, name: str = "forest") -> Chart:
        """A figure of the report as an Altair chart, to show, change or save.

        Args:
            name: One of :attr:`figures`, or how a card or a figure of it begins: ``forest`` is the first forest plot.

        Raises:
            UsageError: No figure begins so.
        """
        from maineffect.report.charts.drawing import chart_of

        figures = self._figures
        found = next((key for key in figures if key.startswith(name) or key.partition(": ")[2].startswith(name)), None)
        if found is None:
            raise UsageError(f"no figure {name!r}", f"there are {', '.join(figures)}")
        return chart_of(figures[found])

    def report(self, path: str | Path | None = None) -> Path:
        """Write the report (HTML, one file) and return where it is.

        Args:
            path: The file; left out, beside the sweep's other reports.
        """
        from maineffect.study import write_report

        return write_report(self.record, self._place, out=None if path is None else Path(path))

    @cached_property
    def _figures(self) -> dict[str, dict[str, Any]]:
        from maineffect.report.figures import figures_by_card

        found: dict[str, dict[str, Any]] = {}
        for card, figure in figures_by_card(self.record):
            for i, panel in enumerate(figure.panels, 1):
                number = "" if len(figure.panels) == 1 else f"-{i}"
                found.setdefault(f"{card}: {figure.stem}{number}", panel.spec)
        return found

    def __repr__(self) -> str:
        record = self.record
        lines = [f"Result of {record.study}: {record.n_runs} runs, {record.n_missing} without a value"]
        lines += [f"  {claim.id} {claim.label or claim.verdict}: {claim.answer}" for claim in record.hypotheses]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """A card for notebooks: every claim with its badge, its answer and its interval, then the first forest plot."""
        rows = "".join(
            f"<tr><td>{html.escape(claim.id)}</td><td><b>{html.escape(claim.label or claim.verdict)}</b></td>"
            f'<td style="text-align:left">{html.escape(claim.answer)}</td><td>{_interval(claim)}</td></tr>'
            for claim in self.record.hypotheses
        )
        title = f"{html.escape(self.record.study)}: {self.record.n_runs} runs"
        warned = "".join(f"<p>⚠ {html.escape(text)}</p>" for text in self.record.warnings[:_MOST_WARNINGS])
        head = "<tr><th></th><th>verdict</th><th>answer</th><th>estimate (interval)</th></tr>"
        return f"<div><p><b>{title}</b></p>{warned}<table>{head}{rows}</table>{self._forest()}</div>"

    def _forest(self) -> str:
        from maineffect.report.charts.drawing import draw_svg

        spec = next((spec for key, spec in self._figures.items() if key.startswith("forest")), None)
        return "" if spec is None else draw_svg(spec)


_MOST_WARNINGS = 3


def _interval(claim: Any) -> str:
    if claim.estimate is None:
        return "–"
    limits = f" ({claim.ci_low:+.3g} to {claim.ci_high:+.3g})" if claim.ci_low is not None else ""
    return f"{claim.estimate:+.3g}{limits}"
