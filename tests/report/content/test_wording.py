"""Numbers as people read them."""

import pytest

from maineffect.report.content.wording import number, signed


@pytest.mark.parametrize(
    ("value", "places", "text"),
    [
        (-1.56e-19, 3, "0.000"),  # an effect of runs that are all alike, but for rounding
        (1.56e-19, 8, "0.00000000"),
        (2.5e-7, 8, "+2.5e−07"),  # small in the response's own unit, and no noise
        (2.5e-7, 3, "+2.5e−07"),
        (-0.0004, 3, "0.000"),
        (0.0123, 3, "+0.012"),
        (3.2e8, 3, "+3.2e+08"),
    ],
)
def test_noise_is_zero_and_small_is_small(value: float, places: int, text: str) -> None:
    assert signed(value, places) == text


def test_without_places_nothing_is_noise() -> None:
    assert number(1.56e-19) == "1.56e−19"
