"""Text from tokens, piece by piece."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models
from transformers import PreTrainedTokenizerFast

from ai_toolkit.workspace.sample.workspace import place_sample
from aitk_app.engine.text import TextStream, TokenBytes

STOPS = st.text(alphabet="ab é😀", min_size=1, max_size=4)
TEXTS = st.text(alphabet=st.sampled_from("ab é😀👩🏽‍🚀日本語नि\n"), max_size=30)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    """The sample's: a character is up to several tokens."""
    workspace = tmp_path_factory.mktemp("workspace")
    place_sample(workspace)
    [file] = workspace.glob("model-cache/*/*/tokenizer.json")
    return PreTrainedTokenizerFast(tokenizer_file=str(file))


@given(text=TEXTS)
def test_no_character_is_cut(tokenizer, text):
    """Each piece is whole characters, and together they are the text."""
    stream = TextStream(tokenizer, ())
    pieces = [stream.push(token) for token in tokenizer.encode(text, add_special_tokens=False)]

    assert "\ufffd" not in "".join(pieces)
    assert "".join(pieces) + stream.finish() == text


@given(text=TEXTS, stop=STOPS)
def test_nothing_of_a_stop_text_leaks(tokenizer, text, stop):
    """What was given ends where the stop text begins, wherever tokens begin."""
    stream = TextStream(tokenizer, (stop,))
    given_text = ""
    for token in tokenizer.encode(text, add_special_tokens=False):
        given_text += stream.push(token)
        if stream.stopped:
            break
    given_text += stream.finish()

    assert given_text == text.partition(stop)[0]
    assert stream.stopped == (stop in text)


@given(text=TEXTS)
def test_the_bytes_of_the_tokens_are_those_of_the_text(tokenizer, text):
    """Each token's are its own, part of a character where it is only that."""
    own = TokenBytes(tokenizer)

    assert b"".join(own.of(token) for token in tokenizer.encode(text, add_special_tokens=False)).decode() == text


def with_bytes():
    """A vocabulary as Llama 2's: words that mark spaces, and bytes for whatever it does not have."""
    words = ["<unk>", "</s>", "▁a", "b", "▁", "日", "é"]
    vocabulary = {each: number for number, each in enumerate([*words, *(f"<0x{byte:02X}>" for byte in range(256))])}
    made = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>", byte_fallback=True))
    made.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=made, unk_token="<unk>", eos_token="</s>")


BYTES = with_bytes()


@given(tokens=st.lists(st.integers(1, len(BYTES) - 1), max_size=25))
def test_random_byte_tokens_stream_what_decode_of_the_whole_gives(tokens):
    """Invalid sequences are U+FFFD as there, special tokens vanish, and no space is lost or added."""
    stream = TextStream(BYTES, ())
    text = "".join(stream.push(token) for token in tokens) + stream.finish()

    assert text == BYTES.decode(tokens, skip_special_tokens=True)


def test_a_completion_keeps_its_first_space():
    """What continues a text begins with the space that the whole has there."""
    stream = TextStream(BYTES, (), [2, 3])

    assert stream.push(2) == " a"
    assert TextStream(BYTES, ()).push(2) == "a"
    assert TokenBytes(BYTES).of(2) == b" a"
    assert TokenBytes(BYTES).of(BYTES.convert_tokens_to_ids("<0xE6>")) == b"\xe6"


def with_channels(*special):
    """A vocabulary with the tokens that open and close names, of which these are special."""
    names = ("<|channel|>", "<|message|>", "<|start|>", "<|end|>", "<|channel>", "<channel|>")
    words = ["analysis", "final", "assistant", "We", "think", "Hello", "thought", "\n", "!"]
    vocabulary = {each: number for number, each in enumerate([*words, *names])}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="!"))
    made.decoder = decoders.Fuse()
    made.add_special_tokens([each for each in names if each in special or not special])
    return PreTrainedTokenizerFast(tokenizer_object=made)


def text_of(tokenizer, written, **more):
    """The pieces joined, and what each token gave."""
    stream = TextStream(tokenizer, (), **more)
    pieces = [stream.push(tokenizer.convert_tokens_to_ids(each)) for each in written]
    return "".join(pieces) + stream.finish()


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (["<|channel|>", "analysis", "<|message|>", "We", "think", "<|end|>"], "Wethink"),
        (["<|start|>", "assistant", "<|channel|>", "final", "<|message|>", "Hello"], "Hello"),
        (["<|channel>", "thought", "\n", "We", "<channel|>", "Hello"], "WeHello"),
        (["We", "<|channel|>", "final"], "We"),
        (["<|channel|>", *["We"] * 40], "We" * 40),
        (["<|message|>", "Hello", "<|end|>"], "Hello"),
    ],
)
def test_special_tokens_vanish_with_the_names_that_they_open(written, text):
    """No channel's or role's name is left behind; what is too long to be a name is said."""
    assert text_of(with_channels(), written) == text


def test_special_tokens_are_shown_where_they_are_asked_for():
    """As the model wrote them; and what is no special token here opens nothing."""
    written = ["<|channel|>", "final", "<|message|>", "Hello", "<|end|>"]

    assert text_of(with_channels(), written, skip_special=False) == "".join(written)
    assert text_of(with_channels("<|end|>"), written) == "".join(written[:-1])
