"""The engine on a tiny random model in float64, where batching must not change a single token."""

from __future__ import annotations

import asyncio
import itertools
import random
import re
from contextlib import aclosing

import pytest
import torch

from aitk_app.engine.generation import EngineError, QueueFullError
from aitk_app.engine.sampling import Chooser, Sampling, next_tokens
from aitk_app.engine.scheduler import Scheduler, Watcher
from aitk_app.engine.text import TextStream

VOCABULARY = 97


@pytest.fixture(scope="module")
def tiny(make_tiny):
    return make_tiny()


@pytest.fixture
def start(tiny):
    """Starts an engine; it is ended with the test."""
    started = []

    def begin(models=tiny.models, **more):
        started.append(Scheduler(models, **({"max_batch": 4, "max_queue": 2, "prompt_tokens": 2048} | more)))
        return started[-1]

    yield begin
    for each in started:
        each.close()


@pytest.fixture
def scheduler(start):
    return start()


def greedy(max_tokens, **more):
    return Sampling(max_tokens=max_tokens, temperature=0, **more)


async def answer(generation):
    return "".join([piece.text async for piece in generation.pieces()])


@pytest.mark.parametrize("merged_copy", [True, False])
@pytest.mark.parametrize("adapters", [("plain",), ("dora",), ("plain", "wide", "dora")])
async def test_answers_in_a_mixed_batch_are_those_of_each_request_alone(make_tiny, start, adapters, merged_copy):
    """Requests of many lengths, of base and adapters of every kind, that join and leave, do not change one another."""
    tiny = make_tiny(adapters, merged_copy=merged_copy)
    scheduler = start(tiny.models, prompt_tokens=24)
    dice = random.Random(3)
    who = itertools.cycle([None, *adapters])
    asked = [
        (dice.choices(range(VOCABULARY), k=dice.randint(1, 60)), next(who), 3 + 5 * (number % 4))
        for number in range(12)
    ]
    room = asyncio.Semaphore(6)

    async def one(prompt, adapter, count):
        async with room:
            return await answer(scheduler.submit(prompt, greedy(count), adapter))

    answers = await asyncio.gather(*(one(*each) for each in asked))

    assert answers == [tiny.greedy(*each) for each in asked]
    assert len({tiny.greedy([5], adapter, 8) for adapter in (None, *adapters)}) == 1 + len(adapters)


async def test_only_adapter_has_its_merged_copy_again_when_another_one_has_come_and_gone(make_tiny, start):
    """While there are two, rows use the low-rank products; alone again it is merged, and says the same."""
    models = (tiny := make_tiny(("plain", "wide"))).models
    scheduler = start(models)
    beside = await answer(scheduler.submit([5], greedy(20), "plain"))
    while_two, nothing = models.adapters["plain"].merged, models.copy_again()
    models.remove("wide")
    name, merged = models.copy_again()
    models.take_copy(name, merged)

    assert (while_two, nothing, name) == ({}, None, "plain")
    assert models.adapters["plain"].merged.keys() == models.adapters["plain"].low_rank.keys()
    assert models.copy_again() is None
    assert await answer(scheduler.submit([5], greedy(20), "plain")) == beside == tiny.greedy([5], "plain", 20)


async def test_without_the_base_its_weights_become_the_adapters(make_tiny, start):
    """`serve_base = false` keeps only the merged weights, and refuses another adapter in words."""
    tiny = make_tiny(("dora",), serve_base=False)
    text = await answer(start(tiny.models).submit([5], greedy(20), "dora"))

    assert text == tiny.greedy([5], "dora", 20)
    assert not tiny.models.adapters["dora"].layers
    with pytest.raises(Exception, match="serve_base"):
        tiny.models.prepare(None)


async def test_a_cancelled_request_frees_its_place(tiny, scheduler):
    """Whoever leaves is out of the batch, and the others go on unharmed."""
    staying = scheduler.submit([7, 8, 9], greedy(100), None)
    leaving = scheduler.submit([1, 2], greedy(100), None)
    async with aclosing(leaving.pieces()) as pieces:
        await anext(pieces)

    assert await answer(staying) == tiny.greedy([7, 8, 9], None, 100)
    assert await answer(scheduler.submit([4], greedy(5), None)) == tiny.greedy([4], None, 5)
    assert scheduler.load.running == 0


async def test_a_full_queue_is_refused(scheduler):
    """More requests than may run and wait are refused at once."""
    taken = []
    with pytest.raises(QueueFullError):
        taken.extend(scheduler.submit([1], greedy(100), None) for _ in range(20))
    for each in taken:
        each.cancel()


async def test_an_answer_ends_where_the_context_does(tiny, scheduler):
    """Prompt and answer together never exceed what the model was made for."""
    generation = scheduler.submit([3] * 120, greedy(50), None)
    pieces = [piece async for piece in generation.pieces()]

    assert pieces[-1].finish_reason == "length"
    assert pieces[-1].answer_tokens == tiny.models.context_length - 120


async def test_a_stop_text_is_held_back_and_cut(tiny, scheduler):
    """A stop text across several tokens never appears, not even its beginning."""
    whole = tiny.greedy([5], None, 20)
    stop = whole[6:9]
    text = await answer(scheduler.submit([5], greedy(20, stop=(stop,)), None))

    assert text == whole[: whole.index(stop)]


async def test_a_stop_token_ends_the_answer(tiny, scheduler):
    """A token that the request names ends its answer and is not in it."""
    whole = tiny.greedy([5], None, 20)
    text = await answer(scheduler.submit([5], greedy(20, stop_tokens=frozenset({ord(whole[7]) - 33})), None))

    assert text == whole[: whole.index(whole[7])]


async def test_out_of_memory_drops_one_request_and_shrinks_the_batch(tiny, start):
    """With room for two rows, the third request ends with 503 and the others' answers are whole."""

    def no_room(_module, _arguments, given):
        if given["input_ids"].shape[1] > 2:
            raise torch.OutOfMemoryError("no room for three rows")

    hook = tiny.models.model.register_forward_pre_hook(no_room, with_kwargs=True)
    try:
        scheduler = start()
        asked = [scheduler.submit([number], greedy(60), None) for number in range(4)]
        outcomes = await asyncio.gather(*(answer(each) for each in asked), return_exceptions=True)
    finally:
        hook.remove()

    dropped = [each for each in outcomes if isinstance(each, EngineError)]
    assert 1 <= len(dropped) < 4
    assert {each.status for each in dropped} == {503}
    for number, outcome in enumerate(outcomes):
        assert isinstance(outcome, EngineError) or outcome == tiny.greedy([number], None, 60)
    assert scheduler.load.batch_limit < 4


async def test_an_engine_that_dies_is_started_again(tiny, start, caplog):
    """Its requests end with an id under which the log has the reason; it says so, goes on, and answers the next one."""
    told = []
    broken = iter([True])

    def fail_once(_module, _arguments):
        if next(broken, False):
            raise RuntimeError("a broken kernel")

    scheduler = start(watcher=Watcher(stopped=told.append, restarted=lambda: told.append("restarted")))
    hook = tiny.models.model.register_forward_pre_hook(fail_once)
    try:
        with pytest.raises(EngineError, match=r"is being started again.*error [0-9a-f]{8}") as failed:
            await answer(scheduler.submit([1], greedy(5), None))
        again = await answer(scheduler.submit([4], greedy(5), None))
    finally:
        hook.remove()

    assert again == tiny.greedy([4], None, 5)
    [number] = re.findall("error ([0-9a-f]{8})", str(failed.value))
    assert told == [f"error {number} in its log", "restarted"]
    assert "a broken kernel" in caplog.text
    assert f"(error {number})" in caplog.text


def test_text_that_only_began_like_a_stop_text_is_given_at_the_end(tiny):
    """What was held back in vain is not lost."""
    stream = TextStream(tiny.models.tokenizer, ("abc",))
    shown = [stream.push(ord(each) - 33) for each in "xab"]

    assert shown == ["x", "", ""]
    assert stream.finish() == "ab"


def draw(logits, times=60, prompt=(), **more):
    """`times` tokens of one request whose every step has the same logits."""
    chooser = Chooser(Sampling(max_tokens=1, **more), prompt)
    return [next_tokens(torch.tensor([logits]), [chooser])[0][0] for _ in range(times)]


def test_sampling_follows_temperature_top_p_top_k_min_p_and_seed():
    """Temperature 0 is greedy; each limit leaves what it says; a seed repeats itself."""
    logits = [0.0, 3.0, 1.0, 2.0]

    assert draw(logits, temperature=0) == [1] * 60
    assert draw(logits, seed=1, top_p=0.1) == [1] * 60
    assert set(draw(logits, seed=1, top_p=0.8)) == {1, 3}
    assert set(draw(logits, seed=1, temperature=2.0)) == {0, 1, 2, 3}
    assert set(draw(logits, seed=1, temperature=2.0, top_k=2)) == {1, 3}
    assert set(draw(logits, seed=1, temperature=1.0, min_p=0.3)) == {1, 3}
    assert set(draw(logits, seed=1, temperature=2.0, top_k=3, top_p=0.6)) == {1, 3}
    assert draw(logits, seed=5) == draw(logits, seed=5)
    assert draw(logits, seed=5) != draw(logits, seed=6)


@pytest.mark.parametrize("limits", [{}, {"top_p": 0.9}, {"top_k": 300}, {"min_p": 0.01}, {"top_p": 0.3, "top_k": 5}])
def test_frequencies_are_the_models_probabilities(limits):
    """Over a vocabulary larger than the first look, what is drawn is distributed as a whole sort would say."""
    logits = torch.randn(1, 1000, generator=torch.Generator().manual_seed(2)) * 1.5
    probabilities = logits[0].double().softmax(0)
    ordered, order = probabilities.sort(descending=True)
    kept = torch.ones(1000, dtype=torch.bool)
    kept[limits.get("top_k", 1000) :] = False
    kept &= ordered >= ordered[0] * limits.get("min_p", 0)
    left = ordered * kept
    kept &= (left.cumsum(0) - left) < limits.get("top_p", 1) * left.sum()
    expected = torch.zeros(1000, dtype=torch.float64)
    expected[order] = ordered * kept / (ordered * kept).sum()
    choosers = [Chooser(Sampling(max_tokens=1, seed=number, **limits), ()) for number in range(4000)]
    drawn = torch.tensor([token for token, _ in next_tokens(logits.expand(4000, -1).clone(), choosers)])
    found = torch.bincount(drawn, minlength=1000) / 4000

    assert set(drawn.tolist()) <= set(expected.nonzero()[:, 0].tolist())
    assert float((found - expected).abs().max()) < 0.03


def test_penalties_push_down_what_was_said():
    """Repetition counts prompt and answer; presence counts once, frequency every time; a row alone is concerned."""
    logits = [2.0, 1.9, -1.0]

    assert draw(logits, 1, temperature=0, prompt=[0], repetition_penalty=1.5) == [1]
    assert draw(logits, 4, temperature=0, presence_penalty=0.2) == [0, 1, 0, 0]
    assert draw(logits, 5, temperature=0, frequency_penalty=0.3) == [0, 1, 0, 1, 0]
    both = torch.tensor([logits, logits])
    penalised = Chooser(Sampling(max_tokens=1, temperature=0, repetition_penalty=1.5), [0])
    plain = Chooser(Sampling(max_tokens=1, temperature=0), [0])
    assert [token for token, _ in next_tokens(both, [penalised, plain])] == [1, 0]


def test_logprobs_are_the_models_own():
    """The chosen token's logarithm and the most probable ones, before temperature and limits."""
    logits = torch.tensor([[0.0, 3.0, 1.0]])
    expected = logits[0].log_softmax(0)
    [(token, found)] = next_tokens(logits.clone(), [Chooser(Sampling(max_tokens=1, temperature=0, logprobs=2), ())])

    assert token == found.token == 1
    assert found.logprob == pytest.approx(float(expected[1]))
    assert [each for each, _ in found.top] == [1, 2]
    assert found.top[1][1] == pytest.approx(float(expected[2]))
