"""What a use-case may ask or tell a person; the editor and the terminal each answer in their own way."""

from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol

from ai_toolkit.errors import Dismissed, UsageError


@dataclass(frozen=True)
class Choice:
    """One line of a pick: `id` comes back when it is chosen."""

    id: str
    label: str
    description: str = ""
    disabled: bool = False


@dataclass(frozen=True)
class Pick:
    """A question answered by one of `items`; `option` is the command-line option that answers it too."""

    title: str
    placeholder: str
    items: tuple[Choice, ...]
    step: int = 1
    steps: int = 1
    can_go_back: bool = False
    option: str = ""


@dataclass(frozen=True)
class Input:
    """A question answered by a line of text; `option` is the command-line option that answers it too.

    `pattern`, a regular expression for the whole answer, says what fits; `hint` says so in words.
    """

    title: str
    prompt: str
    value: str = ""
    password: bool = False
    step: int = 1
    steps: int = 1
    can_go_back: bool = False
    option: str = ""
    pattern: str | None = None
    hint: str | None = None


class Tone(Enum):
    """How an announcement is meant; a terminal gives each its colour, and shows details only where they are wanted."""

    PLAIN = "plain"
    DETAIL = "detail"
    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"
    NEXT = "next"


@dataclass(frozen=True)
class Line:
    """A line to be announced."""

    text: str
    tone: Tone = Tone.PLAIN


CLOSING: Final = "closing"
"""`task.cancel(CLOSING)`: the editor goes away; what runs in the cloud goes on, and the next run follows it."""


class WentBack(Exception):
    """The person chose Back: ask the previous question again."""


class Ui(Protocol):
    """A person, as a use-case sees one."""

    async def pick(self, question: Pick) -> str:
        """The chosen item's id. Raises Dismissed, WentBack, or UsageError where nobody can be asked."""

    async def input(self, question: Input) -> str:
        """The text that was typed. Raises as `pick` does."""

    def report(self, message: str, percentage: int | None = None) -> None:
        """Shows how far the work is; `percentage` of the whole, where known."""

    def announce(self, message: str, tone: Tone = Tone.PLAIN) -> None:
        """Tells something that stays readable afterwards. Never a key, a token or a signed link."""


class Silent:
    """Another Ui, for work that must ask nothing: a question is a UsageError that says which option answers it."""

    def __init__(self, ui: Ui) -> None:
        self._ui = ui

    async def pick(self, question: Pick) -> str:
        raise UsageError(f"{question.placeholder}: a preview asks nothing.", f"Answer with {question.option}.")

    async def input(self, question: Input) -> str:
        raise UsageError(f"{question.prompt}: a preview asks nothing.", f"Answer with {question.option}.")

    def report(self, message: str, percentage: int | None = None) -> None:
        self._ui.report(message, percentage)

    def announce(self, message: str, tone: Tone = Tone.PLAIN) -> None:
        self._ui.announce(message, tone)


async def confirm(ui: Ui, title: str, action: str, *, detail: str = "", option: str = "--yes") -> None:
    """Returns when the person agrees to `action`; raises Dismissed otherwise."""
    items = (Choice("yes", action, detail), Choice("no", "Cancel"))
    if await ui.pick(Pick(title=title, placeholder=title, items=items, option=option)) != "yes":
        raise Dismissed
