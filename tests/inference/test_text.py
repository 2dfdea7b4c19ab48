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
