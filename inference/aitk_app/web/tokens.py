"""A text's tokens, as `POST /tokenize` tells them: what a client needs to count them, or to have them scored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aitk_app.web.prompt import PromptOptions

if TYPE_CHECKING:
    from aitk_app.web.answering import Completions, ServedModel
    from aitk_app.web.request_bodies import TokenizeRequest


async def tokens_of(completions: Completions, served: ServedModel, asked: TokenizeRequest) -> dict[str, object]:
    """The tokens, how many there are, and how many the model takes. Raises `RequestError`."""
    if asked.messages is not None:
        options = PromptOptions(continues=asked.continue_final_message, opens=asked.add_generation_prompt)
        prompt = await completions.prompt(served, [each.plain() for each in asked.messages], options)
        tokens = prompt.tokens
    else:
        tokens = await completions.text_tokens(served, asked.prompt or "")
    told: dict[str, object] = {
        "count": len(tokens),
        "max_model_len": completions.context_length,
        "tokens": list(tokens),
    }
    if asked.return_token_strs:
        token_bytes = completions.speech(served).token_bytes
        told["token_strs"] = [token_bytes(each).decode(errors="replace") for each in tokens]
    return told
