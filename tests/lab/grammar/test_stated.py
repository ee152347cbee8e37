"""How sure an answer is, and what it rests on, as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maineffect.lab.grammar.stated import citations, confidence

ANY = st.text(st.characters(exclude_categories=()), max_size=60)


@pytest.mark.parametrize(
    ("said", "value"),
    [
        *((text, 0.95) for text in ("95", "95 %", "95%", "0,95", "0.95", ".95", "９５％", "95 percent", "95% sure")),
        *(
            (text, 0.9)
            for text in ("high", "very sure", "sure", "Certain", "High confidence", "I am very sure", "9/10")
        ),
        *((text, 0.6) for text in ("likely", "medium", "fairly sure", "probably", "moderate", "somewhat likely")),
        *((text, 0.3) for text in ("unsure", "low", "not sure", "not very sure", "a guess", "uncertain")),
        *((text, 1.0) for text in ("1", "100", "100 %", "1.0")),
        *((text, 0.0) for text in ("0", "0 %")),
        *((text, 0.8) for text in ("8 out of 10", "8 of 10", "80 per cent")),
        ("almost certain", 0.9),
        *((text, None) for text in ("1.2", "90-95%")),
        ("2", 0.02),
        ("confidence: 0.7", 0.7),
        (0.25, 0.25),
        *(
            (text, None)
            for text in ("", "perhaps", "150", "-1", "-0.5", "nan", "inf", "1e5", "Paris", "sure or unsure")
        ),
        *((text, None) for text in (None, True, [], {}, "0.5 or 0.7")),
    ],
)
def test_confidence(said: object, value: float | None) -> None:
    assert confidence(said) == (None if value is None else pytest.approx(value))


@pytest.mark.parametrize(
    ("said", "ids"),
    [
        ("[d1]", "d1"),
        ("d1; d2", "d1 d2"),
        ("D1.", "d1"),
        ("d1 and d2", "d1 d2"),
        ("d1,d2 d1", "d1 d2"),
        (["d1", "[d2]", "D3."], "d1 d2 d3"),
        ("d1-d3", "d1 d2 d3"),
        ("d2–d1", "d2 d1"),
        ("ｄ１", "d1"),
        ("[1], 2", "d1 d2"),
        ("documents 1 and 2", "d1 d2"),
        ("see [d7] (archive, 2014)", "d7"),
        ("none", ""),
        ("", ""),
        (None, ""),
        ("2014 archive", ""),
        ("0.9", ""),
        ("d1d2 add1", ""),
    ],
)
def test_citations(said: object, ids: str) -> None:
    assert " ".join(citations(said)) == ids


@given(ANY)
def test_no_text_breaks_them(text: str) -> None:
    value = confidence(text)
    assert value is None or 0 <= value <= 1
    assert all(name[0] == "d" and name[1:].isdecimal() for name in citations(text))
