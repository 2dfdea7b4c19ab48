"""How probable a model finds a text that is there already, as evaluation harnesses ask."""

from __future__ import annotations

from typing import Any

import torch

from aitk_app.engine.sampling import TokenLogprob

_MOST_NUMBERS = 1 << 26  # logits held at once


@torch.inference_mode()
def score(model: Any, tokens: list[int], device: torch.device, alternatives: int) -> list[TokenLogprob]:  # noqa: ANN401 - of transformers
    """Each token with its logarithmic probability after those before it, and so many others; the first has none."""
    given = torch.tensor([tokens], device=device)
    found = [TokenLogprob(tokens[0], None, ())]
    last = len(tokens) - 1
    at_once = max(1, _MOST_NUMBERS // int(model.config.get_text_config().vocab_size))
    for start in range(0, last, at_once):
        places = torch.arange(start, min(start + at_once, last), device=device)
        # A model that does not know `logits_to_keep` takes it, and gives all of them.
        logits = model(
            input_ids=given, attention_mask=torch.ones_like(given), use_cache=False, logits_to_keep=places
        ).logits
        chosen = logits[0] if logits.shape[1] == len(places) else logits[0][places]
        logprobs = chosen.float().log_softmax(dim=-1)
        values, order = logprobs.topk(max(alternatives, 1), dim=-1)
        for row, place in enumerate(places.tolist()):
            token = tokens[place + 1]
            best = zip(order[row].tolist(), values[row].tolist(), strict=True)
            top = tuple(best)[:alternatives]
            found.append(TokenLogprob(token, float(logprobs[row, token].item()), top))
    return found
