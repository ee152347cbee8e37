"""Changes are told by factor, level, response and hypothesis."""

from __future__ import annotations

import copy

import pytest

from maineffect.register.difference import differences


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "replicates: 2",
            "replicates: 2, common_random_numbers: true",
            {
                "design.common_random_numbers: dropped False",
                "what is made once for the sweep, such as a warm start: one → one per seed",
            },
        ),
        ("seed: 3", "seed: 4", {"seed: 3 → 4", "runs: 8 with another seed, 8 in another place"}),
        ("unit: letter", "unit: word", {"factor b.unit: 'letter' → 'word'"}),
        ("[x, y]", "[y, x]", {"factor b: levels reordered, ['x', 'y'] → ['y', 'x']"}),
        ("  cost: {goal: minimize}", "  cost: {}", {"response cost.goal: 'minimize' → 'maximize'"}),
        ("id: H2", "id: H3", {"hypothesis 'H2' dropped", "hypothesis 'H3' added"}),
        ("id: H1, term: a", "id: H1, term: b", {"hypothesis H1.term: 'a' → 'b'"}),
        ("rate: 0.1", "rat: 0.1", {"settings.train.rate: dropped 0.1", "settings.train.rat: added 0.1"}),
        ("steps: 5", "steps: true", {"settings.train.steps: 5 → True"}),
    ],
)
def test_sentences(frozen, old: str, new: str, expected: set[str]) -> None:
    before = frozen.plan()
    frozen.change(old, new)
    found = set(differences(before, frozen.plan()))
    runs = {line for line in found if line.startswith("runs: ")}
    assert found - runs == {line for line in expected if not line.startswith("runs: ")}
    if old == "seed: 3":
        assert "8 with another seed" in runs.pop()


def test_a_new_factor_changes_every_run(frozen) -> None:
    before = frozen.plan()
    frozen.change("  a: {levels: [1, 3]}", "  a: {levels: [1, 3]}\n  c: {levels: [0, 1]}")
    assert differences(before, frozen.plan()) == ["factor 'c' added", "runs: 8 dropped, 16 added"]


def test_one_and_true_are_different_levels() -> None:
    old = {"study": {"x": 1}, "runs": {}}
    assert differences(old, {"study": {"x": True}, "runs": {}}) == ["x: 1 → True"]
    assert differences(old, {"study": {"x": 1.0}, "runs": {}}) == ["the format of the plan, not its content"]


def test_long_values_are_cut() -> None:
    (line,) = differences({"study": {"x": "a" * 500}}, {"study": {"x": "b" * 500}})
    assert len(line) < 200


def test_an_older_file_with_less_in_it_is_compared_all_the_same(frozen) -> None:
    plan = frozen.plan()
    older = copy.deepcopy(plan)
    del older["study"]["analysis"], older["runs"]
    found = differences(older, plan)
    assert any(line.startswith("analysis: added") for line in found)
    assert "runs: 8 added" in found
