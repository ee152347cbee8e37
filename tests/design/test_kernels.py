"""The same study has the same plan whatever kernels the processor's BLAS uses: ties are not broken by rounding."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

# Designs that are searched for. With ties broken by the last digits, most of them differ between the kernels below.
REQUESTS = {
    "D": ("{kind: optimal, runs: 30}", 5),
    "I": ("{kind: optimal, runs: 24, criterion: I}", 4),
    "whole plots": ("{kind: optimal, runs: 24, hard_to_change: [f0], whole_plots: 8}", 4),
    "two replicates": ("{kind: optimal, runs: 20, replicates: 2}", 4),
    "I in whole plots": ("{kind: optimal, runs: 24, criterion: I, hard_to_change: [f0], whole_plots: 8}", 4),
    "many": ("{kind: optimal, runs: 48}", 6),
    "array": ("{kind: orthogonal_array, runs: 36}", 6),
    "auto": ("{kind: auto, budget: 40}", 5),
}
CODE = """
import json, sys
from pathlib import Path
from maineffect.study import check
print(json.dumps({path.stem: check(path, plugins=False).plan_hash for path in map(Path, sys.argv[1:])}))
"""


def _study(folder: Path, name: str, seed: int) -> Path:
    request, factors = REQUESTS[name]
    levels = "".join(f"  f{i}: {{levels: [{'0, 1, 2' if i % 2 else '0, 1'}]}}\n" for i in range(factors))
    path = folder / f"{name.replace(' ', '-')}-{seed}.yaml"
    path.write_text(
        f"schema_version: 1\nname: kernels\nseed: {seed}\nfactors:\n{levels}design: {request}\n"
        "responses:\n  y: {goal: maximize, smallest_effect: 0.1}\n",
        encoding="utf-8",
    )
    return path


def _hashes(kernel: str, studies: list[Path]) -> dict[str, str]:
    words = [sys.executable, "-c", CODE, *map(str, studies)]
    environment = {**os.environ, "OPENBLAS_CORETYPE": kernel, "OPENBLAS_VERBOSE": "2"}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    assert f"Core: {kernel}" in done.stderr, "the kernel that was asked for is not the one that ran"
    hashes: dict[str, str] = json.loads(done.stdout)
    return hashes


def test_plans_agree_across_kernels(tmp_path: Path) -> None:
    studies = [_study(tmp_path, name, 1) for name in ("D", "I in whole plots", "array")]
    assert _hashes("Haswell", studies) == _hashes("Nehalem", studies)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 8))
def test_plans_of_many_seeds_agree_across_kernels(tmp_path: Path, seed: int) -> None:
    studies = [_study(tmp_path, name, seed) for name in REQUESTS]
    first = _hashes("Haswell", studies)
    assert _hashes("Nehalem", studies) == first
    assert _hashes("SkylakeX" if "avx512f" in Path("/proc/cpuinfo").read_text() else "Sandybridge", studies) == first
