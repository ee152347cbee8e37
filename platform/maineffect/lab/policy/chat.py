"""A world's text ↔ a language model's tokens, turn by turn, by the model's own chat template."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from maineffect.errors import PluginError
from maineffect.lab.grammar.text import without_controls
from maineffect.lab.world.vocabulary import ANSWER, END_ANSWER, END_SEARCH, SEARCH

__all__ = ["STOPS", "ChatText"]

STOPS = (END_SEARCH, END_ANSWER)
_OWN_TAGS = frozenset((SEARCH, END_SEARCH, ANSWER, END_ANSWER, "<think>", "</think>", "<tool_call>", "</tool_call>"))
_ASKED, _SAID, _TOLD = "(what is asked)", "(what is said)", "(what is told)"


def _controls(tokenizer: Any) -> tuple[str, ...]:
    """Tokens of the tokeniser that steer: what the world says must not hold them. The protocol's own tags may stay."""
    added = getattr(tokenizer, "added_tokens_decoder", {}).values()
    named = {str(token) for token in added if getattr(token, "special", False)}
    return tuple(sorted({*named, *getattr(tokenizer, "all_special_tokens", ())} - _OWN_TAGS, key=len, reverse=True))


class ChatText:
    """Encodes what the world says as a user's turns; what the policy says is never encoded again.

    The template is taken apart once, at markers in a rendered dialogue, so that every later turn can be appended to the
    tokens that were sampled. A tokeniser without a template gets plain text.

    Args:
        tokenizer: A Hugging Face tokeniser.

    Raises:
        PluginError: The template does not show turns as they are.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.eos_id: int | None = tokenizer.eos_token_id
        self._before, self._after, self._between = "", "", ""
        self._controls = _controls(tokenizer)
        if tokenizer.chat_template is not None:
            self._take_apart()

    def _take_apart(self) -> None:
        asked, told = ({"role": "user", "content": text} for text in (_ASKED, _TOLD))
        assistant_turn = {"role": "assistant", "content": _SAID}
        opening = self._render([asked])
        whole = self._render([asked, assistant_turn, told])
        if opening.count(_ASKED) != 1 or whole.count(_SAID) != 1 or whole.count(_TOLD) != 1:
            raise PluginError("the model's chat template drops or repeats turns", "use a model with a plain template")
        self._before, _, self._after = opening.partition(_ASKED)
        self._between = whole.partition(_SAID)[2].partition(_TOLD)[0]

    def _render(self, turns: Sequence[dict[str, str]]) -> str:
        return str(self._tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))

    def opening(self, text: str) -> list[int]:
        """Tokens of a dialogue's beginning, up to where the policy speaks."""
        text = without_controls(text, self._controls)
        return self._encode(self._before + text.strip("\n") + self._after) if self._before else self._encode(text)

    def observation(self, text: str, last: int) -> list[int]:
        """Tokens that follow an action, up to where the policy speaks again; ``last`` is the action's last token."""
        text = without_controls(text, self._controls)
        if not self._before:
            return self._encode(text)
        ids = self._encode(self._between + text.strip("\n") + self._after)
        return ids[1:] if ids[0] == last == self.eos_id else ids

    def action(self, text: str) -> list[int]:
        """Tokens of an action that a demonstrator wrote."""
        return self._encode(text)

    def said(self, ids: Sequence[int]) -> str:
        """An action as text, without what a last token may hold beyond the closing tag."""
        text = self.decode([i for i in ids if i != self.eos_id])
        ends = [text.find(stop) + len(stop) for stop in STOPS if stop in text]
        return text[: min(ends)] if ends else text

    def ended(self, ids: Sequence[int]) -> bool:
        """Whether an action is complete: a closing tag or the end of the turn was written."""
        if ids and ids[-1] == self.eos_id:
            return True
        # A tag is a few tokens: the tail is enough to see it the moment it closes.
        return any(stop in self.decode(ids[-12:]) for stop in STOPS)

    def decode(self, ids: Sequence[int]) -> str:
        """Text of tokens, tags of the template included."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=False))

    def _encode(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])
