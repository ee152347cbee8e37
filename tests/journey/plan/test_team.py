"""A team's own standards, held against a study at check and at submission."""

from __future__ import annotations

from pathlib import Path

import pytest

from maineffect.errors import PlanChangedError, SpecError
from maineffect.journey.plan.check import check
from maineffect.journey.plan.place import Place
from maineffect.journey.plan.team import waived
from maineffect.journey.run.submit import settle_submission
from maineffect.study import register

STUDY = """\
schema_version: 1
name: held
trainable: mine:train
factors: {a: {levels: [0, 1]}, b: {levels: [0, 1]}}
design: {kind: full, replicates: 2}
responses: {y: {smallest_effect: 0.1}}
hypotheses: [{id: H1, term: a, response: y}]
analysis: {terms: main}
"""


def _write(folder: Path, standards: str, more: str = "") -> Path:
    (folder / "mine.py").write_text("def train(request, context):\n    raise NotImplementedError\n")
    (folder / "team.yaml").write_text(standards)
    path = folder / "study.yaml"
    path.write_text(f"{STUDY}{more}")
    return path


NAMED = "standards: team.yaml\n"
BROKEN = [
    ("least_replicates: 3", "least_replicates", "2 replicate(s), and the team asks for 3 at least"),
    ("largest_detectable: 1.0", "largest_detectable", "and the team asks for 1"),
    ("required_controls: [reward.random]", "required_controls", "'reward.random', which the team asks for"),
    ("least_reliability: 0.8", "least_reliability", "response 'y' states no reliability"),
]


@pytest.mark.parametrize(("rule", "name", "words"), BROKEN)
def test_a_broken_rule_is_an_error_a_warning_or_waived_with_its_reason(
    rule: str, name: str, words: str, tmp_path: Path
) -> None:
    with pytest.raises(SpecError) as refused:
        check(_write(tmp_path, f"{rule}\n", NAMED))
    assert words in str(refused.value)
    assert f"waivers: {{{name}: why}}" in str(refused.value)

    value = rule.partition(": ")[2]
    softer = f"{name}: {{value: {value}, as: warning}}\n"
    assert any(words in str(w) for w in check(_write(tmp_path, softer, NAMED)).warnings)

    path = _write(tmp_path, f"{rule}\n", f"{NAMED}waivers: {{{name}: a pilot}}\n")
    checked = check(path)
    assert any("(waived: a pilot)" in str(w) for w in checked.warnings)
    assert waived(checked.study) == [f"waives team.yaml: {name}: a pilot"]


def test_a_study_that_keeps_the_rules_passes(tmp_path: Path) -> None:
    rules = "least_replicates: 2\nlargest_detectable: 3.0\nrequired_controls: [b]\nleast_reliability: 0.8\n"
    path = _write(tmp_path, rules, NAMED)
    path.write_text(path.read_text().replace("smallest_effect: 0.1", "smallest_effect: 0.1, reliability: 0.9"))
    assert not any("team" in str(w) for w in check(path).warnings)


@pytest.mark.parametrize(
    ("standards", "more", "words"),
    [
        ("least_replicate: 3\n", NAMED, "team.yaml:1"),
        ("# rules\nleast_replicates: many\n", NAMED, "team.yaml:2"),
        ("least_replicates: 2\n", f"{NAMED}waivers: {{least: why}}\n", "waives 'least', which is no rule"),
        ("least_replicates: 2\n", "waivers: {least_replicates: why}\n", "waivers without standards"),
        ("least_replicates: 2\n", "standards: other.yaml\n", "other.yaml"),
    ],
)
def test_what_cannot_be_read_is_named(standards: str, more: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError) as refused:
        check(_write(tmp_path, standards, more))
    assert words in str(refused.value)


def test_registration_beforehand_is_asked_for_at_submission(tmp_path: Path) -> None:
    path = _write(tmp_path, "required_registration: true\n", NAMED)
    place = Place(home=tmp_path / "home")
    options = {"register_again": False, "reuse": None, "go_on": False, "on_notice": None}
    with pytest.raises(PlanChangedError, match="not registered"):
        settle_submission(path, place, **options)  # type: ignore[arg-type]
    register(path)
    assert settle_submission(path, place, **options).requests  # type: ignore[arg-type]


def test_plans_without_standards_keep_their_hash(tmp_path: Path) -> None:
    path = _write(tmp_path, "least_replicates: 2\n")
    plan = check(path).plan["study"]
    assert "standards" not in plan
    assert "waivers" not in plan
    assert "reliability" not in plan["responses"]["y"]
