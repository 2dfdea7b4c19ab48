"""A step of decoding does no work twice: what is held is not copied, and one transfer brings all tokens."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.inference.byte_model import byte_models
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from aitk_app.engine.cache import Segment
from aitk_app.engine.layout import lay_out
from aitk_app.engine.sampling import Chooser, Sampling, next_tokens
from aitk_app.engine.scheduler import Scheduler

VOCABULARY = 97
TRANSFERS = {"tolist", "item", "numpy", "cpu", "__bool__", "__int__", "__float__", "__index__"}


class Operations(TorchDispatchMode):
    """Every operation with the bytes of its results."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, function, types, arguments=(), more=None):
        found = function(*arguments, **(more or {}))
        tensors = [each for each in (found if isinstance(found, (list, tuple)) else [found]) if torch.is_tensor(each)]
        self.seen.append((str(function), sum(each.nbytes for each in tensors)))
        return found


class Transfers(TorchFunctionMode):
    """How often a value is asked of the device."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_function__(self, function, types, arguments=(), more=None):
        if getattr(function, "__name__", "") in TRANSFERS:
            self.seen.append(function.__name__)
        return function(*arguments, **(more or {}))


@pytest.fixture(scope="module")
def tiny(make_tiny):
    return make_tiny(("plain", "wide"))


def stepping(tiny, adapters, sampling):
    """Rows of these adapters whose prompts are read, of different lengths; each call makes a step."""
    path = tiny.models.batched
    cache = path.new_cache()
    cache.reserve(len(adapters), 60)
    prompts = [list(range(3 + number)) for number in range(len(adapters))]
    path.forward(cache, [Segment(slot, 0, prompts[slot], each) for slot, each in enumerate(adapters)])
    choosers = [Chooser(sampling, prompt) for prompt in prompts]
    lengths = [len(prompt) for prompt in prompts]

    @torch.inference_mode()
    def step():
        segments = [Segment(slot, lengths[slot], [5], each) for slot, each in enumerate(adapters)]
        next_tokens(path.forward(cache, segments), choosers)
        for slot in range(len(lengths)):
            lengths[slot] += 1

    return step, cache


@pytest.mark.parametrize("sampling", [{"temperature": 0}, {"top_p": 0.9, "top_k": 7, "min_p": 0.01, "seed": 1}])
def test_a_step_costs_what_the_one_before_did(tiny, sampling):
    """The same operations with results of the same size, where the answers are longer; nothing held is copied."""
    plain, wide = (tiny.models.adapters[name] for name in ("plain", "wide"))
    step, cache = stepping(tiny, [None, plain, wide, None], Sampling(max_tokens=50, **sampling))
    step()
    held = [(layer.keys.data_ptr(), layer.values.data_ptr()) for layer in cache.slot_layers]
    logs = []
    for _ in range(6):
        with Operations() as operations:
            step()
        logs.append(operations.seen)

    assert all(log == logs[0] for log in logs)
    assert [(layer.keys.data_ptr(), layer.values.data_ptr()) for layer in cache.slot_layers] == held


@pytest.mark.parametrize(
    "sampling",
    [
        {"temperature": 0},
        {"temperature": 0.7, "seed": 1},
        {"top_p": 0.9, "top_k": 7, "seed": 1},
        {"repetition_penalty": 1.3, "frequency_penalty": 0.2, "logit_bias": ((5, 1.0),), "min_tokens": 9, "seed": 1},
    ],
)
def test_all_rows_tokens_come_in_one_transfer(tiny, sampling):
    """However many rows, and however they are sampled."""
    plain = tiny.models.adapters["plain"]
    step, _ = stepping(tiny, [None, plain, None, plain], Sampling(max_tokens=50, **sampling))
    step()
    with Transfers() as transfers:
        step()

    assert transfers.seen == ["tolist"]


def test_a_batch_of_eight_adapters_makes_the_operations_of_two(tiny):
    """Each layer adds all adapters' products at once."""
    plain, wide = (tiny.models.adapters[name] for name in ("plain", "wide"))
    counts = []
    for adapters in ([plain, wide] * 4, [replace(each) for each in (plain, wide) * 4]):
        step, _ = stepping(tiny, adapters, Sampling(max_tokens=50, temperature=0))
        step()
        with Operations() as operations:
            step()
        counts.append(len(operations.seen))

    assert counts[0] == counts[1]


async def test_room_for_an_answer_is_there_before_its_first_token():
    """Through the scheduler: from the first pass on, the cache of the longest request stays where it is."""
    models, held = byte_models(), []

    def note(_module, _arguments, given):
        held.append(given["past_key_values"].slot_layers[0].keys)

    hook = models.model.register_forward_hook(
        lambda module, arguments, given, _: note(module, arguments, given), with_kwargs=True
    )
    scheduler = Scheduler(models, max_batch=4, max_queue=2, prompt_tokens=64)
    try:
        generation = scheduler.submit([1, 2, 3], Sampling(max_tokens=300, temperature=0, min_tokens=300), None)
        pieces = [piece async for piece in generation.pieces()]
    finally:
        hook.remove()
        await asyncio.to_thread(scheduler.close)

    assert len(pieces) == len(held) == 300
    assert {each.data_ptr() for each in held} == {held[0].data_ptr()}


def alone(logits, sampling, number):
    """The token of one row by the definition: sort all, cut, and go along the probabilities."""
    probabilities = (logits.float() / max(sampling.temperature, 1e-5)).softmax(0)
    if sampling.top_p >= 1 and not sampling.top_k and sampling.min_p <= 0:
        order = torch.arange(len(logits))
    else:
        order = probabilities.argsort(descending=True, stable=True)
    values = probabilities[order].double().tolist()
    if sampling.top_k:
        values = values[: sampling.top_k]
    if sampling.min_p > 0:
        values = [each for each in values if each >= float(torch.tensor(values[0]) * sampling.min_p)]
    if sampling.top_p < 1:
        total = math.fsum(values) if sampling.top_k or sampling.min_p > 0 else 1.0
        kept, sum_ = 0, 0.0
        while kept < len(values) and (not kept or sum_ < sampling.top_p * total):
            sum_ += values[kept]
            kept += 1
        values = values[:kept]
    place, sum_, aim = 0, values[0], number * math.fsum(values)
    while place < len(values) - 1 and sum_ <= aim:
        place += 1
        sum_ += values[place]
    return int(order[place])


samplings = st.builds(
    Sampling,
    max_tokens=st.just(1),
    temperature=st.sampled_from([0.0, 0.5, 1.0, 2.0]),
    top_p=st.sampled_from([1.0, 0.9, 0.3, 0.01]),
    top_k=st.sampled_from([0, 1, 5, 300, 5000]),
    min_p=st.sampled_from([0.0, 0.2, 0.0001]),
    seed=st.integers(0, 2**31),
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    asked=st.lists(samplings, min_size=1, max_size=6),
    vocabulary=st.sampled_from([5, 97, 1000]),
    spread=st.sampled_from([0.01, 1.0, 5.0]),
    seed=st.integers(0, 2**31),
)
def test_rows_chosen_at_once_are_those_chosen_alone(asked, vocabulary, spread, seed):
    """Each row's own temperature, limits and random numbers, whatever its neighbours ask."""
    logits = torch.randn(len(asked), vocabulary, generator=torch.Generator().manual_seed(seed)) * spread
    choosers = [Chooser(each, ()) for each in asked]
    numbers = [Chooser(each, ()).source.random() for each in asked]
    together = [token for token, _ in next_tokens(logits.clone(), choosers)]

    for row, sampling in enumerate(asked):
        expected = int(logits[row].argmax()) if not sampling.temperature else alone(logits[row], sampling, numbers[row])
        assert together[row] == expected


def test_laying_weights_out_changes_none_of_them():
    """Shapes, values and what is shared stay; only the strides are others."""
    layer, tied = torch.nn.Linear(7, 5), torch.nn.Linear(3, 11, bias=False)
    embedding = torch.nn.Embedding(11, 3)
    tied.weight = embedding.weight
    half = torch.nn.Linear(4, 4).bfloat16()
    model = torch.nn.ModuleList([layer, embedding, tied, half])
    before = {name: each.detach().clone() for name, each in model.named_parameters()}
    lay_out(model)

    for name, each in model.named_parameters():
        assert torch.equal(each, before[name])
    assert tied.weight is embedding.weight
    assert layer.weight.stride() == (1, 5)
    assert half.weight.is_contiguous()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_rows_that_are_changed_at_once_are_as_they_are_alone(dtype):
    """Penalties, bias and the least length, of rows that ask for different ones; a row that asks for nonsense fails."""
    asked = [
        {"repetition_penalty": 1.3},
        {"frequency_penalty": 0.7, "presence_penalty": 0.4},
        {"logit_bias": ((3, 5.0), (4, -100.0)), "min_tokens": 3},
        {"logit_bias": ((VOCABULARY, 1.0),)},
        {"repetition_penalty": 0.8, "presence_penalty": -0.5, "logit_bias": ((9, 2.0),)},
        {},
    ]

    def rows():
        return [Chooser(Sampling(max_tokens=9, seed=1, **each), [1, 2, 2, 40], frozenset({7})) for each in asked]

    torch.manual_seed(2)
    steps = [torch.randn(len(asked), VOCABULARY, dtype=dtype) * 3 for _ in range(6)]
    together, alone = rows(), rows()
    for logits in steps:
        found = next_tokens(logits.clone(), together)
        expected = [next_tokens(logits[row : row + 1].clone(), [each])[0] for row, each in enumerate(alone)]

        assert isinstance(found.pop(3), IndexError)
        assert isinstance(expected.pop(3), IndexError)
        assert found == expected


def test_a_repeated_token_is_penalised_as_by_hand():
    """Those of the prompt and of the answer so far, each once."""
    chooser = Chooser(Sampling(max_tokens=9, temperature=0, repetition_penalty=2.0), [0, 1, 1])
    logits = torch.tensor([[4.0, -4.0, 3.0, 1.9, 1.4]])
    first = next_tokens(logits.clone(), [chooser])
    second = next_tokens(logits.clone(), [chooser])

    assert [first[0][0], second[0][0]] == [2, 0]
    third = logits.clone()
    next_tokens(third, [chooser])
    assert third.tolist() == [[2.0, -8.0, 1.5, pytest.approx(1.9), pytest.approx(1.4)]]
