"""Several questions as one: each may lead back to the one before it."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from ai_toolkit.ui import Input, Pick, Ui, WentBack

Result = TypeVar("Result")


class Wizard:
    """Asks in the order in which a function asks, which is run again from its start after Back.

    The answers before the last one are kept, so only the last is asked again. What the function looks up it should
    therefore keep.
    """

    def __init__(self, ui: Ui) -> None:
        self._ui = ui
        self._answers: list[str] = []
        self._place = 0
        self._typed: dict[str, str] = {}

    async def run(self, questions: Callable[[], Awaitable[Result]]) -> Result:
        """What the function returns when nobody goes back any more."""
        while True:
            self._place = 0
            try:
                return await questions()
            except WentBack:
                self._answers.pop()

    async def pick(self, question: Pick, *, following: int = 0) -> str:
        """The chosen item's id; at least so many questions are `following`. Raises Dismissed, UsageError."""
        if self._place == len(self._answers):
            step = self._place + 1
            shown = replace(question, step=step, steps=step + following, can_go_back=step > 1)
            self._answers.append(await self._ui.pick(shown))
        return self._next()

    async def input(self, question: Input, *, following: int = 0) -> str:
        """The text that was typed, which stands in the box again after Back. Raises Dismissed, UsageError."""
        if self._place == len(self._answers):
            step = self._place + 1
            value = self._typed.get(question.prompt, question.value)
            shown = replace(question, value=value, step=step, steps=step + following, can_go_back=step > 1)
            self._answers.append(await self._ui.input(shown))
            self._typed[question.prompt] = self._answers[-1]
        return self._next()

    @property
    def place(self) -> int:
        """How many questions have been answered."""
        return self._place

    def return_to(self, place: int) -> None:
        """Forgets the answers after that many."""
        del self._answers[place:]
        self._place = place

    def _next(self) -> str:
        self._place += 1
        return self._answers[self._place - 1]
