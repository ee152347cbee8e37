"""From an analysis to files that people read: the verb ``report``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from maineffect.errors import UsageError
from maineffect.journey.plan.place import Place

if TYPE_CHECKING:
    from maineffect.analyse.exploratory.comparison import Comparison
    from maineffect.analyse.record.result import AnalysisResult

T = TypeVar("T")

__all__ = ["write_comparison", "write_figures", "write_report"]


def write_report(result: AnalysisResult, place: Place, *, out: Path | None = None, form: str = "html") -> Path:
    """Write a report and keep it with its sweep.

    Raises:
        UsageError: An unknown format, or a file that cannot be written.
    """
    path = out or place.home / "reports" / f"{result.facts.sweep_id or result.study}.{form}"
    writers = {"html": _html, "md": _markdown, "json": _json}
    _write(path, _chosen(form, writers)(result))
    if result.facts.sweep_id is not None:
        from maineffect.ledger.sweep.ledger import find_sweep, log_file

        log_file(find_sweep(place.uri(), result.facts.sweep_id), path)
    return path.absolute()


def write_figures(result: AnalysisResult, folder: Path) -> list[Path]:
    """Write every figure as SVG, PNG and CSV.

    Raises:
        UsageError: The folder cannot be written.
    """
    from maineffect.report import figures

    try:
        return figures.write_figures(result, folder)
    except OSError as error:
        raise UsageError(f"cannot write {folder}: {error.strerror}", "name another folder with --figures") from None


def write_comparison(
    first: AnalysisResult, second: AnalysisResult, place: Place, *, out: Path | None = None, form: str = "html"
) -> tuple[Comparison, Path]:
    """Set two analyses side by side and write the page.

    Raises:
        UsageError: An unknown format, or a file that cannot be written.
    """
    from maineffect.analyse.exploratory.comparison import compare
    from maineffect.report.compare import render_comparison, render_comparison_markdown

    writers: dict[str, Callable[[Comparison], str]] = {
        "html": lambda comparison: render_comparison(comparison, first, second),
        "md": lambda comparison: render_comparison_markdown(comparison, first, second),
        "json": lambda comparison: comparison.model_dump_json(indent=1),
    }
    write, comparison = _chosen(form, writers), compare(first, second)
    path = out or place.home / "reports" / f"{comparison.names[0]}_{comparison.names[1]}.{form}"
    _write(path, write(comparison))
    return comparison, path.absolute()


def _chosen(form: str, writers: Mapping[str, Callable[[T], str]]) -> Callable[[T], str]:
    if form not in writers:
        raise UsageError(f"no report format {form!r}", f"use {', '.join(writers)}")
    return writers[form]


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}", "name another file with -o") from None


def _html(result: AnalysisResult) -> str:
    from maineffect.report.page import render_report

    return render_report(result)


def _markdown(result: AnalysisResult) -> str:
    from maineffect.report.markdown import render_markdown

    return render_markdown(result)


def _json(result: AnalysisResult) -> str:
    return result.model_dump_json(indent=1)
