"""Settings of the built-in trainable. Every one of them may be a factor. Imports no torch."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "EpisodeSettings",
    "EvaluationSettings",
    "LabSettings",
    "PolicySettings",
    "RetrieverSettings",
    "RewardSettings",
    "TrainSettings",
    "WarmstartSettings",
    "WorldSettings",
]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class WorldSettings(_Section):
    """What is asked, and what the documents say about it."""

    hops: int = Field(default=2, ge=1, le=3, description="Longest path; questions have 1 to this many hops, uniformly.")
    distractors: int = Field(default=2, ge=0, le=8, description="Documents per hop: same relation, another entity.")
    conflict_rate: float = Field(
        default=0.0, ge=0, le=1, description="Share of questions with a contradicting document."
    )
    reliability_gap: float = Field(
        default=0.95, ge=0.5, le=1, description="Truth rate of the reliable source where two documents contradict."
    )
    unanswerable_share: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Share of questions whose evidence was deleted; the question looks the same.",
    )


class RetrieverSettings(_Section):
    """What a search returns."""

    recall: float = Field(
        default=1.0, ge=0, le=1, description="Chance that a matching document is returned, per query."
    )
    top_k: int = Field(default=4, ge=1, le=8, description="Most documents per search.")


class EpisodeSettings(_Section):
    """What an agent may do."""

    budget: int = Field(default=3, ge=0, le=6, description="Searches before a forced answer.")
    max_tokens: int = Field(default=144, ge=32, le=512, description="Longest transcript; longer ones are truncated.")


class RewardSettings(_Section):
    """How an episode is scored. Only the structured record of actions is ever read."""

    correct: float = Field(default=1.0, description="For the right answer.")
    wrong_cost: float = Field(default=0.3, ge=0, description="Subtracted for a wrong answer.")
    abstain_value: float = Field(default=0.0, description="For abstaining where an answer existed.")
    abstain_right: float = Field(default=0.3, description="For abstaining where none existed.")
    search_cost: float = Field(default=0.02, ge=0, description="Subtracted per search.")
    brier_weight: float = Field(default=0.1, ge=0, description="Weight of (confidence − correct)², subtracted.")
    citation_weight: float = Field(default=0.1, ge=0, description="For citing a document that holds the gold answer.")
    format_cost: float = Field(default=0.3, ge=0, description="Subtracted when no valid answer was given.")


class PolicySettings(_Section):
    """The tiny transformer."""

    width: int = Field(default=64, ge=16, description="Model width.")
    layers: int = Field(default=2, ge=1, description="Blocks.")
    heads: int = Field(default=4, ge=1, description="Attention heads.")


class WarmstartSettings(_Section):
    """Behaviour cloning of a scripted demonstrator, before any reward."""

    demonstrator: Literal["naive", "careful", "none"] = Field(
        default="naive",
        description="naive: ignores sources, rarely abstains; careful: weighs sources, retries, abstains.",
    )
    steps: int = Field(default=280, ge=0, description="Gradient steps.")
    batch: int = Field(default=64, ge=1, description="Demonstrations per step.")
    learning_rate: float = Field(default=6e-3, gt=0, description="Peak learning rate, decayed linearly.")
    slices: int = Field(
        default=1, ge=1, description="Slices of similar length per step, gradients added: less padding."
    )


class TrainSettings(_Section):
    """GRPO with the defaults of Dr. GRPO (Liu et al. 2025, arXiv 2503.20783) and DAPO's clip (arXiv 2503.14476)."""

    steps: int = Field(default=40, ge=0, description="Updates, one per batch of rollouts.")
    prompts: int = Field(default=24, ge=1, description="Questions per update.")
    group_size: int = Field(default=8, ge=2, description="Rollouts per question.")
    learning_rate: float = Field(default=1e-3, gt=0, description="Adam's, after a short linear warm-up.")
    advantage: Literal["mean", "std", "batch"] = Field(
        default="mean", description="mean: centred per group; std: also divided by the group's; batch: by the batch's."
    )
    clip_low: float = Field(default=0.2, gt=0, description="Lower clip of the ratio.")
    clip_high: float = Field(default=0.28, gt=0, description="Upper clip of the ratio.")
    importance: Literal["truncate", "mask", "none"] = Field(
        default="truncate",
        description="Sampler–trainer correction per token: capped, dropped beyond the cap, or absent.",
    )
    importance_cap: float = Field(default=2.0, gt=1, description="Largest sampler–trainer importance weight.")
    epochs: int = Field(default=1, ge=1, description="Passes over each batch of rollouts, as in PPO; 1 is on-policy.")
    minibatches: int = Field(default=1, ge=1, description="Updates per pass; rollouts of a question stay together.")
    staleness: int = Field(default=0, ge=0, description="Updates by which the sampler's weights are behind.")
    curriculum: Literal["fixed", "rising"] = Field(
        default="fixed", description="rising: the world's difficulty grows to its levels over the first half."
    )
    kl: float = Field(default=0.0, ge=0, description="Weight of the KL to the warm start (k3); logged in any case.")
    length: Literal["constant", "token", "sequence"] = Field(
        default="constant",
        description="What divides the sum over tokens: a constant, all tokens, or each rollout's own.",
    )
    length_divisor: float = Field(default=6.0, gt=0, description="The constant divisor per rollout.")
    slices: int = Field(
        default=1, ge=1, description="Slices of similar length per update, gradients added: less padding and memory."
    )
    grad_clip: float = Field(default=1.0, gt=0, description="Largest gradient norm.")
    checkpoint_every: int = Field(default=10, ge=1, description="Steps between checkpoints.")
    collapse_patience: int = Field(default=8, ge=1, description="Steps of collapse before the run is called diverged.")


class EvaluationSettings(_Section):
    """The frozen battery."""

    items: int = Field(default=80, ge=4, description="Items per probe.")
    regime_episodes: int = Field(default=256, ge=8, description="Held-out episodes of the run's own regime.")
    transcripts: int = Field(default=3, ge=0, description="Transcripts kept per probe.")


class LabSettings(_Section):
    """All settings of ``maineffect.lab:train_search_agent``."""

    world: WorldSettings = Field(default_factory=WorldSettings)
    retriever: RetrieverSettings = Field(default_factory=RetrieverSettings)
    episode: EpisodeSettings = Field(default_factory=EpisodeSettings)
    reward: RewardSettings = Field(default_factory=RewardSettings)
    policy: PolicySettings = Field(default_factory=PolicySettings)
    warmstart: WarmstartSettings = Field(default_factory=WarmstartSettings)
    train: TrainSettings = Field(default_factory=TrainSettings)
    evaluation: EvaluationSettings = Field(default_factory=EvaluationSettings)
    labels: dict[str, str | int | float | bool] = Field(
        default_factory=dict, description="Names that nothing reads: factors of a null study bind here."
    )
