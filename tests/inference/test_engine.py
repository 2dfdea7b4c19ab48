"""The engine on a tiny random model in float64, where batching must not change a single token."""

from __future__ import annotations

import asyncio
import warnings
from contextlib import nullcontext

import pytest
import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from engine.models import Models
from engine.sampling import Sampling, next_tokens, random_numbers
from engine.scheduler import QueueFullError, Scheduler
from engine.settings import Settings
from engine.text import TextStream

VOCABULARY = 97


@pytest.fixture(scope="module")
def tiny():
    """A two-layer model with one adapter that changes it much."""
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        initializer_range=0.5,
        bos_token_id=None,
        eos_token_id=None,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft asks transformers by an old name
        model = get_peft_model(
            LlamaForCausalLM(config).double().eval(),
            LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False),
            "a0",
            autocast_adapter_dtype=False,
        )
    alphabet = {chr(33 + number): number for number in range(VOCABULARY)}
    tokenizer = Tokenizer(models.WordLevel(alphabet, unk_token="!"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.decoder = decoders.Fuse()
    loaded = Models(model.double().eval(), PreTrainedTokenizerFast(tokenizer_object=tokenizer), Settings())
    loaded.adapters = {"tuned": "a0"}
    return loaded


@pytest.fixture
def scheduler(tiny):
    made = Scheduler(tiny, max_batch=4, max_queue=2)
    yield made
    made.close()


def greedy(max_tokens, **more):
    return Sampling(max_tokens=max_tokens, temperature=0, **more)


async def answer(generation):
    return "".join([piece.text async for piece in generation.pieces()])


def alone(tiny, prompt, adapter, count):
    """What the library's model itself answers: a whole forward pass per token, no cache, no mask of ours."""
    tokens = list(prompt)
    with torch.inference_mode(), nullcontext() if adapter else tiny.model.disable_adapter():
        for _ in range(count):
            tokens.append(int(tiny.model(torch.tensor([tokens]), use_cache=False).logits[0, -1].argmax()))
    return "".join(chr(33 + token) for token in tokens[len(prompt) :])


async def test_answers_in_a_mixed_batch_are_those_of_each_request_alone(tiny, scheduler):
    """Requests of many lengths, with and without adapter, that join and leave, do not change one another."""
    random = torch.Generator().manual_seed(3)
    asked = []
    for number in range(10):
        length = int(torch.randint(1, 40, (1,), generator=random))
        prompt = torch.randint(0, VOCABULARY, (length,), generator=random).tolist()
        asked.append((prompt, "tuned" if number % 2 else None, 3 + 5 * (number % 4)))

    room = asyncio.Semaphore(6)

    async def one(prompt, adapter, count):
        async with room:
            return await answer(scheduler.submit(prompt, greedy(count), adapter))

    answers = await asyncio.gather(*(one(*each) for each in asked))

    assert answers == [alone(tiny, *each) for each in asked]
    assert alone(tiny, [5], "tuned", 8) != alone(tiny, [5], None, 8)


async def test_a_cancelled_request_frees_its_place(tiny, scheduler):
    """Whoever leaves is out of the batch, and the others go on unharmed."""
    staying = scheduler.submit([7, 8, 9], greedy(100), None)
    leaving = scheduler.submit([1, 2], greedy(100), None)
    pieces = leaving.pieces()
    await anext(pieces)
    await pieces.aclose()

    assert await answer(staying) == alone(tiny, [7, 8, 9], None, 100)
    assert await answer(scheduler.submit([4], greedy(5), None)) == alone(tiny, [4], None, 5)
    assert scheduler.running == 0


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
    assert pieces[-1].answer_tokens == tiny.context_length - 120


async def test_a_stop_text_is_held_back_and_cut(tiny, scheduler):
    """A stop text across several tokens never appears, not even its beginning."""
    whole = alone(tiny, [5], None, 20)
    stop = whole[6:9]
    text = await answer(scheduler.submit([5], greedy(20, stop=(stop,)), None))

    assert text == whole[: whole.index(stop)]


def test_text_that_only_began_like_a_stop_text_is_given_at_the_end(tiny):
    """What was held back in vain is not lost."""
    stream = TextStream(tiny.tokenizer.backend_tokenizer, ("abc",))
    shown = [stream.push(ord(each) - 33) for each in "xab"]

    assert shown == ["x", "", ""]
    assert stream.finish() == "ab"


def test_sampling_follows_temperature_top_p_and_seed():
    """Temperature 0 is greedy; a small top_p leaves only the best; a seed repeats itself."""
    logits = torch.tensor([[0.0, 3.0, 1.0, 2.0]])

    def draw(seed, **more):
        asked = Sampling(max_tokens=1, **more)
        source = random_numbers(seed)
        return [next_tokens(logits, [asked], [source])[0] for _ in range(60)]

    assert draw(1, temperature=0) == [1] * 60
    assert draw(1, top_p=0.1) == [1] * 60
    assert set(draw(1, top_p=0.8)) == {1, 3}
    assert set(draw(1, temperature=2.0)) == {0, 1, 2, 3}
    assert draw(5) == draw(5)
    assert draw(5) != draw(6)
