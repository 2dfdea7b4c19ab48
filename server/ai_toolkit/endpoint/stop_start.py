"""Use-cases: stop the app, so that nothing runs and nothing is billed, and start it again."""

from dataclasses import dataclass

from ai_toolkit.azure.container_app import Rest
from ai_toolkit.command_titles import Title
from ai_toolkit.endpoint.address import open_app
from ai_toolkit.endpoint.what_runs import start as start_app
from ai_toolkit.ui import Ui, confirm
from ai_toolkit.workspace.workspace import Workspace


@dataclass(frozen=True)
class Switched:
    """The app, and whether something was changed: an app that was so already is left alone."""

    app: str
    changed: bool


async def stop(workspace: Workspace, ui: Ui) -> Switched:
    """Stops the app: its replicas end, and no request starts one until it is started again. Raises Dismissed."""
    async with open_app(workspace) as own:
        app = own.app
        if app.stopped:
            ui.announce(f"{app.name} is stopped already: nothing runs.")
            return Switched(app.name, changed=False)
        question = f"Stop {app.name}? Its replicas end, and no request starts one until it is started again."
        await confirm(ui, question, f"Stop {app.name}", detail=str(Title.START))
        ui.report(f"stopping {app.name}", 50)
        await own.apps.stop(app.name)
        billed = "" if own.target.local else " No GPU is billed."
        ui.announce(f"{app.name} is stopped.{billed} Start it again with aitk start ({Title.START}).")
        return Switched(app.name, changed=True)


async def start(workspace: Workspace, ui: Ui) -> Switched:
    """Starts an app that was stopped, or whose revisions were deactivated; requests wake it then."""
    async with open_app(workspace) as own:
        app = own.app
        if app.rest not in {Rest.STOPPED, Rest.DEACTIVATED}:
            ui.announce(f"{app.name} is not stopped.")
            return Switched(app.name, changed=False)
        revision = await start_app(own.apps, app, ui)
        ui.announce(f"{app.name} is started: {revision} answers, and sleeps again when nobody asks.")
        return Switched(app.name, changed=True)
