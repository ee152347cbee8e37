"""Small pieces of HTML for the pages: every text of a user is escaped here, and nowhere turned into Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

__all__ = ["STYLE", "paragraph", "run_grid", "table", "transcript"]

STYLE = """<style>
.me table { border-collapse: collapse; font-size: 0.95rem; }
.me caption { text-align: left; opacity: .75; padding-bottom: 4px; }
.me th, .me td { text-align: left; padding: 4px 14px 4px 0; vertical-align: top;
  border-bottom: 1px solid rgba(128,128,128,.35); }
.me .num { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.me th, .me td { overflow-wrap: break-word; }
.me { overflow-x: auto; overflow-wrap: anywhere; }
.me pre { white-space: pre-wrap; margin: 2px 0 8px; font-size: .9rem; }
.me .policy { border-left: 3px solid #1f78b8; padding-left: 8px; }
.me .runs td { padding: 2px 3px 2px 0; border: none; }
.me .state { display: inline-block; min-width: 2.1em; padding: 1px 5px; border-radius: 3px;
  text-align: center; font-size: .8rem; color: #fff; }
.me .finished { background: #0b6b46; } .me .failed { background: #b3261e; } .me .running { background: #1f5fa8; }
.me .planned { background: none; color: inherit; border: 1px dashed rgba(128,128,128,.7); }
.me .world { border-left: 3px solid #8f99a8; padding-left: 8px; }
</style>"""


def paragraph(text: object) -> str:
    """One paragraph of plain text."""
    return f'<p class="me">{escape(str(text))}</p>'


def table(caption: str, columns: Sequence[str], rows: Iterable[Sequence[object]], numeric: Iterable[int] = ()) -> str:
    """A table with a caption and scopes; ``numeric`` columns are right-aligned."""
    right = set(numeric)
    head = "".join(f'<th scope="col"{_kind(i, right)}>{escape(str(c))}</th>' for i, c in enumerate(columns))
    body = "".join(f"<tr>{_row(row, right)}</tr>" for row in rows)
    return (
        f'<div class="me"><table><caption>{escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


_SIGNS = {"finished": "✓", "failed": "✗", "running": "…", "planned": "·"}


def run_grid(runs: Iterable[dict[str, Any]]) -> str:
    """Cells by replicates, every run a field in the colour and with the sign of its state.

    Args:
        runs: ``run_id``, ``cell_id``, ``replicate``, ``state`` and ``levels`` of each, in any order.
    """
    cells: dict[str, dict[int, dict[str, Any]]] = {}
    for run in runs:
        cells.setdefault(str(run["cell_id"]), {})[int(run["replicate"])] = run
    if not cells:
        return ""
    factors = list(next(iter(next(iter(cells.values())).values()))["levels"])
    replicates = sorted({number for of in cells.values() for number in of})
    head = "".join(f'<th scope="col">{escape(str(name))}</th>' for name in (*factors, *replicates))
    body = "".join(
        _cell_row(cells[cell], factors, replicates) for cell in sorted(cells, key=lambda c: _order(cells[c]))
    )
    caption = "Every run: one row a cell, one column a replicate (✓ finished, ✗ failed, … running, · planned)"
    return (
        f'<div class="me"><table class="runs"><caption>{caption}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _order(of: dict[int, dict[str, Any]]) -> list[tuple[int, Any]]:
    levels = next(iter(of.values()))["levels"].values()
    return [(1, level) if isinstance(level, str) else (0, float(level)) for level in levels]


def _cell_row(of: dict[int, dict[str, Any]], factors: Sequence[str], replicates: Sequence[int]) -> str:
    levels = next(iter(of.values()))["levels"]
    first, *rest = [escape(str(levels[name])) for name in factors]
    fields = "".join(f"<td>{_state(of[number]) if number in of else ''}</td>" for number in replicates)
    return f'<tr><th scope="row">{first}</th>{"".join(f"<td>{level}</td>" for level in rest)}{fields}</tr>'


def _state(run: dict[str, Any]) -> str:
    state, name = escape(str(run["state"])), escape(str(run["run_id"]))
    return f'<span class="state {state}" title="{name}: {state}">{_SIGNS.get(state, "?")}</span>'


def _row(row: Sequence[object], right: set[int]) -> str:
    cells = [escape("" if value is None else str(value)) for value in row]
    first = f'<th scope="row">{cells[0]}</th>'
    return first + "".join(f"<td{_kind(i, right)}>{text}</td>" for i, text in enumerate(cells[1:], 1))


def _kind(column: int, right: set[int]) -> str:
    return ' class="num"' if column in right else ""


def transcript(turns: Iterable[dict[str, object]]) -> str:
    """What was said, turn by turn, and by whom."""
    parts = []
    for turn in turns:
        by = "policy" if turn.get("by") == "policy" else "world"
        parts.append(f'<div class="{by}"><small>{by}</small><pre>{escape(str(turn.get("text", "")))}</pre></div>')
    return f'<div class="me">{"".join(parts)}</div>'
