"""A corpus asked of a language model: warm start, updates and frozen items, with a small model of the corpus's words."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from maineffect.contracts import RunRequest, RunResult
from maineffect.lab.in_study import InStudy, response_names
from maineffect.lab.questions.source import open_source
from maineffect.lab.settings import LabSettings
from maineffect.seeds import derive_seed

pytestmark = [pytest.mark.lm, pytest.mark.timeout(900)]

CORPUS = Path(__file__).parents[1] / "lab" / "corpus" / "data" / "questions.jsonl"
SETTINGS: dict[str, Any] = {
    "world": {"language": "english", "corpus": "descr", "conflict_rate": 0.3, "unanswerable_share": 0.2},
    "retriever": {"top_k": 2},
    "episode": {"budget": 1},
    "policy": {"model": "model", "max_action_tokens": 40, "rollout_rows": 16},
    "warmstart": {"demonstrator": "careful", "steps": 3, "batch": 4, "learning_rate": 3e-3, "ramp": 1},
    "train": {"steps": 2, "prompts": 2, "group_size": 2, "learning_rate": 1e-4, "token_budget": 4096},
    "evaluation": {"items": 4, "pairs": 3, "regime_episodes": 8, "transcripts": 1},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study's folder: scikit-learn's dataset descriptions, and a model with random weights that knows their words."""
    import sklearn.datasets

    made = tmp_path_factory.mktemp("study")
    (made / "descr").mkdir()
    texts = []
    for path in sorted((Path(sklearn.datasets.__file__).parent / "descr").glob("*.rst")):
        shutil.copy(path, made / "descr")
        texts.append(path.read_text())
    shutil.copy(CORPUS, made / "descr")
    _save_model(made / "model", "\n".join([*texts, *_transcripts(made)]))
    return made


def _transcripts(folder: Path) -> list[str]:
    """Everything that the world and a careful reader say, so that no word of theirs is unknown."""
    settings = LabSettings.model_validate({"world": {**SETTINGS["world"], "adversary": "instruction"}})
    source = open_source(settings, folder, 99)
    sides = (source.training(settings, 1), source.held_out(settings, 1))
    shown = [source.demonstration(settings, 0, i, side.episode(i)) for side in sides for i in range(60)]
    return [text for pieces in shown for text, _ in pieces]


def _save_model(where: Path, text: str) -> None:
    import torch
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    cut = r"</?\w+>| ?\w+| ?[^\w\s]|\s"
    words = dict.fromkeys(["<unk>", "<eos>", " none", " likely", " unsure", *re.findall(cut, text)])
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(cut), "isolated")
    tokenizer.decoder = decoders.Fuse()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", eos_token="<eos>").save_pretrained(where)
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=48,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        eos_token_id=1,
        bos_token_id=1,
    )
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(where)


class Context:
    """A run's context over a folder."""

    def __init__(self, folder: Path) -> None:
        self.run_dir, self.cache_dir = folder / "run", folder / "cache"
        self.run_dir.mkdir(parents=True)
        self.logged: list[dict[str, float]] = []

    def seed(self, purpose: str) -> int:
        return derive_seed(5, purpose)

    def log(self, step: int, metrics: Any) -> None:
        self.logged.append(dict(metrics))

    def progress(self, done: int, total: int) -> None: ...

    def save_checkpoint(self, step: int, write: Callable[[Path], None]) -> None: ...

    def latest_checkpoint(self) -> None:
        return None

    def check_cancelled(self) -> None: ...


def run(folder: Path, where: Path, settings: dict[str, Any]) -> tuple[RunResult, list[dict[str, float]]]:
    context = Context(where)
    policy = {**settings["policy"], "model": str(folder / "model")}
    name = "maineffect.lab:train_search_agent"
    request = RunRequest("s", "w", "c1-r1", "c1", 1, {}, {**settings, "policy": policy}, 5, 99, (), name)
    return InStudy(folder)(request, context), context.logged


def test_a_run_on_a_corpus_is_trained_evaluated_and_repeated(folder: Path, tmp_path: Path) -> None:
    result, logged = run(folder, tmp_path / "a", SETTINGS)
    assert set(result.responses) == set(response_names({"world": {"corpus": "descr"}}))
    assert len(logged) == 2
    assert len(result.items) == 4 + 3 * 3
    facts = json.loads(result.texts["corpus.json"])
    assert {row["question"] for row in result.items} <= set(facts["evaluated"])
    assert not set(facts["evaluated"]) & set(facts["trained"])
    assert result.measures["corpus"] == int(facts["digest"][:8], 16)
    asked = [json.loads(line)["turns"][0]["text"] for line in result.texts["transcripts.jsonl"].splitlines()]
    assert all("Question: " in text for text in asked)
    again, relogged = run(folder, tmp_path / "b", SETTINGS)
    # As text, because a confidence that was not stated is not a number, which equals nothing.
    assert (again.responses, str(again.items)) == (result.responses, str(result.items))
    # A step that taught nothing has no loss.
    told = [[(row["reward"], row.get("loss")) for row in rows] for rows in (relogged, logged)]
    assert told[0] == told[1]


def test_another_corpus_is_another_run(folder: Path, tmp_path: Path) -> None:
    """What was cloned from one corpus is not taken from the cache for another."""
    first, _ = run(folder, tmp_path / "a", SETTINGS)
    other = tmp_path / "study"
    shutil.copytree(folder, other)
    with (other / "descr" / "iris.rst").open("a") as file:
        file.write("\nThe flowers were measured by Edgar Anderson.\n")
    shutil.copytree(tmp_path / "a" / "cache", tmp_path / "b" / "cache")
    second, _ = run(other, tmp_path / "b", SETTINGS)
    assert second.measures["corpus"] != first.measures["corpus"]
    assert second.measures["battery"] != first.measures["battery"]
    assert len(list((tmp_path / "b" / "cache" / "warmstart").glob("*.pt"))) == 2
