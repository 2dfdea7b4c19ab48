"""`aitk chat`: one question, or a conversation."""

import sys
from typing import TYPE_CHECKING, Final

import click

from ai_toolkit.cli.dialogs import TerminalUi
from ai_toolkit.cli.options import common
from ai_toolkit.cli.outcome import run
from ai_toolkit.cli.road import example
from ai_toolkit.errors import AiToolkitError, Dismissed
from ai_toolkit.ui import Tone
from ai_toolkit.workspace.workspace import Workspace

if TYPE_CHECKING:
    from ai_toolkit.endpoint.talk import Talk

_CONTROLS: Final = dict.fromkeys((*range(9), *range(11, 32), 127, *range(128, 160)))
"""What a terminal would obey; a model may write it."""
_HOW_TO_END: Final = "Ask something. Ctrl+D ends the conversation."


@click.command(epilog=example('aitk chat "What is the capital of Japan?"', "aitk chat"))
@click.argument("message", required=False)
@click.option("--model", metavar="NAME", help="A name that aitk models lists; default: the fine-tuned model.")
@common
def chat(message: str | None, *, model: str | None, workspace: Workspace, as_json: bool) -> None:
    """Ask the model, or without a MESSAGE talk with it."""
    if message is None and not sys.stdin.isatty():
        message = sys.stdin.read().strip() or None
        if message is None:
            raise click.UsageError("There is no message, and no terminal to talk on.")
    if message is None and as_json:
        raise click.UsageError("--json needs a message.")
    if message is not None and not message.strip():
        raise click.UsageError("The message is empty.")

    async def work(ui: TerminalUi) -> dict[str, str]:
        from ai_toolkit.endpoint.talk import open_talk  # noqa: PLC0415  (keeps --help quick)

        async with open_talk(workspace, model, ui) as talk:
            if message is None:
                await _talk_on(talk, ui)
                return {"answer": ""}
            return {"answer": await _answer(talk, message, ui)}

    run(work, as_json=as_json)


async def _answer(talk: "Talk", message: str, ui: TerminalUi) -> str:
    """The answer, printed as it comes."""
    pieces: list[str] = []
    async for piece in talk.answer(message):
        pieces.append(piece)
        ui.piece(_plain(piece))
    ui.piece("\n")
    return "".join(pieces)


async def _talk_on(talk: "Talk", ui: TerminalUi) -> None:
    ui.announce(_HOW_TO_END)
    while True:
        try:
            message = ui.ask_line("> ")
        except Dismissed:  # Ctrl+C at the prompt ends it, too
            message = None
        if message is None:
            ui.piece("\n")
            return
        if not message.strip():
            continue
        try:
            await _answer(talk, message, ui)
        except AiToolkitError as error:  # the conversation goes on
            ui.piece("\n")
            ui.announce(error.in_brief, Tone.BAD)


def _plain(text: str) -> str:
    return text.translate(_CONTROLS) if sys.stdout.isatty() else text
