"""From tokens to text, piece by piece: together the pieces are what `decode` of the whole answer gives.

No character is cut, and no stop text leaks. A piece is decoded together with the tokens of the piece before it, because
a tokenizer may write a token in another way at the beginning of a text. Special tokens vanish whole: with those that
open a channel or a turn goes its name, which is ordinary text up to the token that closes it.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_CUT = "\ufffd"  # what an incomplete character looks like
_CONTEXT_TOKENS = 6
# What opens a name that is not said, and what ends it: of gpt-oss, Llama 3 and Gemma 4.
_NAMED = {
    "<|channel|>": "<|message|>",
    "<|start|>": "<|message|>",
    "<|start_header_id|>": "<|end_header_id|>",
    "<|channel>": "\n",
}
_LONGEST_NAME_TOKENS = 32  # what is longer is no name, but what was meant to be said


class TokenBytes:
    """What each token of a vocabulary writes, as bytes: part of a character where it is only that."""

    def __init__(self, tokenizer: Any) -> None:  # noqa: ANN401 - of transformers
        self._tokenizer = tokenizer
        fast = getattr(tokenizer, "backend_tokenizer", None)
        self._added = {token: str(each) for token, each in tokenizer.added_tokens_decoder.items()}
        # The decoder says in which alphabet the vocabulary is written.
        decoder = fast.decoder.__getstate__() if fast is not None and fast.decoder is not None else b""
        self._byte_level = b'"ByteLevel"' in decoder
        self._marks_spaces = fast is None or "\u2581".encode() in decoder or b'"Metaspace"' in decoder

    def of(self, token: int) -> bytes:
        """The bytes of one token."""
        if token in self._added:
            return self._added[token].encode()
        written = self._tokenizer.convert_ids_to_tokens(token)
        if not isinstance(written, str):
            return b""
        if match := _BYTE.fullmatch(written):
            return bytes([int(match[1], 16)])
        if self._byte_level:
            return b"".join(_alphabet()[each] if each in _alphabet() else each.encode() for each in written)
        return (written.replace("\u2581", " ") if self._marks_spaces else written).encode()


@functools.cache
def _alphabet() -> dict[str, bytes]:
    """The characters in which byte-level vocabularies write bytes. Source: GPT-2's encoder.py."""
    shown = [*range(ord("!"), ord("~") + 1), *range(ord("\xa1"), ord("\xac") + 1), *range(ord("\xae"), ord("\xff") + 1)]
    others = [byte for byte in range(256) if byte not in shown]
    named = {chr(byte): bytes([byte]) for byte in shown}
    return named | {chr(256 + place): bytes([byte]) for place, byte in enumerate(others)}


class TextStream:
    """One answer's text: what can be shown after each token.

    `before` are the last tokens of a text that the answer continues; an answer of its own has none.
    """

    def __init__(
        self,
        tokenizer: Any,  # noqa: ANN401 - of transformers
        stop: tuple[str, ...],
        before: Sequence[int] = (),
        *,
        skip_special: bool = True,
    ) -> None:
        fast = getattr(
            tokenizer, "backend_tokenizer", None
        )  # several times as quick, where nothing is tidied up after it
        plain = fast is not None and not getattr(tokenizer, "clean_up_tokenization_spaces", False)
        self._decode: Callable[..., str] = fast.decode if fast is not None and plain else tokenizer.decode
        self._token: Callable[[int], str | None] = tokenizer.convert_ids_to_tokens if fast is None else fast.id_to_token
        self._skip_special = skip_special
        self._context = list(before[-_CONTEXT_TOKENS:])
        self._context_text = self._decoded(self._context)
        self._pending: list[int] = []
        self._openers = self._find_openers(tokenizer) if skip_special else {}
        self._closer: str | None = None  # what ends the name that is under way
        self._name: list[int] = []
        self._stop = stop
        self._held = ""
        self.stopped = False

    @property
    def holding(self) -> bool:
        """Whether text is held back."""
        return bool(self._held or self._pending)

    def push(self, token: int) -> str:
        """The text that is certain after `token`; sets `stopped` when a stop text came."""
        if token in self._openers:
            self._decode_pending(final=True)
            self._closer, self._name = self._openers[token], []
        elif self._closer is not None:
            self._go_on_with_name(token, self._closer)
        else:
            self._pending.append(token)
            if not self._is_byte(token):
                self._decode_pending(final=False)
        return self._certain()

    def _find_openers(self, tokenizer: Any) -> dict[int, str]:  # noqa: ANN401 - of transformers
        """By token, what closes the name that it opens; only of tokens that are special here."""
        known = {name: token for name in _NAMED if (token := self._id(tokenizer, name)) is not None}
        return {token: _NAMED[name] for name, token in known.items() if not self._decoded([token])}

    @staticmethod
    def _id(tokenizer: Any, name: str) -> int | None:  # noqa: ANN401 - of transformers
        fast = getattr(tokenizer, "backend_tokenizer", None)
        found: int | None = fast.token_to_id(name) if fast is not None else tokenizer.get_added_vocab().get(name)
        return found

    def _go_on_with_name(self, token: int, closer: str) -> None:
        self._name.append(token)
        if self._token(token) == closer:
            self._closer = None
        elif closer == "\n" and "\n" in (text := self._decoded([token])):
            self._closer = None
            self._held += text.partition("\n")[2]
        elif len(self._name) > _LONGEST_NAME_TOKENS:
            self._closer, self._pending = None, self._name
            self._decode_pending(final=False)

    def finish(self) -> str:
        """What was held back, at the end of the answer."""
        self._decode_pending(final=True)
        if text := self._certain():
            return text + ("" if self.stopped else self._take(len(self._held)))
        return "" if self.stopped else self._take(len(self._held))

    def _decode_pending(self, *, final: bool) -> None:
        if not self._pending:
            return
        text = self._decoded([*self._context, *self._pending])
        new = text[len(self._context_text) :]
        if not final and (not new or new.endswith(_CUT)):
            return  # what writes nothing yet, such as a space that a text does not begin with, may with the next token
        self._held += new
        self._context = self._pending
        self._context_text = self._decoded(self._context)
        self._pending = []

    def _certain(self) -> str:
        found = [place for each in self._stop if (place := self._held.find(each)) >= 0]
        if found:
            self.stopped = True
            self._pending = []
            return self._take(min(found), drop_rest=True)
        return self._take(len(self._held) - self._possible_stop())

    def _decoded(self, tokens: list[int]) -> str:
        return str(self._decode(tokens, skip_special_tokens=self._skip_special)) if tokens else ""

    def _is_byte(self, token: int) -> bool:
        """Whether the token is a byte of a character that the vocabulary does not have: it is decoded with the rest."""
        written = self._token(token)
        return isinstance(written, str) and _BYTE.fullmatch(written) is not None

    def _take(self, length: int, *, drop_rest: bool = False) -> str:
        taken = self._held[:length]
        self._held = "" if drop_rest else self._held[length:]
        return taken

    def _possible_stop(self) -> int:
        """How many characters at the end could be the beginning of a stop text."""
        longest = 0
        for each in self._stop:
            for length in range(min(len(each) - 1, len(self._held)), longest, -1):
                if self._held.endswith(each[:length]):
                    longest = length
                    break
        return longest
