"""A valid study loads as written; every defect is one problem at its own line, and all come at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from maineffect.errors import Problem, SpecError
from maineffect.spec.factors import FactorKind
from maineffect.spec.load import load_study, locate_settings
from maineffect.spec.responses import Goal


def test_a_valid_study(bench) -> None:
    study = load_study(bench.path)
    assert list(study.factors) == ["hops", "noise"]
    assert study.factors["hops"].levels == (1, 3)
    assert study.factors["hops"].setting == "world.hops"
    assert study.factors["hops"].range == (1, 4)
    assert study.factors["noise"].kind is FactorKind.CONTINUOUS
    assert study.responses["cost"].goal is Goal.MAXIMIZE
    assert study.design.replicates == 2
    assert study.seed == 3


# what is broken → (by what, path, part of the message, part of the hint, fragment of the offending line)
DEFECTS: dict[str, tuple[str, str, str, str, str, str]] = {
    "unknown top key": ("seed: 3", "sed: 3", "sed", "unknown key 'sed'", "'seed'", "sed:"),
    "unknown design key": (
        "replicates: 2",
        "replicate: 2",
        "design.replicate",
        "unknown key",
        "'replicates'",
        "design",
    ),
    "unknown factor key": ("binds: world", "bind: world", "factors.noise.bind", "unknown key", "write binds:", "bind:"),
    "unknown response key": ("goal: max", "gaol: max", "responses.skill.gaol", "unknown key", "'goal'", "gaol"),
    "unknown claim key": ("- id: H2", "- idea: x\n    id: H2", "hypotheses.1.idea", "unknown key", "'id'", "idea"),
    "unknown kind": ("kind: full", "kind: ful", "design.kind", "unknown design kind 'ful'", "'full'", "kind"),
    "missing kind": ("kind: full, ", "", "design.kind", "'kind' is required", "fractional", "design"),
    "design is a word": ("{kind: full, replicates: 2}", "full", "design", "mapping", "kind: full", "design"),
    "bad goal": (
        "goal: maximize",
        "goal: maximise",
        "responses.skill.goal",
        "'maximise'",
        "write maximize",
        "maximise",
    ),
    "number in quotes": ("replicates: 2", "replicates: '2'", "design.replicates", "'2'", "without quotes", "design"),
    "true is not 1": ("replicates: 2", "replicates: true", "design.replicates", "True", "", "design"),
    "zero replicates": ("replicates: 2", "replicates: 0", "design.replicates", "0", "", "design"),
    "level is a list": ("[0.0, 0.5]", "[0.0, [1]]", "factors.noise.levels.1", "[1] is not a level", "word", "[1]"),
    "one level": ("[0.0, 0.5]", "[0.5]", "factors.noise.levels", "at least 2", "", "[0.5]"),
    "repeated level": ("[0.0, 0.5]", "[0, 0.0]", "factors.noise", "repeat", "", "noise:"),
    "falling levels": ("[0.0, 0.5]", "[0.5, 0]", "factors.noise", "from low to high", "", "noise:"),
    "level out of library range": (
        "[1, 3]",
        "[1, 9]",
        "factors.hops",
        "[9] lie outside the range 1.0 to 4.0",
        "",
        "hops: {",
    ),
    "levels that rounding merges": ("[0.0, 0.5]", "[-1, 0, 2.0e-309]", "factors.noise", "too close", "", "noise:"),
    "levels beyond computing": ("[0.0, 0.5]", "[0, 1.0e-200]", "factors.noise", "another unit", "", "noise:"),
    "infinite level": ("[0.0, 0.5]", "[0.0, .inf]", "factors.noise.levels.1", "not a finite", "", ".inf"),
    "empty factor": (
        "  noise:\n    levels: [0.0, 0.5]\n    binds: world.noise",
        "  noise:",
        "factors.noise",
        "mapping",
        "",
        "  noise:",
    ),
    "no levels": ("    levels: [0.0, 0.5]\n", "", "factors.noise.levels", "'levels' is required", "use", "  noise:"),
    "name given twice": ("binds: world", "name: x\n    binds: world", "factors.noise.name", "'name'", "key", "name: x"),
    "unknown factor in claim": (
        "term: noise",
        "term: nose",
        "hypotheses.0.term",
        "no factor 'nose'",
        "'noise'",
        "nose",
    ),
    "unknown response": (
        "H1, term: noise, response: skill",
        "H1, term: noise, response: skil",
        "hypotheses.0.response",
        "'skil'",
        "'skill'",
        "skil,",
    ),
    "twice the same id": ("id: H2", "id: H1", "hypotheses.1.id", "'H1' is used twice", "own id", "- id: H1"),
    "claim without margin": (
        "response: skill, direction: decrease",
        "response: cost, direction: negligible",
        "hypotheses.0",
        "smallest effect",
        "responses.cost.smallest_effect",
        "negligible",
    ),
    "term repeats": ("term: hops:noise", "term: noise:noise", "hypotheses.1.term", "repeats", "A^2", "noise:noise"),
    "square of two levels": (
        "term: hops:noise",
        "term: noise^2",
        "hypotheses.1.term",
        "three levels",
        "middle",
        "noise^2",
    ),
    "claim outside the model": (
        "seed: 3",
        "analysis: {terms: main}",
        "hypotheses.1.term",
        "leaves out",
        "two_way",
        "term: hops:noise",
    ),
    "unknown term": (
        "seed: 3",
        "analysis: {terms: [hops, noise, 'hops:noise', hop]}",
        "analysis.terms.3",
        "'hop'",
        "'hops'",
        "analysis",
    ),
    "number as term": (
        "seed: 3",
        "analysis: {terms: [hops, noise, 'hops:noise', 3]}",
        "analysis.terms.3",
        "3 is not a term",
        "A:B",
        "analysis",
    ),
    "unknown model": ("seed: 3", "analysis: {terms: mian}", "analysis.terms", "'mian'", "'main'", "analysis"),
    "negative seed": ("seed: 3", "seed: -3", "seed", "-3", "", "seed"),
    "float seed": ("seed: 3", "seed: 3.5", "seed", "whole number", "", "seed"),
    "bad name": ("name: regimes", "name: a b", "name", "'a b'", "evidence-regimes", "name"),
    "bad duration": ("seed: 3", "resources: {timeout: soon}", "resources.timeout", "'soon'", "", "timeout"),
    "empty section": (
        "settings:\n  train: {steps: 5}",
        "settings:",
        "settings",
        "nothing is given",
        "remove",
        "settings",
    ),
    "future version": ("schema_version: 1", "schema_version: 2", "schema_version", "2", "", "schema"),
    "forbidden level": (
        "replicates: 2",
        "forbid: [{noise: 0.25}]",
        "design.forbid.0.noise",
        "no level 0.25",
        "0.0, 0.5",
        "forbid",
    ),
    "forbidden factor": (
        "replicates: 2",
        "forbid: [{nois: 0.5}]",
        "design.forbid.0.nois",
        "'nois'",
        "'noise'",
        "forbid",
    ),
    "forbid everything": ("replicates: 2", "forbid: [{}]", "design.forbid.0", "every cell", "at least one", "forbid"),
    "hard to change": (
        "{kind: full, replicates: 2}",
        "{kind: split_plot, hard_to_change: [hop]}",
        "design.hard_to_change.0",
        "'hop'",
        "'hops'",
        "design",
    ),
    "an effect that is wanted of no factor": (
        "{kind: full, replicates: 2}",
        "{kind: auto, budget: 9, effects: [hops, nois]}",
        "design.effects.1",
        "'nois'",
        "'noise'",
        "design",
    ),
    "hard to change in any design": (
        "{kind: full, replicates: 2}",
        "{kind: plackett_burman, hard_to_change: [hop]}",
        "design.hard_to_change.0",
        "'hop'",
        "'hops'",
        "design",
    ),
    "all hard to change": (
        "{kind: full, replicates: 2}",
        "{kind: split_plot, hard_to_change: [hops, noise]}",
        "design.hard_to_change",
        "every factor",
        "at least one",
        "design",
    ),
    "cell lacks a factor": (
        "{kind: full, replicates: 2}",
        "{kind: list, cells: [{hops: 1}]}",
        "design.cells.0",
        "'noise' is missing",
        "every factor",
        "cells",
    ),
    "cell beyond levels": (
        "{kind: full, replicates: 2}",
        "{kind: list, cells: [{hops: 1, noise: 0.7}]}",
        "design.cells.0.noise",
        "no level 0.7",
        "",
        "cells",
    ),
    "baseline level": (
        "{kind: full, replicates: 2}",
        "{kind: ablation, baseline: {hops: 2, noise: 0}}",
        "design.baseline.hops",
        "no level 2",
        "1, 3",
        "baseline",
    ),
    "fixed and varied": (
        "train: {steps: 5}",
        "world: {noise: 0.1}",
        "factors.noise.binds",
        "fixed in settings",
        "remove",
        "binds: world.noise",
    ),
    "through a value": (
        "binds: world.noise",
        "binds: train.steps.x",
        "factors.noise.binds",
        "leads through settings.train.steps",
        "section",
        "binds: train",
    ),
    "same binding": (
        "world.noise",
        "world.hops",
        "factors.noise.binds",
        "both drive 'world.hops'",
        "own",
        "binds: world.hops",
    ),
    "binding inside another": (
        "world.noise",
        "world.hops.far",
        "factors.noise.binds",
        "'world.hops'",
        "own",
        "world.hops.far",
    ),
    "dots alone": ("world.noise", "world..noise", "factors.noise.binds", "not a dotted setting", "", "world..noise"),
    "colon in a name": ("  noise:", "  'a:b':", "factors.a:b", "build terms", "rename", "'a:b'"),
    "square in a name": ("  noise:", "  a^2:", "factors.a^2", "build terms", "rename", "a^2:"),
    "space around a name": ("  noise:", "  ' noise':", "factors. noise", "space", "rename", "' noise'"),
    "empty name": ("  noise:", "  '':", "factors.", "empty", "rename", "  '':"),
    "newline in a name": ("  noise:", '  "no\\nise":', "factors.no\nise", "line break", "rename", "no\\nise"),
    "column of every table": ("  noise:", "  block:", "factors.block", "column of every table", "rename", "  block:"),
    "column of the ledger": (
        "  cost:",
        "  seconds:",
        "responses.seconds",
        "column of every table",
        "rename",
        "seconds",
    ),
    "factor and response": (
        "  cost:",
        "  noise2: {}\n  hops:",
        "responses.hops",
        "a factor and a response",
        "rename",
        "  hops:\n",
    ),
    "library is missing": (
        "library.yaml#hops",
        "libary.yaml#hops",
        "factors.hops.use",
        "no such file",
        "'library.yaml'",
        "libary",
    ),
    "entry is missing": (
        "library.yaml#hops",
        "library.yaml#hop",
        "factors.hops.use",
        "no factor 'hop'",
        "'hops'",
        "#hop",
    ),
    "use without entry": (
        "library.yaml#hops",
        "library.yaml",
        "factors.hops.use",
        "is not library#factor",
        "maineffect/world#hops",
        "use",
    ),
    "use is a number": ("use: library.yaml#hops", "use: 3", "factors.hops.use", "3 is not", "", "use"),
    "null in a path": ("use: library.yaml#hops", 'use: "a\\0b#hops"', "factors.hops.use", "cannot be read", "", "use"),
}

# Breaking these names also breaks what refers to them; only the named problem is looked at.
CONSEQUENCES = {
    "colon in a name",
    "square in a name",
    "space around a name",
    "empty name",
    "newline in a name",
    "column of every table",
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_each_defect_is_one_problem_at_its_line(bench, defect: str) -> None:
    old, new, path, message, hint, fragment = DEFECTS[defect]
    bench.replace(old, new)
    problem = next(p for p in bench.problems() if p.path == path) if defect in CONSEQUENCES else bench.problem()
    assert problem.path == path
    assert message in problem.message
    assert hint in problem.hint
    assert problem.file == str(bench.path)
    lines = bench.path.read_text().splitlines(keepends=True)
    assert problem.line is not None
    assert fragment in lines[problem.line - 1]


def test_all_errors_come_at_once_and_in_order(bench) -> None:
    bench.replace("name: regimes", "nam: regimes").replace("[0.0, 0.5]", "[0.0, .nan]").replace(
        "kind: full", "kind: ful"
    )
    bench.replace("term: hops:noise", "term: hops:zzz").replace("library.yaml#hops", "library.yaml#hop")
    bench.replace("seed: 3", "seed: 3\nseed: 4")
    problems = bench.problems()
    assert [p.path for p in problems] == [
        "name",
        "nam",
        "factors.hops.use",
        "factors.noise.levels.1",
        "design.kind",
        "hypotheses.1.term",
        "seed",
    ]
    lines = [p.line or 0 for p in problems]
    assert lines == sorted(lines)
    assert all(f"{bench.path}:{p.line}: {p.path}: {p.message}" in str(p) for p in problems)


def test_problems_of_a_library_are_placed_in_the_library(bench) -> None:
    bench.library.write_text(bench.library.read_text().replace("range: [1, 4]", "range: [1, four]\n  rang: 3"))
    kind, unknown = bench.problems()
    assert kind.file == unknown.file == str(bench.library)
    assert (kind.line, kind.path) == (bench.line("four", bench.library), "factors.hops.range.1")
    assert (unknown.line, unknown.hint) == (bench.line("rang: 3", bench.library), "did you mean 'range'?")


def test_a_library_that_is_not_yaml_is_named_with_its_line(bench) -> None:
    bench.library.write_text("hops:\n  levels: [1, 2\nrecall: 3\n")
    assert {(p.file, p.path) for p in bench.problems()} >= {(str(bench.path), "factors.hops.use")}
    assert any(p.file == str(bench.library) and p.line for p in bench.problems())


def test_local_keys_win_over_the_library(bench) -> None:
    bench.replace("levels: [1, 3]}", "levels: [2, 5], range: [1, 9], binds: other.hops}")
    hops = load_study(bench.path).factors["hops"]
    assert (hops.levels, hops.range, hops.setting) == ((2, 5), (1, 9), "other.hops")


def test_an_entry_without_binding_drives_its_own_name(bench) -> None:
    bench.replace("hops: {use: library.yaml#hops, levels: [1, 3]}", "hops: {use: library.yaml#recall}")
    assert load_study(bench.path).factors["hops"].setting == "recall"


@pytest.mark.parametrize(
    "name",
    [
        "C",
        "__import__('os')",
        "🧪",
        "<script>alert(1)</script>",
        "a.b/c",
        "1.5",
        "²",
        "on",
        "null",
        "Q('x')",
        "I(a)",
        "a b",
        "👨‍👩‍👧",
    ],
)
def test_almost_any_word_may_name_a_factor(bench, name: str) -> None:
    quoted = "'" + name.replace("'", "''") + "'"
    bench.replace("  noise:", f"  {quoted}:").replace("term: noise", f"term: {quoted}")
    bench.replace("term: hops:noise", f"term: 'hops:{quoted[1:]}")
    study = load_study(bench.path)
    assert list(study.factors) == ["hops", name]
    assert study.hypotheses[1].term == f"hops:{name}"


@pytest.mark.parametrize("name", ["C", "a.b/c", "1.5", "²", "12"])
def test_problems_of_oddly_named_factors_find_their_line(bench, name: str) -> None:
    bench.replace("  noise:", f"  {name!r}:").replace("binds: world.noise", "bind: world.noise")
    problem = next(p for p in bench.problems() if "unknown key" in p.message)
    assert problem.line == bench.line("bind:")


def test_the_ledgers_columns_are_free_in_a_study_that_runs_nothing(bench) -> None:
    bench.replace("trainable: my_lab:train\n", "").replace("  cost:", "  seconds:")
    assert "seconds" in load_study(bench.path).responses


def test_every_column_of_the_ledgers_table_is_refused_before_it_costs_anything() -> None:
    from maineffect.ledger.sweep.collect import RESERVED
    from maineffect.spec.names import LEDGER_COLUMNS, TABLE_COLUMNS

    assert set(RESERVED) <= LEDGER_COLUMNS | TABLE_COLUMNS


def test_settings_problems_point_at_what_caused_them(bench) -> None:
    study = load_study(bench.path)
    problems = [
        Problem("Input should be at most 2, got 3", "settings.world.hops"),
        Problem("the trainable has no setting 'world.noise'", "settings.world.noise", hint="did you mean 'nois'?"),
        Problem("Input should be at least 9, got 5", "settings.train.steps"),
        Problem("the trainable returns no response 'cost'", "responses.cost"),
        Problem("the trainable returns no response 'cost'", "responses.cost"),
    ]
    placed = locate_settings(bench.path, study, problems)
    assert [(p.path, p.line) for p in placed] == [
        ("factors.hops.levels", bench.line("use:")),
        ("factors.noise.binds", bench.line("binds:")),
        ("responses.cost", bench.line("cost:")),
        ("settings.train.steps", bench.line("steps:")),
    ]


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "null\n", "- a\n- b\n", "just words\n", "3\n"])
def test_what_is_no_mapping_is_refused(write, text: str) -> None:
    with pytest.raises(SpecError, match="a study file is a mapping"):
        load_study(write(text))


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no such file"):
        load_study(tmp_path / "none.yaml")
    with pytest.raises(SpecError, match="is a folder"):
        load_study(tmp_path)
