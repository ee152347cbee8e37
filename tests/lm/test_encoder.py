"""A corpus searched by a sentence encoder: a small BERT with random weights, saved and loaded as any other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from maineffect.errors import PluginError
from maineffect.lab.corpus.index import Index, open_embedding

pytestmark = pytest.mark.lm
TEXTS = ("Ada wrote the notes", "the engine of Babbage was never built", "notes", "Menabrea read a paper in Turin then")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    words = dict.fromkeys(["<pad>", "<unk>", *" ".join(TEXTS).split()])
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    made = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", pad_token="<pad>")
    made.save_pretrained(tmp_path / "encoder")
    torch.manual_seed(0)
    size = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    BertModel(BertConfig(vocab_size=len(words), **size)).save_pretrained(tmp_path / "encoder")
    return tmp_path


def test_texts_are_the_mean_of_their_tokens_whoever_is_beside_them(folder: Path) -> None:
    import torch
    from transformers import AutoModel, AutoTokenizer

    embed = open_embedding("hf:encoder", folder)
    assert embed is not None
    together = embed(TEXTS * 9)
    assert together.shape == (36, 32)
    model, tokenizer = (kind.from_pretrained(folder / "encoder") for kind in (AutoModel, AutoTokenizer))
    for i, text in enumerate(TEXTS):
        with torch.no_grad():
            own = model.eval()(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0)
        assert together[i] == pytest.approx(own.double().numpy(), abs=1e-5)
    index = Index(TEXTS, embed)
    assert [index.rank(text)[0] for text in TEXTS] == [0, 1, 2, 3]
    assert np.array_equal(index.scores("the notes"), Index(TEXTS, embed).scores("the notes"))


def test_an_encoder_that_is_not_there_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(PluginError, match="hf:absent cannot be loaded"):
        open_embedding("hf:absent", folder)
