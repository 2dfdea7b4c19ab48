"""Whatever requests come and go, each answer is the one that the request would have got alone."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from contextlib import aclosing
from dataclasses import dataclass

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aitk_app.engine.sampling import Sampling
from aitk_app.engine.scheduler import Scheduler

VOCABULARY = 97
ADAPTERS = ("plain", "wide")
# How far below the best logit a chosen token's may lie, in units of the logits' largest. Measured on this model:
# float32 0.00001, bfloat16 0.02; a wrong mask or a neighbour's adapter gives 0.3 and more.
TOLERANCE = {torch.float64: 0.0, torch.float32: 1e-4, torch.bfloat16: 0.06}


@dataclass(frozen=True)
class Asked:
    """A request: when it comes (in tokens that others have got by then), what it asks, when it leaves."""

    prompt: tuple[int, ...]
    adapter: str | None
    max_tokens: int
    after: int
    leaves_after: int | None
    stop: str | None


tokens = st.integers(0, VOCABULARY - 1)
BEGINNINGS = [tuple((7 * number + place) % VOCABULARY for place in range(40)) for number in (1, 2)]
requests = st.builds(
    Asked,
    prompt=st.lists(tokens, min_size=1, max_size=70).map(tuple)
    # Many begin alike, as with a system prompt, and are the same up to some place.
    | st.builds(
        lambda beginning, length, rest: beginning[:length] + tuple(rest),
        st.sampled_from(BEGINNINGS),
        st.integers(10, 40),
        st.lists(tokens, min_size=1, max_size=20),
    ),
    adapter=st.sampled_from([None, *ADAPTERS]),
    max_tokens=st.integers(1, 24),
    after=st.integers(0, 40),
    leaves_after=st.none() | st.integers(0, 12),
    stop=st.none() | st.integers(0, VOCABULARY - 1).map(lambda number: chr(33 + number)),
)


class Clock:
    """Counts the tokens that all requests have got: the only time there is."""

    def __init__(self):
        self.tokens = 0
        self.changed = asyncio.Condition()
        self.under_way = 0

    async def tick(self, tokens=1, under_way=0):
        async with self.changed:
            self.tokens += tokens
            self.under_way += under_way
            self.changed.notify_all()

    async def reach(self, tokens):
        """Returns at that time, or when nobody is left who could make time pass."""
        async with self.changed:
            await self.changed.wait_for(lambda: self.tokens >= tokens or self.under_way == 0)
            self.under_way += 1


async def one(scheduler, asked, clock):
    """Text and finish reason of one request; the reason is None when it left."""
    await clock.reach(asked.after)
    stop = (asked.stop,) if asked.stop else ()
    sampling = Sampling(max_tokens=asked.max_tokens, temperature=0, stop=stop)
    text, finish, seen = "", None, 0
    generation = scheduler.submit(list(asked.prompt), sampling, asked.adapter)
    try:
        async with aclosing(generation.pieces()) as pieces:
            while finish is None and seen != asked.leaves_after:
                piece = await anext(pieces)
                text, finish, seen = text + piece.text, piece.finish_reason, seen + 1
                await clock.tick()
    finally:
        generation.cancel()
        await clock.tick(0, under_way=-1)
    return text, finish


async def run(tiny, everyone, max_batch, prompt_tokens):
    scheduler = Scheduler(tiny.models, max_batch=max_batch, max_queue=100, prompt_tokens=prompt_tokens)
    try:
        clock = Clock()
        outcomes = await asyncio.wait_for(asyncio.gather(*(one(scheduler, each, clock) for each in everyone)), 60)
        # Whoever left is gone within a step: the next request finds an empty engine after its own answer.
        async with aclosing(scheduler.submit([1], Sampling(max_tokens=1, temperature=0), None).pieces()) as pieces:
            async for _ in pieces:
                pass
        return outcomes, scheduler.load
    finally:
        await asyncio.to_thread(scheduler.close)


def check(tiny, dtype, everyone, max_batch, prompt_tokens):
    outcomes, load = asyncio.run(run(tiny, everyone, max_batch, prompt_tokens))
    assert (load.running, load.waiting) == (0, 0)
    for asked, (text, finish) in zip(everyone, outcomes, strict=True):
        said = text
        if finish == "stop":
            assert asked.stop is not None
            said = text + asked.stop
        elif finish == "length":
            room = tiny.models.context_length - len(asked.prompt)
            assert len(text) == min(asked.max_tokens, room)
        else:
            assert asked.leaves_after is not None
        assert asked.stop is None or asked.stop not in text
        assert tiny.worst_margin(asked.prompt, said, asked.adapter) <= TOLERANCE[dtype] * tiny.largest


@pytest.fixture(scope="module", params=TOLERANCE, ids=str)
def judged(request, make_tiny):
    """A model in each type, with the tolerance that holds for it."""
    tiny = make_tiny(ADAPTERS, dtype=request.param)
    with torch.inference_mode(), tiny.alone(None) as model:
        tiny.largest = float(model(torch.arange(VOCABULARY)[None]).logits.abs().max())
    return tiny, request.param


@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    everyone=st.lists(requests, min_size=1, max_size=10),
    max_batch=st.integers(1, 5),
    prompt_tokens=st.sampled_from([7, 32, 2048]),
)
def test_every_answer_is_that_of_the_request_alone(judged, everyone, max_batch, prompt_tokens):
    """Random arrivals, lengths, adapters, stops and departures: each token is the one that the model alone takes.

    Exactly in float64; in float32 and bfloat16 it may differ where the best logits lie within the tolerance.
    """
    check(*judged, everyone, max_batch, prompt_tokens)


async def test_what_prompts_begin_with_is_read_once(make_tiny):
    """Four requests at once with the same 40 tokens at their beginning; another adapter's are its own."""
    tiny = make_tiny(ADAPTERS)
    beginning = list(BEGINNINGS[0])
    scheduler = Scheduler(tiny.models, max_batch=8, max_queue=10, prompt_tokens=2048)
    try:
        sampling = Sampling(max_tokens=6, temperature=0, ignore_end=True)
        all_are_here = threading.Event()
        scheduler.between_steps(all_are_here.wait, Future())
        under_way = [scheduler.submit([*beginning, number], sampling, None) for number in range(4)]
        under_way.append(scheduler.submit([*beginning, 5], sampling, "plain"))
        all_are_here.set()
        texts = []
        for generation in under_way:
            async with aclosing(generation.pieces()) as pieces:
                texts.append("".join([piece.text async for piece in pieces]))
        load = scheduler.load
    finally:
        await asyncio.to_thread(scheduler.close)

    assert load.shared_tokens == 3 * len(beginning)
    assert len({each.first_token for each in under_way}) == 1, "not in the same pass"
    for number, text in enumerate(texts[:4]):
        assert tiny.worst_margin((*beginning, number), text, None) == 0
    assert tiny.worst_margin((*beginning, 5), texts[4], "plain") == 0


@pytest.fixture(scope="module")
def merged(make_tiny):
    tiny = make_tiny(("plain",))
    tiny.largest = 1.0
    return tiny


@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(everyone=st.lists(requests, min_size=2, max_size=8), max_batch=st.integers(2, 5))
def test_a_merged_copy_changes_no_answer(merged, everyone, max_batch):
    """Where one adapter has merged weights, it answers the same alone and beside the base model."""
    assert merged.models.adapters["plain"].merged
    check(merged, torch.float64, [each for each in everyone if each.adapter != "wide"], max_batch, 2048)
