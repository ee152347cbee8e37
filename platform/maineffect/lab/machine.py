"""What a run of the lab needs of the machine that it runs on: packages, a GPU, and what the study reserves."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from maineffect.errors import PluginError, Problem
from maineffect.lab.settings import LabSettings

__all__ = ["check_resources", "lacks", "require_here"]


def lacks(settings: Mapping[str, Any]) -> list[Problem]:
    """What this machine lacks of what runs with these settings need."""
    valid = LabSettings.model_validate(dict(settings))
    lacking = valid.policy.lacking_here
    problems = [Problem(lacking, "settings.policy")] if lacking else []
    if valid.world.corpus is not None and find_spec("bm25s") is None:
        said = "bm25s not installed, which searches a corpus: pip install 'maineffect[lab]'"
        problems.append(Problem(said, "settings.world.corpus"))
    return problems


def require_here(settings: LabSettings) -> None:
    """Refuse a run that this machine cannot do.

    Raises:
        PluginError: A package or a GPU is missing.
    """
    if lacking := settings.policy.lacking_here:
        raise PluginError(lacking, "maineffect check names it as well, on the machine where it is asked")


def check_resources(settings: Mapping[str, Any], resources: Mapping[str, Any]) -> list[Problem]:
    """What a study reserves for a run and what the run's policy uses, held against each other.

    Args:
        settings: A cell's.
        resources: The study's ``resources``.
    """
    policy = LabSettings.model_validate(dict(settings)).policy
    gpus, bundles = float(resources.get("gpus") or 0.0), list(resources.get("bundles") or ())
    beside = sum(float(bundle.get("GPU", 0.0)) for bundle in bundles)
    problems = []
    if policy.device == "cpu" and gpus + beside > 0:
        where = "resources.gpus" if gpus else "resources.bundles"
        hint = "leave the GPUs out of resources, or set policy.device to cuda"
        said = f"the policy computes on the processor (policy.device: cpu): {gpus + beside:g} GPU(s) would stand idle"
        problems.append(Problem(said, where, hint=hint))
    if policy.device == "cuda" and gpus == 0:
        said = "policy.device cuda without resources.gpus: a run would see all GPUs of its node, other runs' among them"
        problems.append(Problem(said, "settings.policy.device", hint="resources: {gpus: 1}"))
    if policy.device == "cuda" and gpus > 1:
        said = f"a run of the lab trains on one GPU: {gpus - 1:g} of {gpus:g} would stand idle"
        problems.append(Problem(said, "resources.gpus", hint="gpus: 1; a trainer over several GPUs: docs/gpu.md"))
    if policy.placement == "actor" and not bundles:
        needs = "{CPU: 1, GPU: 1}" if policy.device == "cuda" else "{CPU: 1}"
        said = "policy.placement actor starts vLLM beside the run, and nothing is reserved for it"
        problems.append(Problem(said, "settings.policy.placement", hint=f"resources: {{bundles: [{needs}]}}"))
    if policy.placement == "actor" and policy.device == "cuda" and bundles and beside == 0:
        said = "policy.placement actor starts vLLM on a GPU of its own, and no bundle has one"
        problems.append(Problem(said, "resources.bundles", hint="bundles: [{CPU: 1, GPU: 1}]"))
    if policy.placement == "inline" and bundles:
        said = "nothing is started beside a run with policy.placement inline: these bundles would stand idle"
        problems.append(Problem(said, "resources.bundles", hint="leave them out, or set policy.placement to actor"))
    return problems
