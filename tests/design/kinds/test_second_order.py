"""Central composite and Box–Behnken requests: levels of their own, and refusals whose way out works."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from maineffect.design.build import build_design
from maineffect.design.model.model import Design
from maineffect.design.propose import resolve
from maineffect.errors import DesignError
from maineffect.spec.study import StudySpec


def study(factors: dict[str, Any], terms: Any = "second_order", **request: Any) -> StudySpec:
    return StudySpec.model_validate(
        {
            "schema_version": 1,
            "name": "s",
            "factors": {
                name: {"name": name, **(entry if isinstance(entry, dict) else {"levels": entry})}
                for name, entry in factors.items()
            },
            "design": request,
            "responses": {"y": {"name": "y"}},
            "analysis": {"terms": terms},
        }
    )


def build(factors: dict[str, Any], **request: Any) -> Design:
    return build_design(study(factors, **request))


def test_the_model_is_of_second_order_and_nothing_is_aliased() -> None:
    made = build({"A": [0, 10, 50, 90, 100], "B": [1, 1.4, 3, 4.6, 5]}, kind="central_composite", alpha=1.25)
    assert made.terms == ("A", "B", "A:B", "A^2", "B^2")
    assert not made.aliases
    assert not made.alias_matrix
    assert {tuple(cell.levels.values()) for cell in made.cells} == {
        (10, 1.4), (90, 1.4), (10, 4.6), (90, 4.6), (0, 3), (100, 3), (50, 1), (50, 5), (50, 3)
    }  # fmt: skip


@pytest.mark.parametrize("alpha", ["rotatable", "spherical", "face_centred", 1.5])
def test_levels_that_do_not_fit_are_refused_with_levels_that_do(alpha: Any) -> None:
    factors = {name: [2, 10] for name in "ABC"}
    with pytest.raises(DesignError, match="levels, at") as refused:
        build(factors, kind="central_composite", alpha=alpha)
    for offered in zip(*[re.findall(r"\[[^]]+\]", part) for part in refused.value.hint.split("; ")], strict=True):
        named = {name: yaml.safe_load(text) for name, text in zip("ABC", offered, strict=True)}
        assert len(build(named, kind="central_composite", alpha=alpha).runs) == 8 + 6 + (
            2 if alpha == "face_centred" else 5
        )


def test_no_level_outside_the_range_is_offered() -> None:
    factors = {"A": {"levels": [0, 1], "range": [0, 1]}, "B": [0, 1]}
    with pytest.raises(DesignError) as refused:
        build(factors, kind="central_composite")
    first, second = refused.value.hint.split("; ")
    assert "corners there" not in first
    assert "corners there" in second


@pytest.mark.parametrize("kind", ["central_composite", "box_behnken"])
@pytest.mark.parametrize("terms", ["main", "two_way", "full"])
def test_other_models_are_refused(kind: str, terms: str) -> None:
    asked = study({name: [-1, 0, 1] for name in "ABC"}, terms, kind=kind)
    with pytest.raises(DesignError, match=f"analysis.terms is {terms}") as refused:
        build_design(asked)
    assert "analysis.terms: second_order" in refused.value.hint


@pytest.mark.parametrize("kind", ["central_composite", "box_behnken"])
def test_words_are_refused(kind: str) -> None:
    with pytest.raises(DesignError, match="needs numeric factors; B is not"):
        build({"A": [-1, 0, 1], "B": ["x", "y", "z"], "C": [-1, 0, 1]}, kind=kind)


def test_the_middle_level_lies_half_way() -> None:
    with pytest.raises(DesignError, match=r"^B: ") as refused:
        build({"A": [0, 1, 2], "B": [0, 1, 4], "C": [0, 1, 2]}, kind="box_behnken")
    assert refused.value.hint == "write B: levels: [0, 2, 4]"


def test_blocks_and_corners_that_do_not_exist_name_those_that_do() -> None:
    five = {name: [-2, -1, 0, 1, 2] for name in "ABC"}
    with pytest.raises(DesignError, match="use blocks: 2 or 3"):
        build(five, kind="central_composite", alpha=2, blocks=5)
    with pytest.raises(DesignError, match="use factorial_runs: 8"):
        build(five, kind="central_composite", alpha=2, factorial_runs=4)
    with pytest.raises(DesignError, match=r"orthogonal_blocks, which puts them at 1\.633"):
        build(five, kind="central_composite", alpha=2, blocks=3)
    with pytest.raises(DesignError, match=r"use a number of 1 or more"):
        build(five, kind="central_composite", alpha=0.5)
    with pytest.raises(DesignError, match="set blocks: 2 or more"):
        build(five, kind="central_composite", alpha="orthogonal_blocks")
    with pytest.raises(DesignError, match="inside the corners"):
        build(five, kind="central_composite", blocks=2, centre_points=40)
    with pytest.raises(DesignError, match="set centre_points, or blocks: 2"):
        build(five, kind="central_composite", axial_centre_points=2)
    three = {name: [-1, 0, 1] for name in "ABC"}
    with pytest.raises(DesignError, match="use blocks: 1, or kind: central_composite"):
        build(three, kind="box_behnken", blocks=2)
    with pytest.raises(DesignError, match="takes 3 to 7 factors, not 2"):
        build({"A": [0, 1, 2], "B": [0, 1, 2]}, kind="box_behnken")
    with pytest.raises(DesignError, match="use centre_points: 6"):
        build({name: [-1, 0, 1] for name in "ABCD"}, kind="box_behnken", blocks=3, centre_points=4)
    with pytest.raises(DesignError, match="takes 2 to 10 factors, not 1"):
        build({"A": [0, 1, 2]}, kind="central_composite", alpha="face_centred")


def test_auto_weighs_them_where_quadratics_are_wanted() -> None:
    wanted = study({name: [-1, 0, 1] for name in "ABC"}, kind="auto", budget=32, effects="second_order")
    _, alternatives = resolve(wanted)
    labels = [alternative.label for alternative in alternatives if alternative.mde is not None]
    assert any(label.startswith("Box–Behnken") for label in labels)
    assert any(label.startswith("central composite, face-centred") for label in labels)
