"""Use-cases: stop the app, so that nothing runs and nothing is billed, and start it again."""

from dataclasses import dataclass

from ai_toolkit.azure.container_app import Rest
from ai_toolkit.command_titles import Title
from ai_toolkit.endpoint.address import open_app
from ai_toolkit.endpoint.switch_on import offer_to_switch_on
from ai_toolkit.endpoint.what_runs import start as start_app
from ai_toolkit.ui import Ui, confirm
from ai_toolkit.workspace.workspace import Workspace


@dataclass(frozen=True)
class Switched:
    """The app, and whether something was changed: an app that was so already is left alone.

    `revision` answers after a start that changed something; None otherwise.
    """

    app: str
    changed: bool
    stopped: bool
    local: bool
    revision: str | None = None

    def as_json(self) -> dict[str, str | bool]:
        return {"app": self.app, "changed": self.changed, "stopped": self.stopped}


async def stop(workspace: Workspace, ui: Ui) -> Switched:
    """Stops the app: its replicas end, and no request starts one until it is started again. Raises Dismissed."""
    async with open_app(workspace) as own:
        app = own.app
        if app.stopped:
            return Switched(app.name, changed=False, stopped=True, local=own.target.local)
        question = f"Stop {app.name}? Its replicas end, and no request starts one until it is started again."
        await confirm(ui, question, f"Stop {app.name}", detail=str(Title.START))
        ui.report(f"stopping {app.name}", 50)
        await own.apps.stop(app.name)
        return Switched(app.name, changed=True, stopped=True, local=own.target.local)


async def start(workspace: Workspace, ui: Ui) -> Switched:
    """Starts an app that was stopped, or whose revisions were deactivated, and switches on what was switched off.

    Requests reach it and wake it then.
    """
    named = workspace.named_target()
    async with open_app(workspace) as found:
        own = await offer_to_switch_on(workspace, found, ui, Title.START, agreed=True)
        app, is_switched_on = own.app, own.app is not found.app
        if is_switched_on and own.target != named:
            workspace.write_target(own.target)
        if is_switched_on and app.rest is None:
            return Switched(app.name, changed=True, stopped=False, local=own.target.local)
        if app.rest not in {Rest.STOPPED, Rest.DEACTIVATED}:
            return Switched(app.name, changed=False, stopped=False, local=own.target.local)
        revision = await start_app(own.apps, app, ui)
        return Switched(app.name, changed=True, stopped=False, local=own.target.local, revision=revision)
