"""How a model speaks: its tokenizer, its chat template, the tokens that end an answer, and its authors' sampling.

An adapter whose folder holds a tokenizer, a template or a generation configuration has a voice of its own, because it
was trained with them; what its folder does not hold is the base model's.
"""

from __future__ import annotations

import copy
import json
import logging
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from transformers import AutoTokenizer

from aitk_app.engine.adapter_files import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

logger = logging.getLogger(__name__)

_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model", "sentencepiece.bpe.model")
_TEMPLATE = "chat_template.jinja"
_GENERATION = "generation_config.json"


@dataclass(frozen=True)
class SamplingDefaults:
    """What a request that says nothing else is sampled with."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0


@dataclass(frozen=True)
class Voice:
    """A tokenizer (with its template), end tokens, and sampling."""

    tokenizer: Any
    end_tokens: frozenset[int]
    sampling: SamplingDefaults = SamplingDefaults()
    own: bool = False  # whether an adapter's folder says any of it


def voice_of(model: Any, tokenizer: Any) -> Voice:  # noqa: ANN401 - of transformers
    """The base model's."""
    config = {name: getattr(model.generation_config, name, None) for name in ("eos_token_id", *_names())}
    return Voice(tokenizer, _tokens(config.get("eos_token_id")) | _tokens(tokenizer.eos_token_id), _sampling(config))


def read_voice(folder: Path, base: Voice, vocabulary: int, name: str) -> Voice:
    """The adapter's, where its folder holds one. Raises `ModelError` for what cannot be read."""
    found = base
    try:
        if any((folder / each).is_file() for each in _TOKENIZERS) and (folder / "tokenizer_config.json").is_file():
            tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
            largest = max(tokenizer.get_vocab().values(), default=0)
            if largest >= vocabulary:
                # Tokens that the model has no embedding for; the usual ones are the base's.
                logger.warning("%s: its tokenizer has tokens beyond the model's %s; not used", name, vocabulary)
            else:
                if not tokenizer.chat_template:
                    tokenizer.chat_template = base.tokenizer.chat_template
                ends = base.end_tokens | _tokens(tokenizer.eos_token_id)
                found = replace(found, tokenizer=tokenizer, end_tokens=ends, own=True)
        elif (folder / _TEMPLATE).is_file():
            tokenizer = copy.copy(base.tokenizer)
            tokenizer.chat_template = (folder / _TEMPLATE).read_text("utf-8")
            found = replace(found, tokenizer=tokenizer, own=True)
        if (folder / _GENERATION).is_file():
            config = json.loads((folder / _GENERATION).read_text("utf-8"))
            ends = found.end_tokens | _tokens(config.get("eos_token_id"))
            found = replace(found, end_tokens=ends, sampling=_sampling(config), own=True)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError) as error:
        raise ModelError(
            f"The adapter {name} has a tokenizer or generation configuration that cannot be read: {error}. "
            "Mend it, or take those files out of the adapter's folder: the base model's are used then."
        ) from error
    return found


def _names() -> tuple[str, ...]:
    return tuple(each.name for each in fields(SamplingDefaults))


def _sampling(config: Mapping[str, Any]) -> SamplingDefaults:
    given = {name: value for name in _names() if (value := config.get(name)) is not None}
    return SamplingDefaults(**given)


def _tokens(named: Any) -> frozenset[int]:  # noqa: ANN401 - of JSON
    if named is None:
        return frozenset()
    return frozenset(named) if isinstance(named, (list, tuple)) else frozenset({named})
