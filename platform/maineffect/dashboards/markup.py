"""Small pieces of HTML for the pages: every text of a user is escaped here, and nowhere turned into Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

__all__ = ["STYLE", "paragraph", "table", "transcript"]

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
