"""From tokens to text, piece by piece: no character is cut, and no stop text leaks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenizers.decoders import DecodeStream

if TYPE_CHECKING:
    from tokenizers import Tokenizer


class TextStream:
    """One answer's text: what can be shown after each token."""

    def __init__(self, tokenizer: Tokenizer, stop: tuple[str, ...]) -> None:
        self._tokenizer = tokenizer
        self._decoder = DecodeStream(skip_special_tokens=True)
        self._stop = stop
        self._held = ""
        self.stopped = False

    @property
    def holding(self) -> bool:
        """Whether text is held back."""
        return bool(self._held)

    def push(self, token: int) -> str:
        """The text that is certain after `token`; sets `stopped` when a stop text came."""
        self._held += self._decoder.step(self._tokenizer, token) or ""
        found = [place for each in self._stop if (place := self._held.find(each)) >= 0]
        if found:
            self.stopped = True
            return self._take(min(found), drop_rest=True)
        return self._take(len(self._held) - self._possible_stop())

    def finish(self) -> str:
        """What was held back, at the end of the answer."""
        return self._take(len(self._held))

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
