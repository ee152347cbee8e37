"""A Llama with random weights, and a tokeniser of the world's own text, where no model folder is given."""

from __future__ import annotations

import itertools
import json
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from maineffect.lab.questions.generated import Generated
from maineffect.lab.settings import LabSettings

__all__ = ["write_random_model"]

_CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_LARGE = {"hidden_size": 896, "intermediate_size": 4864, "layers": 24, "heads": 14, "kv": 2, "vocabulary": 151_936}
"""0.49 billion weights: the sizes of Qwen2.5-0.5B (its config.json), in Llama's architecture."""
_SMALL = {"hidden_size": 128, "intermediate_size": 256, "layers": 2, "heads": 2, "kv": 1, "vocabulary": 4096}
_SHARPNESS = 4.0
"""Weight of the last norm: the logits of random weights would else be so even that no gap could be seen in them."""
_TAUGHT = 96


def write_random_model(folder: Path, *, large: bool, seed: int = 0) -> str:
    """Write config, weights (bfloat16 where large) and tokeniser.

    Args:
        folder: Made, if it is not there.
        large: 0.49 billion weights; otherwise 0.7 million.
        seed: Of the weights.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    size = _LARGE if large else _SMALL
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=_tokenizer(size["vocabulary"]),
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        chat_template=_CHAT,
    )
    config = LlamaConfig(
        vocab_size=size["vocabulary"],
        hidden_size=size["hidden_size"],
        intermediate_size=size["intermediate_size"],
        num_hidden_layers=size["layers"],
        num_attention_heads=size["heads"],
        num_key_value_heads=size["kv"],
        max_position_embeddings=32_768,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: Any = LlamaForCausalLM(config)
    with torch.no_grad():
        model.model.norm.weight.fill_(_SHARPNESS)
    model.to(torch.bfloat16 if large else torch.float32).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def _tokenizer(vocabulary: int) -> Any:
    """Byte-level BPE of the world's text, filled up with words of random letters to the model's vocabulary."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trained.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=1024, initial_alphabet=alphabet, special_tokens=list(_SPECIAL), show_progress=False
    )
    trained.train_from_iterator(_texts(), trainer)
    plain = json.loads(trained.to_str())
    words = plain["model"]["vocab"]
    fillers = ("".join(letters) for letters in itertools.product(string.ascii_lowercase, repeat=4))
    for filler in fillers:
        if len(words) >= vocabulary:
            break
        words.setdefault(filler, len(words))
    return Tokenizer.from_str(json.dumps(plain))


def _texts() -> Iterator[str]:
    plain = {"learning_rate": 1e-4}
    settings = LabSettings.model_validate(
        {"world": {"language": "english"}, "policy": {"model": "random"}, "train": plain, "warmstart": plain}
    )
    source = Generated()
    questions = source.training(settings, 0)
    for index in range(_TAUGHT):
        for text, _ in source.demonstration(settings, 0, index, questions.episode(index)):
            yield text
