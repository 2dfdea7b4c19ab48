"""What the web side knows of each way of speaking: its prompts, its tokens' bytes, its calls of tools, its grammars."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from aitk_app.engine.grammar import Grammars
from aitk_app.engine.text import TokenBytes
from aitk_app.web.prompt import PromptTemplate
from aitk_app.web.tool_calls.answer_reader import Manner
from aitk_app.web.tool_calls.families import family_of, reasoning_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from aitk_app.engine.voice import Voice

# What stands around the parts of a text whose middle is wanted: before, after, middle; and which part comes first.
_FILL_IN = (
    ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", False),
    ("<fim_prefix>", "<fim_suffix>", "<fim_middle>", False),
    ("<fim-prefix>", "<fim-suffix>", "<fim-middle>", False),
    ("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>", False),
    ("▁<PRE>", "▁<SUF>", "▁<MID>", False),
    ("[PREFIX]", "[SUFFIX]", "", True),
)


class Speech:
    """Of one voice; `vocabulary` is how many logits its model has."""

    def __init__(self, voice: Voice, prompt_template: str, vocabulary: int) -> None:
        self.voice = voice
        self.template = PromptTemplate(voice.tokenizer, prompt_template)
        self._vocabulary = vocabulary
        self._bytes: TokenBytes | None = None
        self._grammars: Grammars | None = None
        self._making = threading.Lock()

    @property
    def token_bytes(self) -> Callable[[int], bytes]:
        """What each token writes."""
        if self._bytes is None:
            self._bytes = TokenBytes(self.voice.tokenizer)
        return self._bytes.of

    def grammars(self) -> Grammars:
        """What answers' forms are enforced with; made at first use, which takes about a second. Raises GrammarError."""
        with self._making:
            if self._grammars is None:
                self._grammars = Grammars(self.voice.tokenizer, self._vocabulary, self.voice.end_tokens)
            return self._grammars

    @property
    def manner(self) -> Manner:
        """How calls and reasoning are written."""
        tokenizer: Any = self.voice.tokenizer
        source = self.template.source
        own = getattr(tokenizer, "response_template", None) if self.template.knows_tools else None
        return Manner(
            family_of(source, knows_tools=self.template.knows_tools),
            reasoning_of(source),
            own if isinstance(own, dict) else None,
            frozenset(str(each) for each in tokenizer.all_special_tokens),
        )

    def fill_in(self, before: str, after: str) -> str | None:
        """The text that asks for what stands between two texts; None where the tokenizer has no tokens for that."""
        known = self.voice.tokenizer.get_vocab()
        for prefix, suffix, middle, suffix_first in _FILL_IN:
            if all(each in known for each in (prefix, suffix, middle) if each):
                if suffix_first:
                    return f"{suffix}{after}{prefix}{before}"
                return f"{prefix}{before}{suffix}{after}{middle}"
        return None

    def as_json(self) -> dict[str, object]:
        """As `/version` tells it."""
        manner = self.manner
        calls = "response template of the model" if manner.own is not None else manner.family.name
        return {
            "tools": f"chat template ({calls})" if self.template.knows_tools else "plain instruction",
            "reasoning": manner.reasoning.begin if manner.reasoning else None,
        }
