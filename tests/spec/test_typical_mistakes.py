"""What people write who have used other tools: each is one error at its line, and the way out is what they meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from maineffect.errors import PluginError, SpecError
from maineffect.study import check

STUDY = """\
schema_version: 1
name: mine
trainable: mytrain:train
factors:
  lr: {levels: [0.1, 0.2]}
  noise: {levels: [0, 1]}
design: {kind: full, replicates: 2}
responses:
  score: {goal: maximize, smallest_effect: 0.1}
hypotheses:
  - {id: H1, term: lr, response: score, direction: increase}
analysis: {terms: two_way}
resources: {cpus: 1}
seed: 1
"""

# What is written for what → line, path, and the way out.
MISTAKES: dict[str, tuple[str, str, int, str, str]] = {
    "values": ("levels: [0.1, 0.2]", "values: [0.1, 0.2]", 5, "factors.lr.values", "write levels:"),
    "choices": ("levels: [0.1, 0.2]", "choices: [0.1, 0.2]", 5, "factors.lr.choices", "write levels:"),
    "low, high": ("{levels: [0.1, 0.2]}", "{low: 0.1, high: 0.2}", 5, "factors.lr.low", "write levels: [low, high]"),
    "min, max": ("{levels: [0.1, 0.2]}", "{min: 0.1, max: 0.2}", 5, "factors.lr.min", "write levels: [min, max]"),
    "bind": ("{levels: [0.1, 0.2]}", "{levels: [0.1, 0.2], bind: x.y}", 5, "factors.lr.bind", "write binds:"),
    "a factor is a list": ("{levels: [0.1, 0.2]}", "[0.1, 0.2]", 5, "factors.lr", "write lr: {levels: [0.1, 0.2]}"),
    "one level": ("levels: [0, 1]", "levels: [0]", 6, "factors.noise.levels", "two levels or more"),
    "no list of levels": ("levels: [0, 1]", "levels: 3", 6, "factors.noise.levels", "write levels: [1, 2]"),
    "max": ("goal: maximize", "goal: max", 9, "responses.score.goal", "write maximize"),
    "lower is better": ("goal: maximize", "goal: lower_is_better", 9, "responses.score.goal", "write minimize"),
    "mode": ("goal: maximize", "mode: max", 9, "responses.score.mode", "write goal:"),
    "mde": ("smallest_effect: 0.1", "mde: 0.1", 9, "responses.score.mde", "write smallest_effect:"),
    "negative margin": ("effect: 0.1", "effect: -0.1", 9, "responses.score.smallest_effect", "size of the smallest"),
    "percent": ("effect: 0.1", "effect: 5%", 9, "responses.score.smallest_effect", "write 0.05"),
    "a response is a word": (
        "{goal: maximize, smallest_effect: 0.1}", "min", 9, "responses.score", "write score: {goal: minimize}"
    ),
    "responses are a list": (
        "responses:\n  score: {goal: maximize, smallest_effect: 0.1}", "responses: [score]", 8, "responses",
        "write a mapping: name: {goal: maximize}",
    ),
    "metrics": ("responses:", "metrics:", 8, "metrics", "write responses:"),
    "down": ("direction: increase", "direction: down", 11, "hypotheses.0.direction", "write decrease"),
    "up": ("direction: increase", "direction: up", 11, "hypotheses.0.direction", "write increase"),
    "plus": ("direction: increase", "direction: '+'", 11, "hypotheses.0.direction", "write increase"),
    "two-sided": ("direction: increase", "direction: two-sided", 11, "hypotheses.0.direction", "write different"),
    "equivalent": ("direction: increase", "direction: equivalent", 11, "hypotheses.0.direction", "write negligible"),
    "lr*noise": ("term: lr,", "term: lr*noise,", 11, "hypotheses.0.term", "an interaction is written lr:noise"),
    "lr x noise": ("term: lr,", "term: lr x noise,", 11, "hypotheses.0.term", "an interaction is written lr:noise"),
    "factor of a claim": ("term: lr,", "factor: lr,", 11, "hypotheses.0.factor", "write term:"),
    "metric of a claim": ("response: score,", "metric: score,", 11, "hypotheses.0.metric", "write response:"),
    "claims are a mapping": (
        "hypotheses:\n  - {id: H1, term: lr,", "hypotheses:\n  H1: {term: lr,", 10, "hypotheses", "write a list: - {id: H1"
    ),
    "factorial": ("kind: full", "kind: factorial", 7, "design.kind", "write full"),
    "grid": ("kind: full", "kind: grid", 7, "design.kind", "write full"),
    "fraction": ("kind: full", "kind: fractional_factorial", 7, "design.kind", "write fractional"),
    "ccd": ("kind: full", "kind: ccd", 7, "design.kind", "write central_composite"),
    "reps": ("replicates: 2", "reps: 2", 7, "design.reps", "write replicates:"),
    "replicates outside": (
        "design: {kind: full, replicates: 2}", "design: {kind: full}\nreplicates: 2", 8, "replicates",
        "it belongs to design: {replicates: …}",
    ),
    "alpha outside": ("seed: 1", "alpha: 0.05\nseed: 1", 14, "alpha", "it belongs to analysis: {alpha: …}"),
    "gpus outside": ("seed: 1", "gpus: 1\nseed: 1", 14, "gpus", "it belongs to resources: {gpus: …}"),
    "gpu": ("{cpus: 1}", "{gpu: 1}", 13, "resources.gpu", "write gpus:"),
    "two hours": ("{cpus: 1}", "{cpus: 1, timeout: 2 hours}", 13, "resources.timeout", ""),
    "bonferroni": ("terms: two_way", "correction: bonferroni", 12, "analysis.correction", "write holm"),
    "fdr": ("terms: two_way", "correction: fdr", 12, "analysis.correction", "write bh"),
    "all terms": ("terms: two_way", "terms: all", 12, "analysis.terms", "write full"),
    "terms by number": ("terms: two_way", "terms: 2", 12, "analysis.terms", "write two_way"),
    "five per cent": ("terms: two_way", "alpha: 5", 12, "analysis.alpha", "a share: 0.05 for 5 %"),
    "params": ("seed: 1", "params: {x: 1}\nseed: 1", 14, "params", "write settings:"),
    "seeds": ("seed: 1", "seeds: [1, 2]", 14, "seeds", "how many runs a cell has is design.replicates"),
    "version in quotes": ("version: 1", "version: '1'", 1, "schema_version", "without quotes"),
    "a name with blanks": ("name: mine", "name: My Study", 2, "name", "letters, digits"),
    "tabs": ("  noise:", "\tnoise:", 6, "", "indent with spaces, not with tabs"),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mytrain.py").write_text("def train(request, context):\n    return {'score': 1.0}\n")
    return tmp_path


def written(folder: Path, old: str, new: str) -> Path:
    assert old in STUDY
    path = folder / "study.yaml"
    path.write_text(STUDY.replace(old, new, 1))
    return path


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_way_out_is_what_was_meant(folder: Path, mistake: str) -> None:
    old, new, line, path, hint = MISTAKES[mistake]
    with pytest.raises(SpecError) as refused:
        check(written(folder, old, new))
    problems = refused.value.problems
    pairs = mistake in {"low, high", "min, max"}
    assert len(problems) == 1 + pairs, [problem.message for problem in problems]
    assert (problems[0].line, problems[0].path) == (line, path)
    assert hint in problems[0].hint
    for word in ("Input should", "Tuple", "String should", "Value error"):
        assert word not in problems[0].message, "pydantic's words"


@pytest.mark.parametrize(
    ("trainable", "said"),
    [
        ("mytrain.train", "write mytrain:train"),
        ("mytrain.py", "write mytrain:train"),
        ("mytrain.py:train", "write mytrain:train"),
        ("src/mytrain.py:train", "write src.mytrain:train"),
    ],
)
def test_a_trainable_is_named_by_module_and_object(folder: Path, trainable: str, said: str) -> None:
    with pytest.raises(PluginError) as refused:
        check(written(folder, "mytrain:train", trainable))
    assert said in refused.value.hint


@pytest.mark.parametrize(
    ("levels", "said"),
    [
        ("[0, high]", "levels are of different kinds: 0 is a number and 'high' is a word"),
        ("[0, true]", "levels are of different kinds: 0 is a number and True is a truth value"),
        ("['0', '1']", "'0' in quotes is a word: there is no trend over noise"),
        ("[on, off]", "'on' and 'off' are words in a study file"),
    ],
)
def test_levels_that_are_not_what_they_look_like_are_said(folder: Path, levels: str, said: str) -> None:
    warned = check(written(folder, "levels: [0, 1]", f"levels: {levels}")).warnings
    (found,) = [problem for problem in warned if problem.message == said]
    assert (found.path, bool(found.hint)) == ("factors.noise.levels", True)


def test_what_a_plain_function_reads_and_returns_is_said_to_be_unchecked(folder: Path) -> None:
    (said,) = check(written(folder, "seed: 1", "seed: 2")).warnings
    assert said.message == (
        "mytrain:train states no settings_model: whether it reads lr, noise or returns score cannot be checked here"
    )
    assert "maineffect try study.yaml" in said.hint
    (folder / "mytrain.py").write_text(
        "from pydantic import BaseModel\n"
        "class Settings(BaseModel):\n    lr: float = 0.1\n    noise: bool = False\n"
        "def train(request, context):\n    return {'score': 1.0}\n"
        "train.settings_model = Settings\n"
    )
    fresh = folder / "again"
    fresh.mkdir()
    (folder / "mytrain.py").rename(fresh / "mytrain.py")
    assert check(written(fresh, "seed: 1", "seed: 2")).warnings == ()
