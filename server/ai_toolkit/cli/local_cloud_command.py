"""`aitk local-cloud` and `aitk demo`: what runs on this computer alone."""

import asyncio
import webbrowser
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ai_toolkit.cli.dialogs import TerminalUi
from ai_toolkit.cli.options import common, yes_option
from ai_toolkit.cli.outcome import run
from ai_toolkit.cli.road import example
from ai_toolkit.cli.show_results import show_demo
from ai_toolkit.errors import LocalCloudFailed
from ai_toolkit.local_cloud import control
from ai_toolkit.ui import Tone, confirm
from ai_toolkit.workspace.workspace import Workspace

if TYPE_CHECKING:
    from ai_toolkit.cli.demo import Shown


@dataclass(frozen=True)
class _Done:
    """What is true after the action, and a sentence about it."""

    now: control.LocalCloudStatus
    says: str

    def as_json(self) -> dict[str, Any]:
        return {
            "running": self.now.running,
            "resourceManager": self.now.resource_manager,
            "files": self.now.files,
            "home": str(self.now.home),
            "tokenFile": str(self.now.token_file),
            "apps": [
                {
                    "endpoint": app.url if app.port else None,
                    "app": app.name,
                    "resourceGroup": app.resource_group,
                    "workspace": app.workspace,
                }
                for app in self.now.apps
            ],
        }


@click.command("local-cloud", epilog=example("aitk local-cloud status", "aitk local-cloud stop"))
@click.argument("action", type=click.Choice(["start", "stop", "status", "reset"]))
@click.option("--tls", is_flag=True, help="With start: also answer by https, for the Azure CLI.")
@yes_option
@common
def local_cloud(action: str, *, tls: bool, yes: bool, workspace: Workspace, as_json: bool) -> None:
    """Start, stop, look at or empty the local cloud, which stands in for Azure on this computer.

    For tests it misbehaves on demand: POST a fault, a JSON object, to /local-cloud/faults at its address with its
    token; `python -m pydoc ai_toolkit.local_cloud.faults` lists them.
    """
    del workspace
    if tls and action != "start":
        raise click.UsageError("--tls goes with start.")

    async def work(ui: TerminalUi) -> _Done:
        home, says = control.home(), ""
        try:
            if action == "start":
                await control.start(home, tls=tls)
            elif action == "stop":
                says = "Stopped." if await control.stop(home) else "The local cloud was not running."
            elif action == "reset":
                await _agree_to_reset(home, ui)
                await control.reset(home)
                says = "The local cloud is stopped and empty."
            found = await control.status(home)
        except control.LocalCloudError as error:
            raise LocalCloudFailed(error.message, error.advice) from error
        running = "\n".join((f"Running: {found.resource_manager}", *map(_in_words, found.apps)))
        return _Done(found, says or (running if found.running else "Not running."))

    run(work, as_json=as_json, agreed=yes, show=lambda done, ui: ui.result(done.says))


async def _agree_to_reset(home: Path, ui: TerminalUi) -> None:
    """Says what goes, and asks. Raises Dismissed, or UsageError where nobody can be asked."""
    held = await asyncio.to_thread(control.held, home)
    if not held.apps and not held.files:
        return
    ui.announce(f"This ends and deletes everything in {home}:", Tone.WARNING)
    for name in held.apps:
        ui.announce(f"    the container app {name}, with its key and revisions")
    ui.announce(f"    {held.files} files on its shares, {held.bytes / 1e6:.0f} MB, and every log")
    ui.announce("Its token and the replicas' Python packages stay. Your workspaces are not touched.")
    await confirm(ui, "Delete it?", "Delete", detail="it cannot be brought back")


@click.command(epilog=example("aitk demo", "aitk demo --once --no-browser"))
@click.option("--directory", type=click.Path(file_okay=False, path_type=Path), help="The sample workspace.")
@click.option("--once", is_flag=True, help="Stop everything at the end.")
@click.option("--no-browser", is_flag=True, help="Do not open the chat page.")
@yes_option
@common
def demo(  # noqa: PLR0913  (click passes each option)
    *, directory: Path | None, once: bool, no_browser: bool, yes: bool, workspace: Workspace, as_json: bool
) -> None:
    """Walk the whole road on this computer: provision, deploy, and ask the base and the fine-tuned model."""
    del workspace

    async def work(ui: TerminalUi) -> "Shown":
        from ai_toolkit.cli.demo import demo as use_case  # noqa: PLC0415  (keeps --help quick)

        return await use_case(ui, directory, once=once)

    def show(shown: "Shown", ui: TerminalUi) -> None:
        show_demo(shown, ui)
        if shown.link is not None and not no_browser:
            webbrowser.open(shown.link)

    run(work, as_json=as_json, agreed=yes, show=show)


def _in_words(app: control.LocalApp) -> str:
    of = f", of {app.workspace}" if app.workspace else ""
    return f"    {app.url}: {app.name} in {app.resource_group}{of}"
