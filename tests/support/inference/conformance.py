"""Which architectures and adapters are served, and how: each tried against transformers' and peft's own answers.

.venv/bin/python -m tests.support.inference.conformance > inference/MODELS.md
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
import transformers

sys.path.insert(0, str(Path(__file__).parents[3] / "inference"))

from tests.support.inference.adapter_kinds import KINDS, write_adapter
from tests.support.inference.architectures import VOCABULARY, architectures, tiny_model
from tests.support.inference.tiny import tiny_tokenizer

from aitk_app.engine.adapter_files import Adapter, ModelError
from aitk_app.engine.model import Lane, Models, Served
from aitk_app.engine.sampling import Sampling
from aitk_app.engine.scheduler import Scheduler
from aitk_app.loading.base_models import NO_TEXT
from aitk_app.settings import Settings

PROMPTS = ([3, 5, 8, 7, 9, 11, 4], [21, 34, 5, 60, 77, 12, 13, 14, 15, 90, 91, 9, 7, 30], [40, 8])
ANSWER_TOKENS = 9
MOST_CHARACTERS = 50_000  # that a vocabulary of one character for each token may have
CLOSE = 2e-4  # two best logits that are no further apart, in units of the largest, may be taken either way


class How(enum.StrEnum):
    """What became of it."""

    FAST = "equal, fast"
    ALONE = "equal, one at a time"
    REFUSED = "refused"
    NOT_TRIED = "not tried"
    WRONG = "WRONG"


@dataclass(frozen=True)
class Cell:
    """A line of the table."""

    name: str
    how: How
    why: str = ""

    def __str__(self):
        why = re.sub(r"0x[0-9a-f]+|\s+", " ", self.why).strip().replace("|", "/")
        return f"| {self.name} | {self.how} | {why[:160]} |"


def _reason(served: Served) -> str:
    """Why it is not batched, without the id under which one log has more."""
    return (served.reason or "").partition(". The log says")[0]


def answers(models, asked):
    """The answers' tokens to prompts of adapters that come at the same time."""

    async def all_of_them():
        scheduler = Scheduler(models, max_batch=8, max_queue=20, prompt_tokens=16)
        try:
            sampling = Sampling(max_tokens=ANSWER_TOKENS, temperature=0, ignore_end=True)
            under_way = [scheduler.submit(list(prompt), sampling, adapter) for prompt, adapter in asked]

            async def text(generation):
                return "".join([piece.text async for piece in generation.pieces()])

            return await asyncio.gather(*(text(each) for each in under_way))
        finally:
            await asyncio.to_thread(scheduler.close)

    return [[ord(each) - 33 for each in text] for text in asyncio.run(all_of_them())]


def generated(judge, prompt, **more):
    """What `generate` of the model itself gives, with its logits."""
    asked = torch.tensor([prompt])
    config = transformers.GenerationConfig(
        max_new_tokens=ANSWER_TOKENS,
        do_sample=False,
        output_logits=True,
        return_dict_in_generate=True,
        pad_token_id=0,
        **more,
    )
    with torch.inference_mode():
        return judge.generate(input_ids=asked, attention_mask=torch.ones_like(asked), generation_config=config)


def expected(judge, prompt, tokens):
    """Whether `judge`, a model of transformers or peft, answers `prompt` with `tokens` by its own `generate`."""
    try:
        own = generated(judge, prompt)
    except AttributeError:  # transformers cannot make a cache for it: its own answer is the one without
        own = generated(judge, prompt, use_cache=False)
    for step, token in enumerate(own.sequences[0, len(prompt) :].tolist()):
        if step == len(tokens):
            return False
        if tokens[step] != token:
            logits = own.logits[step][0]
            return bool(logits[token] - logits[tokens[step]] <= CLOSE * logits.abs().max())
    return len(tokens) == ANSWER_TOKENS


def try_architecture(kind):
    """The cell of a base model."""
    if kind in NO_TEXT:
        return Cell(kind, How.REFUSED, NO_TEXT[kind])
    try:
        judge, model = (tiny_model(kind, torch.float32) for _ in range(2))
    except Exception as error:  # noqa: BLE001 - of whatever kind: transformers does not make it
        return Cell(kind, How.NOT_TRIED, f"cannot be built so small: {type(error).__name__}")
    try:
        vocabulary = model.config.get_text_config().vocab_size
        models = Models(model, tiny_tokenizer(min(vocabulary, MOST_CHARACTERS)), Settings())
    except ModelError as error:
        return Cell(kind, How.REFUSED, str(error))
    served = models.served[None]
    found = answers(models, [(prompt, None) for prompt in PROMPTS])
    if not all(expected(judge, prompt, tokens) for prompt, tokens in zip(PROMPTS, found, strict=True)):
        return Cell(kind, How.WRONG)
    return Cell(
        kind,
        How.FAST if served.lane is Lane.BATCHED else How.ALONE,
        _reason(served),
    )


def adapter_base(kind):
    """The tiny model that adapters of this kind are for."""
    base = KINDS[kind].get("base")
    if base == "with biases":
        return tiny_model("llama", torch.float32, attention_bias=True, tie_word_embeddings=False)
    if base in {"mixtral", "gpt2"}:
        return tiny_model(base, torch.float32)
    return tiny_model("llama", torch.float32, tie_word_embeddings=base == "tied")


def try_adapter(kind, folder, *, others=(), **settings):
    """The cell of an adapter, beside the base model and other adapters."""
    judges, models = {}, Models(adapter_base(kind), tiny_tokenizer(VOCABULARY + 8), Settings(**settings))
    try:
        for number, name in enumerate((kind, *others)):
            place = folder / str(number)
            judges[name] = write_adapter(adapter_base(kind), place, name, seed=number)
            loaded = models.prepare(Adapter(name, place, "base"))
            models.install(loaded, only=not others)
    except ModelError as error:
        return Cell(kind, How.REFUSED, str(error))
    served = models.adapters[kind].served
    asked = [(prompt, name) for prompt in PROMPTS for name in judges]
    if settings.get("serve_base", True):
        judges[None] = adapter_base(kind)
        asked += [(prompt, None) for prompt in PROMPTS[:2]]
    found = answers(models, asked)
    for (prompt, name), tokens in zip(asked, found, strict=True):
        if not expected(judges[name], prompt, tokens):
            return Cell(kind, How.WRONG, f"{name} after {len(prompt)} tokens")
    return Cell(
        kind,
        How.FAST if served.lane is Lane.BATCHED else How.ALONE,
        _reason(served),
    )


def table():
    """The whole page."""
    transformers.utils.logging.set_verbosity_error()
    bases = [try_architecture(kind) for kind in architectures()]
    with tempfile.TemporaryDirectory() as folder:
        adapters = [try_adapter(kind, Path(folder, str(number))) for number, kind in enumerate(KINDS)]
    lines = [
        "<!-- Generated: .venv/bin/python -m tests.support.inference.conformance > inference/MODELS.md -->",
        "# Models and adapters",
        "",
        f"What is served, and how: tried with transformers {transformers.__version__} on tiny random models, each",
        "answer against the model's own `generate`, and each adapter's against peft. *Fast*: many requests at a time.",
        "*One at a time*: through the model's own forward and its own cache. The app finds out at each start.",
    ]
    for title, cells in (("Base models", bases), ("Adapters", adapters)):
        counts = ", ".join(f"{sum(each.how is how for each in cells)} {how}" for how in How)
        lines += ["", f"## {title}", "", f"{counts}.", "", "| what | how | why |", "|---|---|---|", *map(str, cells)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    torch.set_num_threads(1)
    with contextlib.redirect_stdout(sys.stderr):  # transformers prints warnings about xLSTM's arguments
        page = table()
    sys.stdout.write(page)
