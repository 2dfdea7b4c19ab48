"""Text from tokens, piece by piece."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from ai_toolkit.workspace.sample.workspace import place_sample
from aitk_app.engine.text import TextStream

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
