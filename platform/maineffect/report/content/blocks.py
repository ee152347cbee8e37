"""What a card is made of, before anybody decides whether it becomes HTML or Markdown.

Nouns:
    Card      one question with its answer, or a sentence why it does not apply
    Say       a paragraph
    Notes     a list of sentences
    Verdict   one hypothesis with its badge
    Strip     all hypotheses at a glance: badge, answer in a clause, interval drawn beside its margin
    Table     caption, columns, rows
    Figure    panels (SVG with a text alternative), a caption, the numbers behind it
    Live      a figure that moves with sliders where JavaScript runs, and is a picture where it does not
    Section   blocks under a heading of their own, such as one response
    Download  a file inside the page
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from maineffect.report.content.wording import Phrase

__all__ = [
    "Block",
    "Card",
    "Cell",
    "Download",
    "Figure",
    "Live",
    "Notes",
    "Panel",
    "Say",
    "Section",
    "Slider",
    "Strip",
    "StripRow",
    "Table",
    "Tiles",
    "Verdict",
]

Cell = str | Phrase


@dataclass(frozen=True)
class Say:
    """A paragraph; ``tone`` is one of ``""``, ``good``, ``warn``, ``bad``, ``muted``."""

    phrase: Phrase
    tone: str = ""


@dataclass(frozen=True)
class Notes:
    """A list of sentences."""

    items: tuple[Phrase, ...]


@dataclass(frozen=True)
class Verdict:
    """One hypothesis: verdict and symbol, the claim, the finding, its small print; the badge's words, if others."""

    kind: str
    symbol: str
    claim: Phrase
    finding: Phrase
    detail: Phrase = ()
    label: str = ""

    @property
    def badge(self) -> str:
        """The words of the badge."""
        return self.label or self.kind


@dataclass(frozen=True)
class StripRow:
    """One hypothesis at a glance.

    Attributes:
        kind: The verdict.
        symbol: Its sign.
        badge: Its words.
        claim: The hypothesis' id.
        clause: The answer in a clause.
        estimate: The effect; None where there is none.
        low: Lower limit of its interval.
        high: Upper limit.
        margin: The smallest effect of interest.
        numbers: The same in words.
    """

    kind: str
    symbol: str
    badge: str
    claim: str
    clause: Phrase
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    margin: float | None = None
    numbers: str = ""

    @property
    def bar(self) -> dict[str, float] | None:
        """Places on a bar of 200 with 0 in its middle: estimate, limits, half the margin's width; None without one."""
        if self.estimate is None:
            return None
        ends = [abs(value) for value in (self.estimate, self.low, self.high, self.margin) if value is not None]
        reach = max(ends) or 1.0
        place = {
            name: round(100 + 94 * value / reach, 1)
            for name, value in (("at", self.estimate), ("low", self.low), ("high", self.high))
            if value is not None
        }
        return place | ({"margin": round(94 * self.margin / reach, 1)} if self.margin else {})


@dataclass(frozen=True)
class Strip:
    """Every hypothesis at a glance."""

    rows: tuple[StripRow, ...]


@dataclass(frozen=True)
class Tiles:
    """A row of headline numbers: (number, what it is, tone)."""

    items: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Table:
    """A table. The first column heads its rows; ``numeric`` lists columns set in tabular digits, right-aligned."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    numeric: frozenset[int] = frozenset()
    folded: bool = False
    tones: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Panel:
    """One picture: a Vega-Lite specification with its text alternative; ``width`` is its natural size in pixels."""

    panel_id: str
    spec: dict[str, object]
    label: str
    width: int


@dataclass(frozen=True)
class Figure:
    """One or more panels that are read together, and the numbers behind them.

    Attributes:
        figure_id: Anchor, unique on the page.
        caption: What is seen.
        panels: The pictures.
        data: The numbers for a reader.
        stem: Name of exported files, without ending.
        records: The numbers for a machine, exact: what the CSV file holds.
    """

    figure_id: str
    caption: Phrase
    panels: tuple[Panel, ...]
    data: Table | None = None
    stem: str = "figure"
    records: tuple[Mapping[str, object], ...] = ()


@dataclass(frozen=True)
class Slider:
    """A choice among ordered labels."""

    name: str
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Live:
    """A figure with sliders.

    Attributes:
        figure: What is shown without JavaScript.
        sliders: One per factor.
        responses: What can be chosen to look at.
        now: The prediction at the sliders' first positions.
        script: JSON for the page's own script: specifications, grid, colours.
    """

    figure: Figure
    sliders: tuple[Slider, ...]
    responses: tuple[str, ...]
    now: Phrase
    script: str


@dataclass(frozen=True)
class Download:
    """A file inside the page: what a link gives without any request; ``packed`` ones are compressed with gzip."""

    file_name: str
    label: str
    media_type: str
    content: str
    packed: bool = False


@dataclass(frozen=True)
class Section:
    """Blocks under a heading; ``folded`` ones open on demand, without JavaScript."""

    title: Phrase
    blocks: tuple[Block, ...]
    folded: bool = False


Block = Say | Notes | Verdict | Strip | Tiles | Table | Figure | Live | Download | Section


@dataclass(frozen=True)
class Card:
    """One question of the page.

    Attributes:
        card_id: Anchor, unique on the page.
        short: Two or three words for the table of contents.
        question: The title.
        how_to_read: One line; empty when the card does not apply.
        blocks: The answer.
        not_applicable: Why there is no answer here.
        error: What went wrong while the card was made; the other cards do not suffer.
    """

    card_id: str
    short: str
    question: str
    how_to_read: str = ""
    blocks: tuple[Block, ...] = field(default=())
    not_applicable: str = ""
    error: str = ""
