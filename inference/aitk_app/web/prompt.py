"""From a conversation to the tokens that the model gets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jinja2


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
        if template == "auto" and not tokenizer.chat_template:
            raise PromptError(
                "The tokenizer has no chat template. Say in settings.toml (prompt_template) how one turn "
                'looked in fine-tuning, such as "<|user|>\\n{}<|end|>\\n<|assistant|>".'
            )
        if template != "auto" and "{}" not in template:
            raise PromptError(f"prompt_template has no {{}} for the user's message: {template!r}")

    def tokens(self, messages: list[Message]) -> list[int]:
        """Token ids, ending where the model's answer begins. Raises `PromptError`."""
        if self._template == "auto":
            turns = [{"role": each.role, "content": each.content} for each in messages]
            try:
                text = self._tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
            except jinja2.TemplateError as error:
                raise PromptError(f"The model's chat template refuses this conversation: {error}") from error
            # The template writes the beginning-of-text token itself.
            return list(self._tokenizer(text, add_special_tokens=False).input_ids)
        return list(self._tokenizer(self._plain(messages)).input_ids)

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
