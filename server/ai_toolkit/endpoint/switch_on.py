"""An app that no request reaches, because somebody switched its ingress off: switched on where a person agrees."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ai_toolkit.azure.container_app import ContainerApp, Reach
from ai_toolkit.azure.deployments import Refusal
from ai_toolkit.azure.json_value import value_at
from ai_toolkit.command_titles import Title
from ai_toolkit.endpoint.address import OwnApp, with_own_endpoint
from ai_toolkit.endpoint.asked_template import app_as_wanted, files_for
from ai_toolkit.endpoint.comparison import is_unsaid
from ai_toolkit.endpoint.what_runs import unreachable
from ai_toolkit.errors import AppAtRest, Dismissed, UsageError
from ai_toolkit.ui import Choice, Pick, Ui
from ai_toolkit.workspace.workspace import Workspace


async def offer_to_switch_on(
    workspace: Workspace, own: OwnApp, ui: Ui, title: Title, *, agreed: bool | None = None
) -> OwnApp:
    """The app as it is then: with the template's ingress, where that is wanted.

    One that is reached is left alone. `agreed` is the answer that was given already; where nobody can be asked it stays
    as it is. Raises Dismissed, and AppAtRest where the template has no other ingress.
    """
    app = own.app
    if app.reach is Reach.ANYWHERE or agreed is False:
        return own
    ingress = await _wanted_ingress(workspace, own, ui)
    if not ingress:
        advice = "The workspace's template has no other, or cannot be asked: change it there, or in the portal."
        raise AppAtRest(unreachable(app), advice)
    if not (agreed or await _agrees(app, ui, title)):
        return own
    ui.report(f"switching the ingress of {app.name} on", 10)
    await own.apps.update(app, {"configuration": {"ingress": ingress}})
    now = await own.apps.app(app.name)
    ui.announce(f"The ingress of {app.name} is switched on, as the template has it.")
    return await with_own_endpoint(replace(own, app=now))


async def _wanted_ingress(workspace: Workspace, own: OwnApp, ui: Ui) -> dict[str, Any]:
    """What lets requests in, as the template has it; empty where it does not, or cannot be asked."""
    files = await files_for(workspace, own.app, own.target)
    if files is None:
        return {}
    ui.report("asking what the template wants", 1)
    wanted = await app_as_wanted(own, *files)
    if wanted is None or isinstance(wanted, Refusal):
        return {}
    ingress = value_at(wanted, "properties", "configuration", "ingress")
    if not isinstance(ingress, Mapping) or ingress.get("external") is not True:
        return {}
    if own.app.reach is Reach.ENVIRONMENT:
        return {"external": True}  # what else it has may be of others
    return {key: value for key, value in ingress.items() if not is_unsaid(value)}


async def _agrees(app: ContainerApp, ui: Ui, title: Title) -> bool:
    items = (
        Choice("start", "Switch it on", "as the template has it; programs with the key reach it again"),
        Choice("leave", "Leave it as it is"),
        Choice("cancel", "Cancel"),
    )
    try:
        chosen = await ui.pick(Pick(title, unreachable(app), items, option="--start"))
    except UsageError:
        return False
    if chosen == "cancel":
        raise Dismissed
    return chosen == "start"
