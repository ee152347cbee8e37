"""What is wrong with a command is said by `check`, at its line, before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from maineffect import study as journey
from maineffect.errors import SpecError

STUDY = """\
schema_version: 1
name: commanded
trainable: command
factors:
  lr: {levels: [0.1, 0.2]}
  data: {levels: [clean, noisy], binds: env.DATA}
  width: {levels: [4, 8], binds: model.width}
design: {kind: full, replicates: 1}
responses:
  skill: {goal: maximize, smallest_effect: 0.5}
analysis: {terms: main}
settings:
  command: python train.py --lr {lr} --width {model.width} --seed {seed} --out {results}
seed: 7
"""


@pytest.fixture
def check(tmp_path: Path):
    (tmp_path / "train.py").write_text("")

    def _check(*changes: tuple[str, str]) -> list:
        text = STUDY
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "study.yaml").write_text(text)
        try:
            journey.check(tmp_path / "study.yaml")
        except SpecError as error:
            return list(error.problems)
        return []

    return _check


def test_a_good_study_passes_and_factors_may_be_named_or_bound(check) -> None:
    assert check() == []
    assert check(("{model.width}", "{width}")) == []
    assert check(("seed: 7", "  steps: 10\nseed: 7")) == []


WRONG = {
    "unknown placeholder": (("{lr}", "{lrr}"), "nothing fills the placeholder {lrr}", "did you mean {lr}?", 13),
    "an unread factor": ((" --lr {lr}", ""), "neither command nor env reads the factor 'lr'", "write {lr}", 5),
    "a misspelt setting": (
        ("seed: 7", "  result: x.json\nseed: 7"),
        "neither command nor env reads the setting 'result'",
        "did you mean 'results'?",
        14,
    ),
    "a list": (("seed: 7", "  layers: [1, 2]\nseed: 7"), "'layers' is [1, 2], which cannot be an argument", "", 14),
    "no command": (("  command:", "  comand:"), "needs the setting 'command'", "", 12),
    "JSON without escapes": (
        ("{results}", "{results} --cfg '{\"a\":1}'"),
        'nothing fills the placeholder {"a":1}',
        "{{ and }}",
        13,
    ),
    "shell": (("{results}", "{results} && true"), "shell syntax", "bash -c", 13),
    "no script": (("train.py", "trian.py"), "there is no trian.py", "did you mean 'train.py'?", 13),
    "a literal secret": (
        ("seed: 7", "  env: {WANDB_API_KEY: abcdefgh}\nseed: 7"),
        "WANDB_API_KEY looks like a secret",
        "${WANDB_API_KEY}",
        14,
    ),
    "an option as level": (("[0.1, 0.2]", '["0.1", "--evil"]'), "read as an option", "--name={lr}", 5),
    "a placeholder's name": (("  lr: {levels", "  python: {levels"), "every run fills itself", "rename", 5),
    "outside": (("seed: 7", "  results: ../x.json\nseed: 7"), "inside the run's folder", "", 14),
    "the platform's folder": (("seed: 7", "  checkpoints: checkpoints/*\nseed: 7"), "platform's own folder", "", 14),
    "no such files": (("seed: 7", "  files: [conf/*.json]\nseed: 7"), "'conf/*.json' names no file", "", 14),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_named_at_its_line_with_the_way_out(check, case: str) -> None:
    change, message, hint, line = WRONG[case]
    problems = check(change)
    found = [problem for problem in problems if message in problem.message]
    assert len(found) == 1, problems
    assert hint in found[0].hint
    assert found[0].line == line


def test_a_secret_is_not_repeated_and_a_reference_passes(check) -> None:
    problems = check(("seed: 7", "  env: {HF_TOKEN: hf_very_secret}\nseed: 7"))
    assert "hf_very_secret" not in "".join(map(str, problems))
    assert check(("seed: 7", "  env: {HF_TOKEN: '${HF_TOKEN}', TOKENIZERS_PARALLELISM: 'false'}\nseed: 7")) == []


def test_every_problem_is_told_at_once(check) -> None:
    problems = check((" --lr {lr}", " --x {xx}"), ("train.py", "no.py"))
    assert len(problems) >= 2


def test_a_placeholder_may_stand_in_env(check) -> None:
    assert check((" --lr {lr}", ""), ("seed: 7", "  env: {LR: '{lr}'}\nseed: 7")) == []
