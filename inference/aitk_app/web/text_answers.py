"""From the body of a completion request to answers under way: one for each prompt and choice."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from aitk_app.engine.generation import Generation
from aitk_app.web.answer import Answer, Delta
from aitk_app.web.answering import RequestError

if TYPE_CHECKING:
    from aitk_app.web.answering import Completions, ServedModel
    from aitk_app.web.request_bodies import CompletionRequest

_MOST_PROMPTS = 256


async def begin_texts(completions: Completions, served: ServedModel, asked: CompletionRequest) -> list[Answer]:
    """The choices, prompt by prompt. Raises `RequestError`."""
    prompts = asked.prompts
    if not prompts or len(prompts) * asked.n > _MOST_PROMPTS:
        raise RequestError(
            400, f"prompt holds {len(prompts)} texts with n = {asked.n} choices each; 1 to {_MOST_PROMPTS} are taken.",
            param="prompt",
        )  # fmt: skip
    sampling = asked.sampling(completions.sampling_defaults(served))
    if not sampling.max_tokens and not asked.echo:
        raise RequestError(400, "max_tokens: 0 tokens make sense with echo only.", param="max_tokens")
    scored = asked.echo and asked.logprobs is not None
    answers: list[Answer] = []
    try:
        for text in prompts:
            tokens = await completions.text_tokens(served, _whole(completions, served, text, asked.suffix))
            before = None
            if asked.echo:
                logprobs = await completions.score(served, tokens, asked.logprobs or 0) if scored else ()
                said = text if isinstance(text, str) else await completions.text_of(served, tokens)
                before = Delta(said, logprobs=tuple(logprobs), finish=None if sampling.max_tokens else "length")
            for place in range(asked.n):
                if not sampling.max_tokens:
                    answers.append(Answer(Generation(tokens, sampling, None), before=before))
                    continue
                seed = None if sampling.seed is None else sampling.seed + place
                generation = completions.submit(
                    served, tokens, replace(sampling, seed=seed), "prompt", continues=asked.suffix is None
                )
                answers.append(Answer(generation, before=before))
    except (RequestError, asyncio.CancelledError):
        for each in answers:
            each.cancel()
        raise
    return answers


def _whole(completions: Completions, served: ServedModel, text: str | list[int], suffix: str | None) -> str | list[int]:
    """The prompt with what comes after the gap. Raises `RequestError` where the model cannot fill gaps."""
    if suffix is None:
        return text
    if not isinstance(text, str):
        raise RequestError(400, "suffix: the prompt must be a text for it.", param="suffix")
    filled = completions.speech(served).fill_in(text, suffix)
    if filled is None:
        raise RequestError(400, "suffix: this model's tokenizer has no fill-in-the-middle tokens.", param="suffix")
    return filled
