"""What verdicts are about must fit what runs share."""

from __future__ import annotations

from pathlib import Path

import pytest

from maineffect.errors import SpecError
from maineffect.spec.load import load_study
from maineffect.spec.standards import standards

STUDY = """\
schema_version: 1
name: s
factors:
  a: {{levels: [0, 1]}}
design: {{kind: full, replicates: {replicates}, common_random_numbers: {shared}}}
responses:
  y: {{smallest_effect: 0.1}}
hypotheses: [{{id: H, term: a, response: y}}]
analysis: {{{analysis}}}
"""


def _study(folder: Path, replicates: int, shared: str, analysis: str) -> Path:
    path = folder / "study.yaml"
    path.write_text(STUDY.format(replicates=replicates, shared=shared, analysis=analysis))
    return path


@pytest.mark.parametrize(
    ("replicates", "shared", "analysis", "words"),
    [
        (3, "true", "inference: seeds", "3 replicate.s. cannot tell how an effect differs between seeds"),
        (8, "true", "inference: seeds, covariates: [c]", "take no covariates"),
        (8, "false", "inference: these_seeds", "every run has its own seed"),
        (8, "false", "inference: {kind: seeds, pool: true}", "nothing is pooled"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, replicates: int, shared: str, analysis: str, words: str) -> None:
    with pytest.raises(SpecError, match=words) as caught:
        load_study(_study(tmp_path, replicates, shared, analysis))
    assert "study.yaml:9" in str(caught.value)


@pytest.mark.parametrize(
    ("replicates", "shared", "analysis", "words"),
    [
        (4, "true", "inference: seeds", "no randomisation test"),
        (6, "true", "inference: seeds", None),
        (4, "true", "", "for these seeds only"),
        (4, "true", "inference: these_seeds", None),
        (4, "false", "", None),
        (4, "false", "inference: seeds", None),
    ],
)
def test_few_replicates_and_silence_are_warned_of(
    tmp_path: Path, replicates: int, shared: str, analysis: str, words: str | None
) -> None:
    study = load_study(_study(tmp_path, replicates, shared, analysis))
    found = [problem.message for problem in standards(study) if "seed" in problem.message]
    assert len(found) == (words is not None)
    assert words is None or words in found[0]
