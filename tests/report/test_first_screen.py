"""What is seen first: groups of cards, the strip of verdicts, warnings by kind, anchors of claims."""

from __future__ import annotations

from maineffect.report.cards.verdicts import warning_blocks
from maineffect.report.content.blocks import Card, Strip, StripRow
from maineffect.report.content.wording import plain
from maineffect.report.page import CARDS, GROUPS, OPEN, build_cards, claim_anchors, grouped, render_page


def test_cards_are_grouped_and_what_does_not_apply_is_a_line_at_the_end(result) -> None:
    cards = build_cards(result)
    groups = grouped(cards)
    assert [group.group_id for group in groups] == [group_id for group_id, _, _ in GROUPS]
    assert sorted(c.card_id for g in groups for c in (*g.cards, *g.silent)) == sorted(c.card_id for c in cards)
    assert groups[0].cards[0].card_id == "verdicts"
    named = {card_id for _, _, ids in GROUPS for card_id in ids}
    assert named == {card_id for card_id, _, _ in CARDS}, "every card has a group"
    assert named >= OPEN


def test_the_strip_draws_what_it_says() -> None:
    row = StripRow("supported", "✓", "supported", "H1", (), estimate=0.2, low=0.1, high=0.4, margin=0.05)
    assert row.bar == {"at": 147.0, "low": 123.5, "high": 194.0, "margin": 11.8}
    assert StripRow("inconclusive", "?", "inconclusive", "H1", ()).bar is None


def test_warnings_of_one_kind_are_one_line() -> None:
    alike = [f"run c{i}-r1: the response 'skill' is missing" for i in range(97)]
    (section,) = warning_blocks([*alike, "the plan was changed"])
    assert plain(section.title) == "98 warnings of 2 kinds"
    assert section.folded
    assert [plain(item) for item in section.blocks[0].items] == [
        "run c0-r1: the response 'skill' is missing (and 96 more like it)",
        "the plan was changed",
    ]
    assert len(section.blocks[1].blocks[0].items) == 98, "nothing is left out"
    (few,) = warning_blocks(["one"])
    assert not few.folded
    assert warning_blocks([]) == ()


def test_a_claim_named_as_a_card_has_an_anchor_of_its_own(result) -> None:
    rows = tuple(StripRow("supported", "✓", "supported", claim, ()) for claim in ("H1", "data", "H 2"))
    cards = [Card("verdicts", "V", "Q", blocks=(Strip(rows),)), Card("data", "D", "Q")]
    assert claim_anchors(cards) == {"H1": "H1", "data": "claim-2", "H 2": "H-2"}


def test_a_claim_without_a_margin_has_a_bar_without_a_band() -> None:
    row = StripRow("supported", "✓", "supported", "H1", (), estimate=0.2, low=0.1, high=0.4, numbers="0.2 (0.1 to 0.4)")
    bare = StripRow("supported", "✓", "supported", "H2", (), estimate=0.2)
    card = Card("verdicts", "V", "Q", blocks=(Strip((row, bare)),))
    page = render_page([card], title="t", question="", lead=(), brand="")
    assert page.count("<circle") == 2
    assert "<rect" not in page
    assert 'aria-label="0.2 (0.1 to 0.4)"' in page


def test_a_page_of_other_cards_folds_nothing_and_says_what_does_not_apply() -> None:
    cards = [Card(f"c{i}", "C", f"Question {i}?", "How.") for i in range(6)]
    silent = Card("pooled", "Pooled", "What do both say?", not_applicable="The sweeps share no effect.")
    (group,) = grouped([*cards, silent])
    assert (group.title, len(group.cards), group.silent) == ("", 6, (silent,))
    page = render_page([*cards, silent], title="t", question="", lead=(), brand="")
    assert "<details" not in page
    assert "The sweeps share no effect." in page
