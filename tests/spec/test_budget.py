"""What a sweep may spend, as it is written: refused with the place when it is wrong, and no part of the plan."""

from __future__ import annotations

from pathlib import Path

import pytest

from maineffect.errors import SpecError
from maineffect.journey.plan.requests import needs_of
from maineffect.spec.load import load_study

STUDY = """\
schema_version: 1
name: priced
factors: {a: {levels: [0, 1]}}
design: {kind: full, replicates: 2}
responses: {y: {smallest_effect: 0.5}}
"""


def load(folder: Path, text: str = ""):
    path = folder / "study.yaml"
    path.write_text(STUDY + text)
    return load_study(path)


def test_everything_reaches_the_scheduler(tmp_path: Path) -> None:
    needs = needs_of(
        load(
            tmp_path,
            "resources: {cpus: 2, gpus: 0.5, gpu_hour_price: 3, cpu_hour_price: 0.1, priority: 4, retries: 1,\n"
            "  memory_gb: 8, timeout: 2h, custom: {licence: 1}, bundles: [{CPU: 1, GPU: 1}]}\n"
            "budget: {gpu_hours: 10, cpu_hours: 20, price: 30, wall_time: 3d}\n",
        )
    )
    assert (needs.most_gpu_hours, needs.most_cpu_hours, needs.most_price) == (10, 20, 30)
    assert (needs.most_wall_seconds, needs.timeout) == (3 * 86400, 7200)
    assert needs.resources() == {"CPU": 3.0, "GPU": 1.5, "licence": 1.0}
    assert (needs.priority, needs.retries, needs.memory_gb) == (4, 1, 8)


def test_a_budget_is_no_part_of_the_plan(tmp_path: Path) -> None:
    from maineffect.design.build import build_design
    from maineffect.register.plan import plan_document, plan_hash

    plain = load(tmp_path)
    bought = load(tmp_path, "budget: {cpu_hours: 3}\nresources: {cpus: 4, priority: 9, bundles: [{GPU: 1}]}\n")
    hashes = {plan_hash(plan_document(study, build_design(study))) for study in (plain, bought)}
    assert len(hashes) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("budget: {gpu_hours: 0}\n", "study.yaml:6: budget.gpu_hours"),
        ("budget: {wall_time: soon}\n", "not a positive duration"),
        ("budget: {gpu_hour: 3}\n", "did you mean 'gpu_hours'?"),
        ("resources: {custom: {GPU: 1}}\n", "GPU is no custom resource; use cpus, gpus or memory_gb"),
        ("resources: {bundles: [{GPU: 0}]}\n", "GPU must be more than 0"),
        ("resources: {priority: 0}\n", "resources.priority"),
    ],
)
def test_what_is_wrong_is_said_at_its_place(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SpecError) as error:
        load(tmp_path, text)
    assert said in str(error.value)
