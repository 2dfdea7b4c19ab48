"""From a conversation to the tokens that the model gets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jinja2

_MARKER = "What is 7 times 6?"


class PromptError(Exception):
    """A conversation cannot be turned into a prompt; the message says why."""


@dataclass(frozen=True)
class Message:
    """One turn of a conversation."""

    role: str
    content: str


class PromptTemplate:
    """The tokenizer's chat template, or one turn's text with `{}` for the user's message."""

    def __init__(self, tokenizer: Any, template: str) -> None:  # noqa: ANN401 - of transformers
        self._tokenizer = tokenizer
        self._template = template
        self._in_parts = False  # whether the chat template takes a message's content as a list of parts only
        if template != "auto" and "{}" not in template:
            raise PromptError(f"prompt_template has no {{}} for the user's message: {template!r}")

    @property
    def missing(self) -> str | None:
        """Why there can be no chat, and what to do; None where there can."""
        if self._template != "auto" or self._tokenizer.chat_template:
            return None
        return (
            "The tokenizer has no chat template: only completions are served. Say in settings.toml (prompt_template) "
            'how one turn looked in fine-tuning, such as "<|user|>\\n{}<|end|>\\n<|assistant|>".'
        )

    def check(self) -> None:
        """Send a question through; raises `PromptError` when it does not come out again, or nothing does."""
        if self.missing:
            return
        question = [Message("user", _MARKER)]
        if self._template == "auto" and _MARKER not in self._rendered(question):
            self._in_parts = True
            if _MARKER not in self._rendered(question):
                raise PromptError("The model's chat template drops what the user says. Set prompt_template.")
        try:
            written = self._tokenizer.decode(self.tokens(question))
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise PromptError(f"The model's tokenizer cannot be used: {type(error).__name__}: {error}") from error
        if not str(written).strip():
            raise PromptError("The model's tokenizer makes nothing of a question. Are its files whole?")

    def tokens(self, messages: list[Message]) -> list[int]:
        """Token ids, ending where the model's answer begins. Raises `PromptError`."""
        if self.missing:
            raise PromptError(self.missing)
        if self._template == "auto":
            # The template writes the beginning-of-text token itself.
            return list(self._tokenizer(self._rendered(messages), add_special_tokens=False).input_ids)
        return list(self._tokenizer(self._plain(messages)).input_ids)

    def _rendered(self, messages: list[Message]) -> str:
        turns = [
            {"role": each.role, "content": [{"type": "text", "text": each.content}] if self._in_parts else each.content}
            for each in messages
        ]
        try:
            return str(self._tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))
        except (jinja2.TemplateError, TypeError, ValueError, KeyError, AttributeError) as error:
            raise PromptError(f"The model's chat template refuses this conversation: {error}") from error

    def _plain(self, messages: list[Message]) -> str:
        """Every user turn in the template, followed by its answer; a system message joins the next one."""
        text, system = "", ""
        for each in messages:
            if each.role in {"system", "developer"}:
                system += each.content + "\n"
            elif each.role == "assistant":
                text += each.content
            else:
                text += self._template.replace("{}", system + each.content, 1)
                system = ""
        return text
