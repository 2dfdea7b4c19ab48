"""Each adapter has its own way of speaking, and what cannot be used is named at the start."""

from __future__ import annotations

import asyncio
import json

import pytest
from tests.support.inference.tiny import VOCABULARY, tiny_tokenizer

from aitk_app.engine.adapter_files import Adapter, ModelError
from aitk_app.engine.sampling import Sampling
from aitk_app.engine.scheduler import Scheduler
from aitk_app.engine.voice import SamplingDefaults, read_voice
from aitk_app.web.prompt import Message, PromptError, PromptTemplate

PLAIN = "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}"
PARTS = (
    "{% for m in messages %}{% for part in m['content'] %}"
    "{% if part is mapping %}{{ part.text }}{% endif %}{% endfor %}{% endfor %}"
)


@pytest.fixture(scope="module")
def tiny(make_tiny):
    return make_tiny(("plain",))


def test_an_adapter_brings_template_end_tokens_and_sampling(tiny, tmp_path):
    """From its own folder; what that does not hold is the base model's."""
    (tmp_path / "chat_template.jinja").write_text("own: " + PLAIN)
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": [4, 5], "temperature": 0.3}))
    found = read_voice(tmp_path, tiny.models.voice, VOCABULARY, "mine")

    assert found.own
    assert found.end_tokens == tiny.models.end_tokens | {4, 5}
    assert found.sampling == SamplingDefaults(temperature=0.3)
    assert found.tokenizer.chat_template.startswith("own: ")
    assert tiny.models.tokenizer.chat_template is None
    assert read_voice(tmp_path / "nothing", tiny.models.voice, VOCABULARY, "mine") is tiny.models.voice


def test_a_tokenizer_beyond_the_models_vocabulary_is_not_used(tiny, tmp_path):
    """Its tokens have no embedding."""
    tiny_tokenizer(VOCABULARY + 3).save_pretrained(tmp_path)

    assert read_voice(tmp_path, tiny.models.voice, VOCABULARY, "mine").tokenizer is tiny.models.tokenizer
    assert read_voice(tmp_path, tiny.models.voice, VOCABULARY + 3, "mine").own


def test_what_cannot_be_read_is_named(tiny, tmp_path):
    """The file's fault, and the way on."""
    (tmp_path / "generation_config.json").write_text("{")
    with pytest.raises(ModelError, match="The adapter mine has a tokenizer or generation configuration"):
        read_voice(tmp_path, tiny.models.voice, VOCABULARY, "mine")


async def test_an_adapters_end_token_ends_its_answers_alone(tiny):
    """The base goes on after it."""
    [token] = [ord(each) - 33 for each in tiny.greedy([5], "plain", 4)[3:]]
    folder = tiny.folders["plain"]
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": token}))
    loaded = tiny.models.prepare(Adapter("ending", folder, ""))
    (folder / "generation_config.json").unlink()
    tiny.models.install(loaded)
    scheduler = Scheduler(tiny.models, max_batch=2, max_queue=2, prompt_tokens=64)
    try:
        texts = []
        for name in ("ending", "plain"):
            generation = scheduler.submit([5], Sampling(max_tokens=20, temperature=0), name)
            texts.append("".join([piece.text async for piece in generation.pieces()]))
    finally:
        await asyncio.to_thread(scheduler.close)
        tiny.models.remove("ending")

    whole = tiny.greedy([5], "plain", 20)
    assert texts == [whole[: whole.index(chr(33 + token))], whole]


def template(text):
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = text
    return PromptTemplate(tokenizer, "auto")


def test_a_template_that_takes_only_parts_gets_parts():
    """What the user said is not dropped."""
    made = template(PARTS)
    made.check()

    assert made._rendered([Message("user", "hello")]) == "hello"


@pytest.mark.parametrize(
    ("text", "told"),
    [("{{ raise_exception('only in pairs') }}", "only in pairs"), ("always the same", "drops what the user says")],
)
def test_a_template_that_cannot_be_used_is_named_at_the_start(text, told):
    """Not at the first request."""
    with pytest.raises(PromptError, match=told):
        template(text).check()


def test_without_a_template_only_chat_is_refused():
    """Completions are served; chat says what to set."""
    made = template(None)
    made.check()

    assert "prompt_template" in made.missing
    with pytest.raises(PromptError, match="prompt_template"):
        made.prompt([Message("user", "hello")])
