"""Random studies survive the way through YAML; the order of keys never matters; junk is refused, never a crash."""

from __future__ import annotations

import random
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from maineffect.design.build import build_design
from maineffect.errors import SpecError
from maineffect.register.plan import plan_document, plan_hash
from maineffect.spec.binding import bound_settings
from maineffect.spec.load import load_study
from maineffect.spec.names import LEDGER_COLUMNS, TABLE_COLUMNS
from maineffect.spec.study import StudySpec

pytestmark = pytest.mark.filterwarnings("ignore")

SIGNS = st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp"), exclude_characters=":^")
NAMES = st.text(SIGNS, min_size=1, max_size=8).filter(
    lambda text: text.strip() == text and text not in TABLE_COLUMNS | LEDGER_COLUMNS | {"1"}
)
WORDS = st.text(st.characters(exclude_categories=("Cs",)), max_size=6)
NUMBERS = st.integers(-1000, 1000) | st.floats(-1e6, 1e6, allow_nan=False)


def told_apart(levels: list[float]) -> bool:
    """Numeric levels that contrasts can be computed from; closer ones are refused (tests/spec/test_load.py)."""
    largest = max(map(abs, levels))
    return largest >= 1e-30 and min(b - a for a, b in pairwise(sorted(levels))) >= 1e-9 * largest


@st.composite
def factors(draw: st.DrawFn) -> dict[str, Any]:
    """One to three factors, each bound to a setting of its own."""
    names = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
    section: dict[str, Any] = {}
    for i, name in enumerate(names):
        numeric = draw(st.booleans())
        if numeric:
            levels: list[Any] = sorted(
                draw(st.lists(NUMBERS, min_size=2, max_size=3, unique_by=float).filter(told_apart))
            )
        else:
            levels = draw(st.lists(WORDS | st.booleans(), min_size=2, max_size=3, unique_by=repr))
        section[name] = {"levels": levels, "binds": f"world.f{i}"}
        if draw(st.booleans()):
            section[name]["description"] = draw(WORDS)
    return section


@st.composite
def studies(draw: st.DrawFn) -> dict[str, Any]:
    """A valid study as plain values."""
    section = draw(factors())
    names = list(section)
    responses = draw(st.lists(NAMES.filter(lambda n: n not in names), min_size=1, max_size=3, unique=True))
    terms = names + [":".join(names[:2])] * (len(names) > 1)
    claims = draw(st.lists(st.tuples(st.sampled_from(terms), st.sampled_from(responses)), max_size=3))
    return {
        "schema_version": 1,
        "name": draw(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,10}", fullmatch=True)),
        "question": draw(WORDS),
        "factors": section,
        "design": {"kind": "full", "replicates": draw(st.integers(1, 3))},
        "responses": {name: {"goal": draw(st.sampled_from(["maximize", "minimize"]))} for name in responses},
        "hypotheses": [{"id": f"H{i}", "term": term, "response": y} for i, (term, y) in enumerate(claims)],
        "settings": {"train": draw(st.dictionaries(NAMES, NUMBERS | st.booleans() | WORDS, max_size=3))},
        "seed": draw(st.integers(0, 2**40)),
    }


def load(text: str | bytes) -> StudySpec:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "study.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
        return load_study(path)


def written(document: Any) -> str:
    # Every word in quotes: the writer follows YAML 1.1, which takes other words for numbers than we do.
    text: str = yaml.dump(document, default_style='"', Dumper=_Quoting, sort_keys=False, allow_unicode=True)
    return text


class _Quoting(yaml.SafeDumper):
    """Quotes words and leaves numbers and booleans bare."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_scalar(self, tag: str, value: Any, style: str | None = None) -> yaml.ScalarNode:
        node: yaml.ScalarNode = super().represent_scalar(tag, value, '"' if tag.endswith(":str") else None)
        if not tag.endswith(":str"):
            node.style = ""
        return node


def shuffled(value: Any, rng: random.Random, *, keep: bool = False) -> Any:
    """The same document with the keys of every mapping in another order."""
    if isinstance(value, dict):
        keys = list(value)
        if not keep:
            rng.shuffle(keys)
        return {key: shuffled(value[key], rng) for key in keys}
    if isinstance(value, list):
        return [shuffled(item, rng) for item in value]
    return value


def hash_of(document: dict[str, Any]) -> str:
    study = load(written(document))
    return plan_hash(plan_document(study, build_design(study)))


@given(studies())
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_a_study_says_what_was_written(document: dict[str, Any]) -> None:
    study = load(written(document))
    assert list(study.factors) == list(document["factors"])
    for name, body in document["factors"].items():
        assert list(map(repr, study.factors[name].levels)) == list(map(repr, body["levels"]))
    assert study.settings == document["settings"]
    assert [h.term for h in study.hypotheses] == [h["term"] for h in document["hypotheses"]]
    assert StudySpec.model_validate(study.model_dump(mode="json")) == study
    first = {name: factor.levels[0] for name, factor in study.factors.items()}
    bound = bound_settings(study, first)
    assert bound["world"] == {body["binds"].split(".")[1]: first[name] for name, body in document["factors"].items()}
    assert bound["train"] == study.settings["train"]


@given(studies(), st.integers(0, 2**32))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_the_order_of_keys_never_changes_the_plan(document: dict[str, Any], seed: int) -> None:
    """A full factorial does not depend on the order of factors either."""
    assert hash_of(shuffled(document, random.Random(seed))) == hash_of(document)


@given(studies(), st.data())
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_an_unknown_key_is_found_wherever_it_is(document: dict[str, Any], data: st.DataObject) -> None:
    places = [
        (),
        ("design",),
        *(("factors", name) for name in document["factors"]),
        *(("responses", name) for name in document["responses"]),
        *(("hypotheses", i) for i in range(len(document["hypotheses"]))),
    ]
    place = data.draw(st.sampled_from(places))
    node: Any = document
    for part in place:
        node = node[part]
    node["bogus"] = 1
    with pytest.raises(SpecError) as caught:
        load(written(document))
    (problem,) = caught.value.problems
    assert problem.path == ".".join(map(str, (*place, "bogus")))
    assert problem.line is not None
    assert "bogus" in written(document).splitlines()[problem.line - 1]


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)


def refused_or_loaded(text: str | bytes) -> None:
    """Nothing but a SpecError, every problem of which names its file."""
    problems = ()
    try:
        load(text)
    except SpecError as error:
        problems = error.problems or (None,)
    assert all(problem and problem.file and problem.message for problem in problems)


@given(st.text(max_size=200) | st.binary(max_size=200))
@example("a: &x [*x]")
@example("? {a: b}\n: c")
@example("!!python/object/apply:os.system ['true']")
def test_junk_text_is_refused_not_crashed_on(text: str | bytes) -> None:
    refused_or_loaded(text)


@given(studies(), st.data())
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_a_study_with_junk_in_one_place_is_refused_not_crashed_on(
    document: dict[str, Any], data: st.DataObject
) -> None:
    junk = data.draw(JUNK)
    node: Any = document
    key: Any = data.draw(st.sampled_from([*document, "analysis", "resources", "trainable"]))
    while isinstance(node, dict | list) and data.draw(st.booleans()):
        child = node[key] if (isinstance(node, list) or key in node) else None
        if not isinstance(child, dict | list) or not child:
            break
        node = child
        key = data.draw(st.sampled_from(list(node) if isinstance(node, dict) else list(range(len(node)))))
    node[key] = junk
    refused_or_loaded(yaml.safe_dump(document, allow_unicode=True, sort_keys=False))


@given(studies(), st.integers(0, 10**6), st.sampled_from(list(":{}[],&*#?|-<>=!%@\\\"'\n\t 0e.~")))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_a_slip_of_the_keyboard_is_refused_or_loaded(document: dict[str, Any], where: int, sign: str) -> None:
    text = written(document)
    assume(text)
    at = where % len(text)
    refused_or_loaded(text[:at] + sign + text[at + 1 :])


@given(JUNK)
def test_a_junk_library_is_refused_not_crashed_on(junk: Any) -> None:
    study = (
        "schema_version: 1\nname: s\ndesign: {kind: full}\nresponses: {y: {}}\n"
        "factors:\n  a: {use: library.yaml#a}\n  b: {use: library.yaml#b, levels: [1, 2]}\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "study.yaml").write_text(study)
        entries = {"a": junk, "b": {"binds": junk}}
        (Path(folder) / "library.yaml").write_text(yaml.safe_dump(entries, allow_unicode=True), encoding="utf-8")
        problems = ()
        try:
            load_study(Path(folder) / "study.yaml")
        except SpecError as error:
            problems = error.problems
        assert all(problem.file for problem in problems)
