"""Sentence encoders from Hugging Face as embeddings: mean pooling over the tokens' last hidden states.

The pooling of Sentence-BERT (Reimers and Gurevych 2019, arXiv 1908.10084, sec. 3), whose models may be named as they
are; models that need a prefix or another pooling belong into a function of your own.

Shapes: B texts, T tokens, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maineffect.errors import PluginError

__all__ = ["SentenceEncoder", "open_encoder"]

_BATCH, _LONGEST = 16, 512


class SentenceEncoder:
    """Texts → (n, D) vectors.

    Args:
        model: A Hugging Face encoder.
        tokenizer: Its tokeniser; longer texts are cut.
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self._model, self._tokenizer = model.eval(), tokenizer
        self._longest = min(_LONGEST, int(getattr(model.config, "max_position_embeddings", _LONGEST)))

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """One vector per text."""
        parts = [self._batch(texts[start : start + _BATCH]) for start in range(0, len(texts), _BATCH)]
        return np.concatenate(parts)

    def _batch(self, texts: Sequence[str]) -> NDArray[np.float64]:
        import torch

        cut = self._tokenizer(list(texts), padding=True, truncation=True, max_length=self._longest, return_tensors="pt")
        with torch.no_grad():
            hidden_BTD = self._model(**cut).last_hidden_state.double()
        real_BT1 = cut["attention_mask"][:, :, None].double()
        mean_BD = (hidden_BTD * real_BT1).sum(1) / real_BT1.sum(1)
        return np.asarray(mean_BD.numpy(), dtype=np.float64)


def open_encoder(name: str, folder: Path) -> SentenceEncoder:
    """Load an encoder.

    Args:
        name: A folder, from the study's folder, or a hub name.
        folder: The study's.

    Raises:
        PluginError: The packages are missing, or it cannot be loaded.
    """
    if find_spec("transformers") is None:
        raise PluginError(
            f"embedding hf:{name} needs transformers, which is not installed", "pip install 'maineffect[lm]'"
        )
    from transformers import AutoModel, AutoTokenizer

    where = str(folder / name) if (folder / name).is_dir() else name
    try:
        return SentenceEncoder(AutoModel.from_pretrained(where), AutoTokenizer.from_pretrained(where))
    except (OSError, ValueError) as error:
        first = str(error).strip().splitlines()[0]
        raise PluginError(
            f"embedding hf:{name} cannot be loaded: {first}", "name a folder beside the study, or allow the hub"
        ) from error
