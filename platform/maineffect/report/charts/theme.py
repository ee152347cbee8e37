"""One look for every chart, and colours that follow the reader's light or dark mode.

Charts are drawn once in the light colours below. On the page every one of them becomes a CSS variable, so the same
SVG serves both modes; an exported figure keeps the light colours. The series colours start from Okabe and Ito's
colour-blind-safe set (Okabe & Ito 2008, "Color Universal Design"), darkened where text contrast needs it, and no
chart tells things apart by colour alone.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "BAND",
    "CSS_VARIABLES",
    "DOT",
    "DOWN",
    "GRID",
    "HEAT",
    "HEAT_INK",
    "INK",
    "LABEL_PADDING",
    "MUTED",
    "PAPER",
    "SERIES",
    "UP",
    "config",
]

INK = "#1b2330"
MUTED = "#586374"
GRID = "#e1e6ec"
BAND = "#e8ecf1"
DOT = "#8f99a8"
PAPER = "#fffffe"
UP = "#0064a5"
DOWN = "#b54708"
SERIES = ("#0072b2", "#d55e00", "#00805f", "#a4508b", "#8a6d01", "#4b5563")
# Labels stand left of the plot, where vl-convert measures them with another font than the page draws them in.
LABEL_PADDING = {"left": 30, "right": 6, "top": 4, "bottom": 2}
DASHES: tuple[list[int], ...] = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3], [4, 2], [1, 3])
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")
# Diverging steps from "down" to "up", the middle nearly paper.
HEAT = ("#e07b39", "#f0a873", "#f8d4b8", "#f3f4f7", "#cfe3f2", "#93c3e6", "#5aa3d8")
HEAT_INK = "#1b2331"  # not INK: text on a coloured cell stays dark in both modes

CSS_VARIABLES: dict[str, str] = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--grid",
    BAND: "--band",
    DOT: "--dot",
    PAPER: "--paper",
    UP: "--up",
    DOWN: "--down",
    **{colour: f"--s{i + 1}" for i, colour in enumerate(SERIES)},
}


def config() -> dict[str, Any]:
    """Vega-Lite config of every chart: no background, quiet axes, no inner ARIA (the figure itself is labelled)."""
    return {
        "aria": False,
        "background": None,
        "font": "sans-serif",
        "padding": {"left": 2, "right": 6, "top": 4, "bottom": 2},
        "view": {"stroke": None},
        "axis": {
            "labelColor": MUTED,
            "titleColor": INK,
            "labelFontSize": 11,
            "titleFontSize": 11.5,
            "titleFontWeight": 600,
            "titlePadding": 6,
            "gridColor": GRID,
            "domainColor": GRID,
            "tickColor": GRID,
            "labelLimit": 120,
            "titleLimit": 330,
        },
        "axisX": {"labelOverlap": "greedy", "labelSeparation": 8},
        "title": {"color": INK, "fontSize": 12, "fontWeight": 600, "anchor": "start", "limit": 320, "offset": 6},
        "legend": {"labelColor": INK, "titleColor": MUTED, "labelFontSize": 11, "titleFontSize": 11},
        "text": {"color": INK, "fontSize": 11},
    }
