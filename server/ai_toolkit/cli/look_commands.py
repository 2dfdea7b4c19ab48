"""`aitk status`, `models`, `logs`, `key`, `link`: they look, and wake nothing."""

import asyncio
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import click

from ai_toolkit.cli.dialogs import TerminalUi
from ai_toolkit.cli.options import common
from ai_toolkit.cli.outcome import print_json, run
from ai_toolkit.cli.own_log import last_lines as own_last_lines
from ai_toolkit.cli.own_log import own_log
from ai_toolkit.cli.road import example
from ai_toolkit.workspace.workspace import Workspace

if TYPE_CHECKING:
    from ai_toolkit.deploy.offered_models import Models
    from ai_toolkit.deploy.status import Status

_OWN_LINES: Final = 200


@click.command(epilog=example("aitk status"))
@common
def status(*, workspace: Workspace, as_json: bool) -> None:
    """Tell what is provisioned, what runs, and what is newer here; wakes nothing."""

    async def work(_ui: TerminalUi) -> "Status":
        from ai_toolkit.deploy.status import look  # noqa: PLC0415  (keeps --help quick)

        return await look(workspace)

    def show(found: "Status", ui: TerminalUi) -> None:
        ui.result(found.in_words())
        if found.next_step:
            ui.next(found.next_step)

    run(work, as_json=as_json, show=show)


@click.command(epilog=example("aitk models"))
@common
def models(*, workspace: Workspace, as_json: bool) -> None:
    """List the models that the endpoint serves; wakes nothing."""

    async def work(_ui: TerminalUi) -> "Models":
        from ai_toolkit.deploy.offered_models import look_for_models  # noqa: PLC0415  (keeps --help quick)

        return await look_for_models(workspace)

    def show(found: "Models", ui: TerminalUi) -> None:
        for one in found.models:
            ui.result(f"{one.name or '(default)'}: {'fine-tuned' if one.fine_tuned else 'base model'}")
        ui.announce(found.detail)

    run(work, as_json=as_json, show=show)


@click.command(epilog=example("aitk logs", "aitk logs --follow", "aitk logs --own"))
@click.option("--follow", is_flag=True, help="Keep printing new lines until Ctrl+C, also those of the next replica.")
@click.option("--own", is_flag=True, help="The log of this program itself, for what an error's sentence does not tell.")
@common
def logs(*, follow: bool, own: bool, workspace: Workspace, as_json: bool) -> None:
    """Print the replica's log, or with --own this program's; wakes nothing."""
    if own and follow:
        raise click.UsageError("--own and --follow exclude each other.")

    if follow:
        run(lambda ui: _follow(workspace, ui, as_json=as_json), as_json=False)
        return

    async def work(_ui: TerminalUi) -> dict[str, list[str]]:
        if own:
            return {"lines": own_last_lines(_OWN_LINES)}
        from ai_toolkit.endpoint.logs import last_lines  # noqa: PLC0415  (keeps --help quick)

        return {"lines": await last_lines(workspace)}

    def show(found: dict[str, list[str]], ui: TerminalUi) -> None:
        if found["lines"]:
            ui.result("\n".join(found["lines"]))
        else:
            ui.announce("This program has logged nothing yet." if own else "No replica runs, so there is no log.")
        if own:
            ui.announce(f"The whole log: {own_log()}")

    run(work, as_json=as_json, show=show)


async def _follow(workspace: Workspace, ui: TerminalUi, *, as_json: bool) -> None:
    """Prints lines as they come; with JSON, an object for some at a time."""
    from ai_toolkit.endpoint.logs import follow_logs  # noqa: PLC0415  (keeps --help quick)

    def write(lines: list[str]) -> None:
        if as_json:
            print_json({"lines": lines})
            sys.stdout.flush()
        else:
            ui.result("\n".join(lines))

    with suppress(asyncio.CancelledError):  # Ctrl+C is how it ends
        await follow_logs(workspace, write)


@click.command(epilog=example("aitk key", 'export OPENAI_API_KEY="$(aitk key)"'))
@common
def key(*, workspace: Workspace, as_json: bool) -> None:
    """Print the endpoint's key and nothing else."""

    async def work(_ui: TerminalUi) -> dict[str, str]:
        from ai_toolkit.endpoint.address import endpoint_key  # noqa: PLC0415  (keeps --help quick)

        return {"key": await endpoint_key(workspace)}

    run(work, as_json=as_json, show=lambda found, _ui: click.echo(found["key"]))


@click.command(epilog=example("aitk link"))
@common
def link(*, workspace: Workspace, as_json: bool) -> None:
    """Print a link that opens the endpoint signed in; it is valid for five minutes."""

    async def work(_ui: TerminalUi) -> dict[str, str]:
        from ai_toolkit.endpoint.address import endpoint_key, own_endpoint  # noqa: PLC0415  (keeps --help quick)
        from ai_toolkit.endpoint.client import signed_link  # noqa: PLC0415  (keeps --help quick)

        endpoint, _key = await own_endpoint(workspace)
        return {"link": signed_link(endpoint, await endpoint_key(workspace))}

    run(work, as_json=as_json, show=lambda found, _ui: click.echo(found["link"]))
