"""AnalysisResult → one self-contained HTML file: no network, no storage, readable without JavaScript.

JavaScript adds two things: tables that sort, and the profiler's sliders. The drawing runtime is inside the page, once.
"""

from __future__ import annotations

import base64
import gzip
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from maineffect.analyse.record.result import AnalysisResult
from maineffect.report.cards.capability import baselines_card, dissociation_card, half_normal_card, heat_card
from maineffect.report.cards.checks import curves_card, diagnostics_card, failures_card
from maineffect.report.cards.effects import forest_card, interaction_card, main_effect_card, pareto_card
from maineffect.report.cards.evidence import alias_card, attribution_card, data_card, provenance_card
from maineffect.report.cards.fairness import fairness_card
from maineffect.report.cards.optimum import optimum_card
from maineffect.report.cards.over_sizes import over_sizes_card
from maineffect.report.cards.precision import precision_card
from maineffect.report.cards.prediction import profiler_card
from maineffect.report.cards.sensitivity import detectable_card, tuning_card
from maineffect.report.cards.target import target_card
from maineffect.report.cards.verdicts import factors_card, plan_card, verdict_card
from maineffect.report.cards.what_next import next_card, phases_card
from maineffect.report.charts.drawing import inline_svg
from maineffect.report.content.blocks import Card, Live, Strip
from maineffect.report.content.tabular import csv_text
from maineffect.report.content.wording import Phrase, code, safe, say

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["CARDS", "GROUPS", "OPEN", "build_cards", "claim_anchors", "grouped", "render_page", "render_report"]

CARDS: tuple[tuple[str, str, Callable[[AnalysisResult], Card]], ...] = (
    ("verdicts", "What does this study say?", verdict_card),
    ("plan", "Was the plan kept?", plan_card),
    ("factors", "What was varied?", factors_card),
    ("phases", "Do the phases agree?", phases_card),
    ("forest", "Which factor contributed what?", forest_card),
    ("capabilities", "Which factor moved which capability?", heat_card),
    ("dissociation", "Do the responses measure different capabilities?", dissociation_card),
    ("pareto", "Which effects stand out most?", pareto_card),
    ("main-effects", "What does each level give?", main_effect_card),
    ("interactions", "Do factors change each other's effect?", interaction_card),
    ("attribution", "Who gets the credit for the whole change?", attribution_card),
    ("sizes", "Does the effect hold at other sizes?", over_sizes_card),
    ("target", "Does it hold where the policy will be used?", target_card),
    ("profiler", "What would another combination give?", profiler_card),
    ("optimum", "Where is the optimum?", optimum_card),
    ("half-normal", "Without replicates, which effects leave the line?", half_normal_card),
    ("aliases", "What can this design not tell apart?", alias_card),
    ("detectable", "How small an effect could have been found?", detectable_card),
    ("precision", "More seeds or more items?", precision_card),
    ("baselines", "Would a shortcut have done as well?", baselines_card),
    ("curves", "How did the runs learn?", curves_card),
    ("diagnostics", "Do the residuals look like noise?", diagnostics_card),
    ("fairness", "Was tuning fair?", fairness_card),
    ("tuning", "Did every cell get the same chance?", tuning_card),
    ("failures", "What failed, and what did it cost?", failures_card),
    ("provenance", "Where do these numbers come from?", provenance_card),
    ("data", "May I have the data?", data_card),
    ("next", "What would decide the rest, at what price?", next_card),
)


GROUPS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("part-decide", "What to decide", ("verdicts", "next", "capabilities", "optimum")),
    (
        "part-evidence",
        "Evidence",
        ("phases", "forest", "dissociation", "pareto", "main-effects", "interactions", "attribution", "sizes", "target",
         "profiler", "half-normal"),
    ),
    (
        "part-trust",
        "Can it be trusted?",
        ("plan", "factors", "aliases", "detectable", "precision", "baselines", "curves", "diagnostics", "fairness",
         "tuning", "failures", "provenance"),
    ),
    ("part-data", "Data", ("data",)),
)  # fmt: skip
"""Group of the page, its title, its cards in their order; what no group names comes last."""
OPEN = frozenset({"verdicts", "capabilities", "next", "forest"})
"""Cards that are open when the page opens: what is decided by, and the effects. Everything else unfolds."""


@dataclass(frozen=True)
class Group:
    """Cards under one heading.

    Attributes:
        group_id: Anchor, unique on the page.
        title: The heading; empty where the page has one group only.
        cards: Those that say something.
        silent: Those that do not apply here: a line each.
        opened: Ids of cards that are open when the page opens.
    """

    group_id: str
    title: str
    cards: tuple[Card, ...]
    silent: tuple[Card, ...]
    opened: frozenset[str]


def grouped(cards: Sequence[Card]) -> list[Group]:
    """The cards of a report by group; a page of other cards is one group, with nothing folded."""
    by_id = {card.card_id: card for card in cards}
    named = [card_id for _, _, ids in GROUPS for card_id in ids]
    rest = [card for card in cards if card.card_id not in named]
    if len(rest) == len(cards):
        return [_group("cards", "", rest, frozenset(by_id))]
    found = [[by_id[card_id] for card_id in ids if card_id in by_id] for _, _, ids in GROUPS]
    found[-1] += rest
    return [_group(group_id, title, of, OPEN) for (group_id, title, _), of in zip(GROUPS, found, strict=True) if of]


def _group(group_id: str, title: str, cards: Sequence[Card], opened: frozenset[str]) -> Group:
    said = tuple(card for card in cards if not card.not_applicable)
    return Group(group_id, title, said, tuple(card for card in cards if card.not_applicable), opened)


def claim_anchors(cards: Sequence[Card]) -> dict[str, str]:
    """Id of a claim → its anchor, so that ``report.html#H1`` leads to it: the id itself, unless something has it."""
    taken = {card.card_id for card in cards} | {group_id for group_id, _, _ in GROUPS}
    anchors: dict[str, str] = {}
    for row in (row for card in cards for block in card.blocks if isinstance(block, Strip) for row in block.rows):
        anchor = _NO_ANCHOR.sub("-", row.claim)
        if anchor in taken or anchor.startswith("f-"):
            anchor = f"claim-{len(anchors) + 1}"
        taken.add(anchor)
        anchors[row.claim] = anchor
    return anchors


_NO_ANCHOR = re.compile(r"[^A-Za-z0-9_.-]")


def build_cards(result: AnalysisResult) -> list[Card]:
    """Every card in reader's order. One that fails says so and leaves the others alone."""
    from altair.utils.schemapi import debug_mode

    cards = []
    with debug_mode(False):  # tests validate the specifications; doing so here would double the time
        for card_id, question, make in CARDS:
            try:
                cards.append(make(result))
            except Exception as error:
                message = f"This card could not be made: {type(error).__name__}: {error}"
                cards.append(Card(card_id, question.split("?")[0], question, error=message))
    return cards


def render_report(result: AnalysisResult, *, title: str | None = None) -> str:
    """Render the page. The same result gives the same bytes.

    Args:
        title: Heading; default: the study's name.
    """
    lead = say(f"{result.n_runs} runs, {result.n_missing} without a value", *_identity(result))
    brand, question = "maineffect factor-attribution report", result.facts.question
    return render_page(build_cards(result), title=title or result.study, question=question, lead=lead, brand=brand)


def render_page(cards: list[Card], *, title: str, question: str, lead: Phrase, brand: str) -> str:
    """Render cards as one page; the drawing runtime is inside only where something moves."""
    moves = any(isinstance(block, Live) for card in cards for block in card.blocks)
    template = _environment().get_template("page.html.j2")
    return template.render(
        title=title,
        question=question,
        lead=lead,
        brand=brand,
        groups=grouped(cards),
        anchors=claim_anchors(cards),
        runtime=_runtime() if moves else "",
    )


def _identity(result: AnalysisResult) -> Phrase:
    sweep = say(" · sweep ", code(result.facts.sweep_id)) if result.facts.sweep_id else ()
    return (*sweep, *(say(" · plan ", code(result.plan_hash[:16])) if result.plan_hash else ()))


@lru_cache(maxsize=1)
def _runtime() -> str:
    """Vega, Vega-Lite and vega-embed as one script, which cannot end its own element."""
    import vl_convert

    return (
        str(vl_convert.javascript_bundle("window.vegaEmbed=vegaEmbed;"))
        .replace("</script", "<\\/script")
        .replace("<!--", "<\\!--")
    )


@lru_cache(maxsize=1)
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("maineffect.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["safe_name"] = safe
    environment.filters["kind"] = lambda block: type(block).__name__
    environment.filters["svg"] = _svg
    environment.filters["data_uri"] = _data_uri
    environment.filters["csv_uri"] = lambda figure: _uri("text/csv", csv_text(figure.records).encode())
    environment.filters["trusted"] = _trusted
    environment.filters["cells"] = lambda cell: (cell,) if isinstance(cell, str) else cell
    return environment


def _svg(panel: Any) -> Any:
    from markupsafe import Markup

    # The one place where markup is trusted: vl-convert escapes text, and ElementTree wrote it again.
    return Markup(inline_svg(panel.spec, panel.panel_id, safe(panel.label)))


def _trusted(script: str) -> Any:
    from markupsafe import Markup

    # Scripts of this package only; users' names inside are JSON whose "<" is escaped.
    return Markup(script)


def _data_uri(download: Any) -> str:
    content = download.content.encode()
    return _uri(download.media_type, gzip.compress(content, mtime=0) if download.packed else content)


def _uri(media_type: str, content: bytes) -> str:
    charset = ";charset=utf-8" if media_type.startswith("text/") else ""
    return f"data:{media_type}{charset};base64,{base64.b64encode(content).decode()}"
