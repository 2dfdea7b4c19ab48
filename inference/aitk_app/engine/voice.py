"""How a model speaks: its tokenizer, its chat template, the tokens that end an answer, and its authors' sampling.

An adapter whose folder holds a tokenizer, a template or a generation configuration has a voice of its own, because it
was trained with them; what its folder does not hold is the base model's.
"""

from __future__ import annotations

import copy
import json
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from transformers import AutoTokenizer

from aitk_app.engine.adapter_files import ModelError
from aitk_app.incidents import log_says

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

logger = logging.getLogger(__name__)

_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model", "sentencepiece.bpe.model")
_TEMPLATE = "chat_template.jinja"
_GENERATION = "generation_config.json"


_BOUNDS = {
    "temperature": (0, 2),
    "top_p": (1e-6, 1),
    "top_k": (0, 1 << 30),
    "min_p": (0, 1),
    "repetition_penalty": (1e-6, 10),
}


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


def voice_of(model: Any, tokenizer: Any, *, sampling_of_model: bool = True) -> Voice:  # noqa: ANN401 - of transformers
    """The base model's; without `sampling_of_model` requests that say nothing are sampled as OpenAI's API does."""
    config = {name: getattr(model.generation_config, name, None) for name in ("eos_token_id", *_BOUNDS)}
    ends = _tokens(config.get("eos_token_id")) | _tokens(tokenizer.eos_token_id)
    return Voice(tokenizer, ends, _sampling(config) if sampling_of_model else SamplingDefaults())


def read_voice(folder: Path, base: Voice, vocabulary: int, name: str, *, sampling_of_model: bool = True) -> Voice:
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
            sampling = _sampling(config) if sampling_of_model else found.sampling
            found = replace(found, end_tokens=ends, sampling=sampling, own=True)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError) as error:
        what = f"The adapter {name} has a tokenizer or generation configuration that cannot be read"
        raise ModelError(
            f"{what}. {log_says(error, what)} "
            "Mend it, or take those files out of the adapter's folder: the base model's are used then."
        ) from error
    return found


def _sampling(config: Mapping[str, Any]) -> SamplingDefaults:
    """What the configuration says in bounds that a request has too; anything else would fail every request."""
    given: dict[str, Any] = {}
    for name, (least, most) in _BOUNDS.items():
        value = config.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
            logger.warning(
                "generation_config.json: %s = %r is not used: it is no number from %s to %s", name, value, least, most
            )
        else:
            given[name] = int(value) if name == "top_k" else float(value)
    return SamplingDefaults(**given)


def _tokens(named: Any) -> frozenset[int]:  # noqa: ANN401 - of JSON
    if named is None:
        return frozenset()
    return frozenset(named) if isinstance(named, (list, tuple)) else frozenset({named})
