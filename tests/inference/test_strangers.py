"""Requests of strangers never touch each other: whatever one of them meets, the others' answers are their own."""

from __future__ import annotations

import asyncio
import random
from types import SimpleNamespace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.inference.tiny import VOCABULARY, tiny_tokenizer
from transformers import AutoModelForCausalLM, Phi3Config

from aitk_app.engine.generation import EngineError
from aitk_app.engine.model import Lane, Models
from aitk_app.engine.row import RequestRow
from aitk_app.engine.sampling import Chooser, Sampling
from aitk_app.engine.scheduler import Scheduler
from aitk_app.settings import Settings

BROKEN = "this row alone"


class BrokenText:
    """In place of a row's text: raises at its n-th token."""

    stopped = holding = False

    def __init__(self, text, step):
        self._text, self._left = text, step

    def push(self, token):
        self._left -= 1
        if self._left < 0:
            raise RuntimeError(BROKEN)
        return self._text.push(token)

    def finish(self):
        return self._text.finish()


class BrokenSource:
    """In place of a row's random numbers."""

    def __init__(self, step):
        self._left, self._dice = step, random.Random(1)

    def random(self):
        self._left -= 1
        if self._left < 0:
            raise RuntimeError(BROKEN)
        return self._dice.random()


ways = st.sampled_from(["building", "text", "choice", "logprobs", "template"])
requests = st.tuples(
    st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=20),
    st.sampled_from([None, "plain"]),
    st.none() | st.tuples(ways, st.integers(0, 6)),
)


async def outcomes(models, asked):
    scheduler = Scheduler(models, max_batch=4, max_queue=40, prompt_tokens=16)
    by_prompt = {id(prompt): broken for prompt, _, broken in asked}
    made = RequestRow.__init__

    def make(row, generation, adapter, of):
        made(row, generation, adapter, of)
        broken = by_prompt.get(id(generation.prompt))
        if broken is None:
            return
        kind, step = broken
        if kind == "building":
            raise RuntimeError(BROKEN)
        if kind == "text":
            row.text = BrokenText(row.text, step)
        elif kind == "choice":
            row.chooser.source = BrokenSource(step)
            row.chooser.sampling = Sampling(max_tokens=8, temperature=0.7)
        elif kind == "logprobs":
            row.chooser.sampling = Sampling(max_tokens=8, temperature=0, logprobs=10_000)
        else:
            row.chooser = Chooser(Sampling(max_tokens=8, temperature=0, repetition_penalty=2), [10**9])

    RequestRow.__init__ = make
    try:
        sampling = Sampling(max_tokens=8, temperature=0, ignore_end=True)
        under_way = [scheduler.submit(prompt, sampling, adapter) for prompt, adapter, _ in asked]

        async def answer(generation):
            return "".join([piece.text async for piece in generation.pieces()])

        found = await asyncio.wait_for(
            asyncio.gather(*(answer(each) for each in under_way), return_exceptions=True), timeout=60
        )
        load = scheduler.load
    finally:
        RequestRow.__init__ = made
        await asyncio.to_thread(scheduler.close)
    assert (load.running, load.waiting) == (0, 0)
    return found


@pytest.fixture(scope="module")
def tiny(make_tiny):
    return make_tiny(("plain",))


@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(asked=st.lists(requests, min_size=2, max_size=9))
def test_an_error_of_one_row_ends_that_row(tiny, asked):
    """Whatever step of whatever row raises: it ends in words, and the others answer as they do alone."""
    asked = [(list(prompt), adapter, broken) for prompt, adapter, broken in asked]
    for (prompt, adapter, broken), found in zip(asked, asyncio.run(outcomes(tiny.models, asked)), strict=True):
        if isinstance(found, Exception):
            assert broken is not None
            assert isinstance(found, EngineError), found
        elif broken is None or broken[0] == "text":
            assert found == tiny.greedy(prompt, adapter, 8)


ORIGINAL = 48


@pytest.fixture(scope="module")
def longrope():
    """A model whose rope has other factors beyond its original length, and transformers' own as judge."""
    config = Phi3Config(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=160,
        original_max_position_embeddings=ORIGINAL,
        initializer_range=0.5,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=None,
        sliding_window=None,
        rope_parameters={
            "rope_type": "longrope",
            "rope_theta": 10000.0,
            "short_factor": [1.0, 1.1, 1.2, 1.3],
            "long_factor": [2.0, 4.0, 8.0, 16.0],
            "original_max_position_embeddings": ORIGINAL,
        },
    )
    torch.manual_seed(5)
    judge = AutoModelForCausalLM.from_config(config).double().eval()
    torch.manual_seed(5)
    model = AutoModelForCausalLM.from_config(config).double().eval()
    models = Models(model, tiny_tokenizer(), Settings())
    return SimpleNamespace(models=models, judge=judge)


def test_a_rope_that_switches_is_each_requests_own(longrope):
    """Short, long, and crossing while answering, beside each other: each as `generate` answers it alone."""
    dice = random.Random(2)
    lengths = (5, ORIGINAL - 12, ORIGINAL - 3, ORIGINAL + 20, 7, ORIGINAL + 1, ORIGINAL - 8)
    asked = [(dice.choices(range(VOCABULARY), k=length), None, None) for length in lengths]
    found = asyncio.run(outcomes(longrope.models, asked))

    assert longrope.models.served[None].lane is Lane.BATCHED
    assert longrope.models.lane(None, ORIGINAL) is Lane.BATCHED
    assert longrope.models.lane(None, ORIGINAL + 1) is Lane.ALONE
    for (prompt, _, _), text in zip(asked, found, strict=True):
        tokens = torch.tensor([prompt])
        own = longrope.judge.generate(tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=8, do_sample=False)
        assert [ord(each) - 33 for each in text] == own[0, len(prompt) :].tolist()
