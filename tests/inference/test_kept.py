"""A conversation's next turn reads only what is new, and is answered as if all had been read."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aitk_app.engine.adapter_files import Adapter
from aitk_app.engine.kept import Kept
from aitk_app.engine.sampling import Sampling
from aitk_app.engine.scheduler import Scheduler

GREEDY = Sampling(max_tokens=8, temperature=0, ignore_end=True)


@pytest.fixture
def engine(make_tiny):
    tiny = make_tiny(("plain", "wide"))
    scheduler = Scheduler(tiny.models, max_batch=4, max_queue=9, prompt_tokens=16)
    yield tiny, scheduler
    scheduler.close()


async def answer(scheduler, prompt, adapter=None):
    text = "".join([piece.text async for piece in scheduler.submit(prompt, GREEDY, adapter).pieces()])
    return text, [ord(each) - 33 for each in text]


@pytest.mark.parametrize("adapter", [None, "plain"])
async def test_the_next_turn_reads_only_what_is_new(engine, adapter):
    """Three turns, with another's conversation and another model's between them."""
    tiny, scheduler = engine
    prompt, reused = list(range(20)), 0
    for turn in range(3):
        text, said = await answer(scheduler, prompt, adapter)

        assert tiny.worst_margin(tuple(prompt), text, adapter) == 0
        assert scheduler.load.shared_tokens == reused
        held = len(prompt) + len(said) - 1  # the last token of an answer was never read
        prompt = [*prompt, *said, 50 + turn, 60 + turn]
        await answer(scheduler, [90 - turn] * 25, adapter)
        await answer(scheduler, prompt[:30], "wide")
        reused = scheduler.load.shared_tokens + held


async def test_another_adapter_of_the_same_name_begins_anew(engine):
    """What one loading computed is not the other's, and what was unloaded is not held."""
    tiny, scheduler = engine
    prompt = list(range(30))
    await answer(scheduler, prompt, "plain")
    folder = tiny.folders["wide"]
    loaded = tiny.models.prepare(Adapter("plain", folder, ""))
    done: Future[None] = Future()
    scheduler.between_steps(lambda: tiny.models.install(loaded), done)
    await asyncio.wrap_future(done)
    text, _ = await answer(scheduler, prompt, "plain")

    assert scheduler.load.shared_tokens == 0
    assert tiny.worst_margin(tuple(prompt), text, "wide") == 0


def test_what_was_not_used_for_longest_makes_room():
    """And a turn takes the place of the one before it."""
    kept = Kept(4, 2)
    one, two, three = ([number] * 20 for number in range(3))
    [first] = kept.keep(0, one, None)
    [second] = kept.keep(1, two, None)
    kept.used(first.target)
    [third] = kept.keep(2, three, None)
    [fourth] = kept.keep(0, [*one, 7], None)

    assert {first.target, second.target} == {4, 5}
    assert third.target == second.target
    assert fourth.target == first.target
    assert kept.keep(3, [5] * 3, None) == [], "too short to be worth it"
    assert kept.keep(3, three[:18], None) == [], "there already"


conversations = st.lists(
    st.tuples(st.lists(st.integers(0, 1), min_size=14, max_size=24), st.sampled_from([None, "a", "b"])), max_size=20
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(conversations=conversations, places=st.integers(0, 3))
def test_each_place_holds_one_content_and_all_are_behind_the_rows(conversations, places):
    """Whatever is kept and let go of: no place twice, none outside, and the newest is always there."""
    kept, adapters = Kept(5, places), {"a": object(), "b": object(), None: None}
    for tokens, name in conversations:
        moves = kept.keep(0, tokens, adapters[name])
        slots = [slot for slot, _ in kept.rows]
        assert len(slots) == len(set(slots)) <= places
        assert all(5 <= slot < 5 + places for slot in slots)
        if places and len(tokens) >= 16:
            assert any(row.adapter is adapters[name] and row.prompt[: len(tokens)] == tokens for _, row in kept.rows)
        assert all(move.length == len(tokens) for move in moves)
    kept.only([adapters["a"]])
    assert all(row.adapter in {None, adapters["a"]} for _, row in kept.rows)
