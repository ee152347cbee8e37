"""Reusing (X'X)⁻¹ over responses, draws and permutations, against fitting again and again. CPU seconds."""

from __future__ import annotations

import time
import warnings
from itertools import product

import numpy as np
import pytest

from maineffect.analyse.confirmatory.randomisation import freedman_lane
from maineffect.design.model.terms import model_matrix
from maineffect.spec.factors import Factor

pytestmark = pytest.mark.benchmark


def _problem(n: int, responses: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    factors = [Factor(name=name, levels=(0, 1)) for name in "ABCDEF"]
    rows = {f.name: rng.integers(0, 2, n).tolist() for f in factors}
    x = model_matrix(factors, rows, "two_way").matrix
    return x, x @ rng.normal(size=(x.shape[1], responses)) + rng.normal(size=(n, responses))


def test_randomisation_of_a_64_run_study(capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    cells = list(product([0, 1], repeat=5)) * 2
    factors = [Factor(name=name, levels=(0, 1)) for name in "ABCDE"]
    blocks = np.repeat([1, 2], 32).tolist()
    model = model_matrix(factors, dict(zip("ABCDE", zip(*cells, strict=True), strict=True)), "two_way", blocks=blocks)
    y = rng.normal(size=64)
    span = model.spans["A"]
    others = np.delete(model.matrix, np.arange(span.start, span.stop), axis=1)
    start = time.process_time()
    found = freedman_lane(y, model.matrix[:, span], others, blocks, draws=10_000)
    seconds = time.process_time() - start
    assert found is not None
    with capsys.disabled():
        print(f"\n10,000 randomisation draws of a 64-run study: {seconds:.3f} s")
    assert seconds < 2


def test_analysis_of_a_study(capsys: pytest.CaptureFixture[str]) -> None:
    """The whole public function: 64 runs, 5 factors, two-factor interactions, 10 responses, 3 hypotheses."""
    import pandas as pd

    from maineffect.analyse.run import analyse
    from maineffect.spec.study import StudySpec

    responses = [f"y{i}" for i in range(10)]
    study = StudySpec.model_validate(
        {
            "schema_version": 1,
            "name": "bench",
            "factors": {name: {"name": name, "levels": [0, 1]} for name in "ABCDE"},
            "design": {"kind": "full"},
            "responses": {name: {"name": name} for name in responses},
            "hypotheses": [{"id": f"H{i}", "term": t, "response": "y0"} for i, t in enumerate("ABC")],
        }
    )
    table = pd.DataFrame(list(product([0, 1], repeat=5)) * 2, columns=list("ABCDE"))
    table["replicate"] = np.repeat([1, 2], 32)
    rng = np.random.default_rng(0)
    for name in responses:
        table[name] = rng.normal(size=64)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        start = time.process_time()
        analyse(study, table)
        seconds = time.process_time() - start
    with capsys.disabled():
        print(f"\nanalyse: 64 runs, 10 responses, 3 hypotheses: {seconds:.2f} s")
    assert seconds < 10


def test_analysis_of_a_thousand_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """The whole public function and its supplement: 1,024 runs, 6 factors, 20 responses, 3 hypotheses."""
    import pandas as pd

    from maineffect.analyse.exploratory_report import add_exploratory
    from maineffect.analyse.run import analyse
    from maineffect.spec.study import StudySpec

    responses = [f"y{i}" for i in range(20)]
    study = StudySpec.model_validate(
        {
            "schema_version": 1,
            "name": "bench",
            "factors": {name: {"name": name, "levels": [0, 1]} for name in "ABCDEF"},
            "design": {"kind": "full", "replicates": 16},
            "responses": {name: {"name": name} for name in responses},
            "hypotheses": [{"id": f"H{i}", "term": t, "response": "y0"} for i, t in enumerate("ABC")],
        }
    )
    table = pd.DataFrame(list(product([0, 1], repeat=6)) * 16, columns=list("ABCDEF"))
    table["replicate"] = np.repeat(np.arange(1, 17), 64)
    noise = np.random.default_rng(0).normal(size=(1_024, 20))
    table = table.assign(**{name: noise[:, i] for i, name in enumerate(responses)})
    start = time.process_time()
    result = analyse(study, table)
    middle = time.process_time()
    add_exploratory(result, study, table)
    end = time.process_time()
    with capsys.disabled():
        print(
            f"\nanalyse: 1,024 runs, 6 factors, 20 responses, 3 hypotheses: {middle - start:.2f} s; "
            f"supplement {end - middle:.2f} s"
        )
    assert middle - start < 20
    assert end - middle < 20
