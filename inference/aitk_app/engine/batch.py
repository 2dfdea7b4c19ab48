"""Who runs, and in which slot of the cache: the arithmetic of one running batch, without a thread or a tensor.

The rows of the batch are the slots of the cache: first those that are answering, then those whose prompt is still being
read. A plan says what the next pass reads; whoever made the pass tells `done`. What has to be moved in the cache so
that the rows stay together comes back as a list of `Move`s, to be made in their order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

WORTH_SHARING = 16  # tokens: fewer are read as quickly as they are copied


class Row:
    """A running request as the batch sees it; its place in the list is its slot in the cache."""

    def __init__(self, prompt: Sequence[int], adapter: Any) -> None:  # noqa: ANN401 - only its identity matters here
        self.prompt = prompt
        self.adapter = adapter  # kept until the row's end, whatever is loaded under that name meanwhile
        self.length = 0  # tokens in the cache
        self.last = 0  # the newest token, not yet in the cache

    @property
    def unread(self) -> int:
        """Tokens of the prompt that are not in the cache."""
        return len(self.prompt) - self.length

    def shares(self, other: Row) -> int:
        """How many tokens both prompts begin with, short of this one's last; 0 for rows of different adapters."""
        if self.adapter is not other.adapter:
            return 0
        low, high = 0, min(len(self.prompt) - 1, len(other.prompt))
        while low < high:  # comparing slices is quick, comparing tokens is not
            middle = (low + high + 1) // 2
            if self.prompt[low:middle] == other.prompt[low:middle]:
                low = middle
            else:
                high = middle - 1
        return low


class Move(NamedTuple):
    """The first `length` tokens of slot `source` have to be copied over slot `target`."""

    source: int
    target: int
    length: int


class Reading(NamedTuple):
    """What a row reads of its prompt in the next pass; with `copied_from` it has the tokens before from that slot."""

    start: int
    tokens: Sequence[int]
    copied_from: int | None


RowT = TypeVar("RowT", bound=Row)


@dataclass
class Plan(Generic[RowT]):
    """The next pass: one token for each row of `answering` (slots 0, 1, …), and behind them what `reading` reads."""

    answering: list[RowT]
    reading: list[tuple[RowT, Reading]]
    moves: list[Move] = field(default_factory=list)
    shared_tokens: int = 0

    @property
    def rows(self) -> list[RowT]:
        """All rows of the pass, in the order of their slots."""
        return [*self.answering, *(row for row, _ in self.reading)]


class Batch(Generic[RowT]):
    """The rows that run, in the order of their slots."""

    def __init__(self) -> None:
        self.rows: list[RowT] = []
        self._answering = 0  # how many of the rows, from the front, have read their prompt

    def add(self, row: RowT) -> None:
        """A row whose prompt is to be read."""
        self.rows.append(row)

    def clear(self) -> None:
        """No rows any more."""
        self.rows, self._answering = [], 0

    def plan(
        self, prompt_tokens: int, *, whole_prompts: bool = False, kept: Sequence[tuple[int, Row]] = ()
    ) -> Plan[RowT]:
        """The next pass, with at most `prompt_tokens` of prompts in it, the last one possibly in part.

        A beginning that another row has read already or reads in this pass, such as the system prompt, or that `kept`
        has in its slots, is copied from there. Rows that read come to the front of those that wait to.
        """
        unread = self.rows[self._answering :]
        moves = []
        begun = next((place for place, row in enumerate(unread) if row.length), 0)  # the only one, if any
        if begun:
            moves.append(Move(self._answering + begun, self._answering, unread[begun].length))
            unread.insert(0, unread.pop(begun))
            self.rows[self._answering :] = unread
        left, shared_tokens = prompt_tokens, 0
        reading: list[tuple[RowT, Reading]] = []
        for row in unread:
            if left <= 0:
                break
            source, start = self._most_shared(row, reading, kept)
            piece = row.prompt[start:] if whole_prompts else row.prompt[start : start + left]
            left -= len(piece)
            shared_tokens += start - row.length
            reading.append((row, Reading(start, piece, source)))
        return Plan(self.rows[: self._answering], reading, moves, shared_tokens)

    def _most_shared(
        self, row: RowT, reading: list[tuple[RowT, Reading]], kept: Sequence[tuple[int, Row]]
    ) -> tuple[int | None, int]:
        """The slot to copy the longest beginning of the row's prompt from, if any, and how many tokens it then has."""
        if row.length:  # it is being read already
            return None, row.length
        held: list[tuple[int, Row, int]] = [
            *((slot, other, other.length) for slot, other in kept),
            *((slot, other, other.length) for slot, other in enumerate(self.rows[: self._answering])),
            *(
                (self._answering + place, other, read.start + len(read.tokens))
                for place, (other, read) in enumerate(reading)
            ),
        ]
        shared, source = max(((min(row.shares(other), length), slot) for slot, other, length in held), default=(0, 0))
        return (source, shared) if shared >= WORTH_SHARING else (None, 0)

    def done(self, plan: Plan[RowT]) -> list[RowT]:
        """The rows that get their next token now that `plan`'s pass was made."""
        for row in plan.answering:
            row.length += 1
        for row, read in plan.reading:
            row.length = read.start + len(read.tokens)
        rows = plan.rows
        if rows and rows[-1].unread > 0:  # a piece of a long prompt; only the last can be one
            rows.pop()
        self._answering = len(rows)
        return rows

    def remove(self, rows: Sequence[RowT]) -> list[Move]:
        """Free the rows' slots: the last answering row moves into the hole, and the last row into its place."""
        moves: list[Move] = []
        for row in rows:
            hole = self.rows.index(row)
            if hole < self._answering:
                self._answering -= 1
                self._move(self._answering, hole, moves)
                hole = self._answering
            self._move(len(self.rows) - 1, hole, moves)
            self.rows.pop()
        return moves

    def _move(self, source: int, target: int, moves: list[Move]) -> None:
        if source != target:
            row = self.rows[source]
            if row.length:
                moves.append(Move(source, target, row.length))
            self.rows[target] = row
