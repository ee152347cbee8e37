"""Settings of the built-in trainable. Every one of them may be a factor. Imports no torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from maineffect.lab.policy_settings import PolicySettings, Section

__all__ = [
    "EpisodeSettings",
    "EvaluationSettings",
    "LabSettings",
    "RetrieverSettings",
    "RewardSettings",
    "TrainSettings",
    "WarmstartSettings",
    "WorldSettings",
]


_INDEX = r"^(bm25|hf:\S+|[A-Za-z_][\w.]*:[A-Za-z_]\w*)$"


class WorldSettings(Section):
    """What is asked, and what the documents say about it."""

    hops: int = Field(default=2, ge=1, le=4, description="Longest path; questions have 1 to this many hops, uniformly.")
    distractors: int = Field(default=2, ge=0, le=16, description="Documents per hop that speak of other entities.")
    distractor_kind: Literal["random", "same_relation", "near_name"] = Field(
        default="same_relation",
        description="random: another relation of another entity; same_relation: the asked one; near_name: also of an "
        "entity whose name is close to the asked one, which a search confuses with it.",
    )
    conflict_rate: float = Field(
        default=0.0, ge=0, le=1, description="Share of answerable path questions with a contradicting document."
    )
    conflict_cue: Literal["unreliable", "stale", "ambiguous", "crossed"] = Field(
        default="unreliable",
        description="What is wrong with the contradicting document: its source, its date, or nothing that can be seen "
        "(then declining is right); crossed: source or date, question by question.",
    )
    reliability_gap: float = Field(
        default=0.95, ge=0.5, le=1, description="Truth rate of the reliable source where two documents contradict."
    )
    source_names: Literal["fixed", "stated", "hidden"] = Field(
        default="fixed",
        description="fixed: a source's name tells its tier in every world; stated: names are dealt again in every "
        "world and the question says which are reliable; hidden: dealt again and not said.",
    )
    copies: int = Field(
        default=0, ge=0, le=4, description="Verbatim copies of the contradicting document: one origin, many votes."
    )
    redundancy: int = Field(default=1, ge=1, le=4, description="Independent sources of every fact on the path.")
    adversary: Literal["none", "wrong", "instruction"] = Field(
        default="none",
        description="An unsigned document that asserts another value; instruction: with an order and fake tags.",
    )
    adversary_rate: float = Field(default=0.5, ge=0, le=1, description="Share of questions with such a document.")
    staleness: float = Field(
        default=0.0, ge=0, le=1, description="Share of path questions of which an outdated version is in the documents."
    )
    past_share: float = Field(
        default=0.5, ge=0, le=1, description="Share of those that ask what held at the time of the outdated version."
    )
    unanswerable_share: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Share of questions whose evidence was deleted; the question looks the same.",
    )
    vocabulary_gap: Literal["none", "alias", "paraphrase"] = Field(
        default="none",
        description="alias: documents call the first entity by another name, which one document links to it; "
        "paraphrase: they use another word for the relation.",
    )
    prior_leakage: float = Field(
        default=0.0, ge=0, le=1, description="Share of facts that are the same in every world, so that memory can help."
    )
    answers: int = Field(default=48, ge=6, le=48, description="Values that answers are drawn from.")
    answer_skew: float = Field(
        default=0.0, ge=0, le=3, description="Zipf exponent of the answers' distribution; 0 is uniform."
    )
    aggregate_share: float = Field(default=0.0, ge=0, le=1, description="Share of questions that ask for a count.")
    comparison_share: float = Field(
        default=0.0, ge=0, le=1, description="Share of questions that ask which of two entities has more."
    )
    language: Literal["words", "english"] = Field(
        default="words", description="words: one token a field, for the tiny policy; english: sentences, same facts."
    )
    corpus: str | None = Field(
        default=None,
        min_length=1,
        description="Folder or .jsonl file of your own documents and questions, from the study's folder, instead of "
        "the generated world.",
    )
    corpus_digest: str | None = Field(default=None, description="Of the corpus; written by maineffect when it checks.")

    @model_validator(mode="after")
    def _shares_fit(self) -> WorldSettings:
        if self.aggregate_share + self.comparison_share > 1:
            raise ValueError("aggregate_share + comparison_share is above 1: the rest of the questions are paths")
        return self


class RetrieverSettings(Section):
    """What a search returns."""

    recall: float = Field(
        default=1.0, ge=0, le=1, description="Chance that a matching document is returned, per query."
    )
    top_k: int = Field(default=4, ge=1, le=8, description="Most documents per search.")
    snippet: Literal["claim", "sourced", "padded"] = Field(
        default="sourced",
        description="claim: without source and date; sourced: with them; padded: with words beside the point.",
    )
    index: str = Field(
        default="bm25",
        pattern=_INDEX,
        description="What a corpus is searched with: bm25, hf:name of a Hugging Face sentence encoder (a folder beside "
        "the study, or a hub name), or module:function of an embedding of your own (texts to vectors).",
    )


class EpisodeSettings(Section):
    """What an agent may do."""

    budget: int = Field(default=3, ge=0, le=8, description="Searches before a forced answer.")
    budget_shown: Literal["hidden", "told", "countdown"] = Field(
        default="hidden", description="told: the question says the budget; countdown: every result says what is left."
    )
    form: Literal["tags", "tools"] = Field(
        default="tags",
        description="How actions are written, in evaluation too. tags: <search>…</search>, <answer>…</answer>; "
        "tools: JSON calls of search and answer (value, confidence, citations).",
    )
    reasoning: Literal["allowed", "asked", "refused"] = Field(
        default="allowed",
        description="allowed: thoughts (<think>…</think>) and sentences around an action are left out of the record; "
        "asked: the rules ask for thoughts; refused: an action with anything around it is invalid.",
    )
    counts: Literal["first", "last"] = Field(
        default="first", description="Which of several well-formed actions in one turn counts."
    )
    max_tokens: int | None = Field(
        default=None,
        ge=32,
        le=4096,
        description="Longest transcript; longer ones are truncated. Left out: as long as these settings can need.",
    )


class RewardSettings(Section):
    """How an episode is scored. Only the structured record of actions is ever read."""

    correct: float = Field(default=1.0, description="For the right answer.")
    wrong_cost: float = Field(default=0.3, ge=0, description="Subtracted for a wrong answer.")
    abstain_value: float = Field(default=0.0, description="For abstaining where an answer existed.")
    abstain_right: float = Field(default=0.3, description="For abstaining where none existed.")
    search_cost: float = Field(default=0.02, ge=0, description="Subtracted per search.")
    brier_weight: float = Field(default=0.1, ge=0, description="Weight of (confidence − correct)², subtracted.")
    citation_weight: float = Field(default=0.1, ge=0, description="Weight of the citations' score on right answers.")
    citation: Literal["precision", "f1"] = Field(
        default="precision", description="Of the cited against the shown gold documents; f1 asks for all of them."
    )
    format_cost: float = Field(default=0.3, ge=0, description="Subtracted when no valid answer was given.")


class WarmstartSettings(Section):
    """Behaviour cloning of a scripted demonstrator, before any reward."""

    demonstrator: Literal["naive", "careful", "none"] = Field(
        default="naive",
        description="naive: ignores sources, rarely abstains; careful: weighs sources, retries, abstains.",
    )
    world: WorldSettings = Field(
        default_factory=lambda: WorldSettings(
            distractors=4,
            conflict_rate=0.3,
            staleness=0.1,
            adversary="instruction",
            adversary_rate=0.1,
            unanswerable_share=0.15,
        ),
        description="World of the demonstrations, the same for every cell, so that all start from the same policy. "
        "Its distractors are the most; demonstrations have every number up to that.",
    )
    recall: float = Field(default=0.9, ge=0, le=1, description="The demonstrations' retriever recall.")
    steps: int = Field(default=280, ge=0, description="Gradient steps.")
    batch: int = Field(default=64, ge=1, description="Demonstrations per step.")
    learning_rate: float = Field(default=6e-3, gt=0, description="Peak learning rate, decayed linearly.")
    slices: int = Field(
        default=1, ge=1, description="Slices of similar length per step, gradients added: less padding."
    )
    ramp: int = Field(default=20, ge=1, description="Steps over which the learning rate rises to its peak.")
    token_budget: int | None = Field(
        default=None, ge=64, description="Most tokens per pass, padding included; gradients of the passes are added."
    )


class TrainSettings(Section):
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
    overlap: bool = Field(
        default=False,
        description="Where staleness is 1 or more, play the next batch while this one is learned from: other times, "
        "the same numbers. A vLLM engine that shares the trainer's GPU then does not sleep.",
    )
    curriculum: Literal["fixed", "rising"] = Field(
        default="fixed", description="rising: the world's difficulty grows to its levels over the first half."
    )
    kl: float = Field(
        default=0.0,
        ge=0,
        description="Weight of the KL to the warm start, over all rollouts; at 0 it is logged where that needs no "
        "second copy of a language model (adapters, tiny policy).",
    )
    kl_estimator: Literal["k1", "k2", "k3"] = Field(
        default="k3",
        description="Of the KL, per token, with r = log(warm start / policy): k1 = -r, whose gradient is 0 on average "
        "on policy; k2 = r²/2; k3 = exp(r) - 1 - r (DeepSeekMath, eq. 4).",
    )
    likelihood_guard: float = Field(
        default=0.0,
        ge=0,
        description="Weight of the fall of well-rewarded rollouts' likelihood below the warm start's; 0 is off.",
    )
    length: Literal["constant", "token", "sequence"] = Field(
        default="constant",
        description="What divides the sum over tokens: a constant, all tokens, or each rollout's own.",
    )
    length_divisor: float = Field(default=6.0, gt=0, description="The constant divisor per rollout.")
    slices: int = Field(
        default=4,
        ge=1,
        description="Slices of similar length per update, gradients added: less padding and memory, the same gradient "
        "but for rounding. Packed rows, and prefix trees of a language model, have no padding and are not sliced.",
    )
    token_budget: int | None = Field(
        default=None, ge=64, description="Most tokens per pass, padding included; gradients of the passes are added."
    )
    grad_clip: float = Field(default=1.0, gt=0, description="Largest gradient norm.")
    checkpoint_every: int = Field(default=10, ge=1, description="Steps between checkpoints.")
    collapse_patience: int = Field(default=8, ge=1, description="Steps of collapse before the run is called diverged.")


class EvaluationSettings(Section):
    """The frozen battery."""

    items: int = Field(default=80, ge=4, description="Items per single-world probe.")
    pairs: int = Field(default=40, ge=2, description="Pairs per paired probe.")
    probes: tuple[str, ...] = Field(
        default=(),
        description="Probes of the battery that are played, by name; left out, all. Responses that are means over "
        "others as well are then not given.",
    )
    difficulty: int = Field(
        default=0,
        ge=0,
        le=3,
        description="Of the battery: longer paths, crowds, near names; `maineffect lab calibrate` finds it.",
    )
    anchors: int = Field(
        default=0,
        ge=0,
        description="Pairs per probe that stay at difficulty 0, so that versions of the battery can be linked.",
    )
    regime_episodes: int = Field(
        default=256,
        ge=8,
        description="Held-out episodes of the run's own regime, and as many elsewhere.",
    )
    transcripts: int = Field(default=3, ge=0, description="Pairs per probe whose transcripts are kept.")
    held_out: float = Field(
        default=0.3, gt=0, lt=1, description="Share of a corpus's questions that are evaluated and never trained on."
    )
    together: Literal["question", "document"] = Field(
        default="question",
        description="Questions of a corpus that are never parted between training and evaluation: those that ask the "
        "same, or also those that rest on one document.",
    )
    index: str = Field(
        default="bm25",
        pattern=_INDEX,
        description="What a corpus is searched with in evaluation, the same in every run.",
    )


class LabSettings(Section):
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

    @model_validator(mode="after")
    def _rates_are_stated(self) -> LabSettings:
        if self.policy.model is None:
            return self
        cloning = self.warmstart.steps if self.warmstart.demonstrator != "none" else 0
        for name, section, steps in (
            ("train", self.train, self.train.steps),
            ("warmstart", self.warmstart, cloning),
        ):
            if steps and "learning_rate" not in section.model_fields_set:
                raise ValueError(f"policy.model needs {name}.learning_rate: its default is for the tiny policy")
            if steps and self.policy.batching == "packed" and section.token_budget is None:
                raise ValueError(f"policy.batching packed needs {name}.token_budget, the length of a packed row")
        if self.episode.max_tokens is None and self.world.language == "words":
            raise ValueError("for policy.model set world.language to english, or episode.max_tokens for its own tokens")
        return self
