"""What ended requests left in the cache, so that a conversation's next turn need not read the earlier ones again.

The arithmetic only, without a thread or a tensor: places are slots of the cache behind those of the running rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aitk_app.engine.batch import WORTH_SHARING, Move, Row

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


class Kept:
    """Up to `places` contents, in slots from `first` on; the one that was not used for longest makes room."""

    def __init__(self, first: int, places: int) -> None:
        self._free = list(range(first + places - 1, first - 1, -1))
        self._rows: dict[int, Row] = {}  # by slot, the least recently used one first
        self.slots = first + places if places else 0  # that the cache needs for it

    @property
    def rows(self) -> list[tuple[int, Row]]:
        """Each content with its slot."""
        return list(self._rows.items())

    def keep(self, source: int, tokens: Sequence[int], adapter: Any) -> list[Move]:  # noqa: ANN401 - its identity matters
        """Keep `tokens`, which slot `source` holds for `adapter`; the copy to be made, if it is worth one."""
        row = Row(list(tokens), adapter)
        row.length = len(row.prompt)
        if not self.slots or row.length < WORTH_SHARING:
            return []
        for slot, other in self.rows:
            if other.adapter is not adapter:
                continue
            if other.prompt[: row.length] == row.prompt:  # it is there, perhaps with more
                self.used(slot)
                return []
            if row.prompt[: other.length] == other.prompt:  # the same conversation, a turn ago
                self._drop(slot)
        if not self._free:
            self._drop(next(iter(self._rows)))
        slot = self._free.pop()
        self._rows[slot] = row
        return [Move(source, slot, row.length)]

    def used(self, slot: int | None) -> None:
        """The content of this slot was just used; other slots than these are none of its business."""
        if slot in self._rows:
            self._rows[slot] = self._rows.pop(slot)

    def only(self, adapters: Collection[Any]) -> None:
        """Let go of what belongs to other adapters than these, and keep the base model's."""
        there = {id(each) for each in adapters}
        for slot, row in self.rows:
            if row.adapter is not None and id(row.adapter) not in there:
                self._drop(slot)

    def clear(self) -> None:
        """Nothing is there any more."""
        for slot, _ in self.rows:
            self._drop(slot)

    def _drop(self, slot: int) -> None:
        del self._rows[slot]
        self._free.append(slot)
