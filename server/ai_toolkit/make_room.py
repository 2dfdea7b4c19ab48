"""Gives the running replica's GPU back where a new revision would wait for it for ever."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from ai_toolkit.errors import DeploymentFailed, Interrupted
from ai_toolkit.plan_provision import Outlook, Plan, Site
from ai_toolkit.ui import Ui

if TYPE_CHECKING:
    from ai_toolkit.azure.container_apps import ContainerApps


@asynccontextmanager
async def room_for_revision(site: Site, plan: Plan, outlook: Outlook, ui: Ui) -> AsyncIterator[None]:
    """While a new revision is made, the old one does not run if the quota has no room for both, or is not known.

    A new revision starts before the old one ends. Where the block fails, or makes no new revision, the old one runs
    again; where the editor closes, the deployment goes on and keeps the room.
    """
    name = plan.settings.names["acaAppName"]
    changes = any(one.id.lower().endswith(f"/containerapps/{name.lower()}") for one in outlook.preview.modify)
    changes |= outlook.preview.unknown
    full = outlook.quota is None or outlook.quota.used >= outlook.quota.limit
    if plan.profile is None or not plan.existing.app or not changes or not full:
        yield
        return
    async with site.cloud.container_apps(site.place.subscription, site.place.resource_group) as apps:
        before = (await apps.app(name)).active_revision
        if not await apps.replicas(name, before):
            yield
            return
        why = "is not known" if outlook.quota is None else "has no room for two replicas"
        ui.announce(f"The GPU quota {why}: {before} ends before the new revision starts.")
        await apps.deactivate(name, before)
        try:
            yield
        except DeploymentFailed:
            made = (await apps.app(name)).latest_revision
            if made != before:
                await apps.deactivate(name, made)
            await apps.activate(name, before)
            ui.announce(f"{before} runs again.")
            raise
        except Interrupted:
            await _run_again(apps, name, before)
            raise
        await _run_again(apps, name, before)


async def _run_again(apps: "ContainerApps", name: str, before: str) -> None:
    """Unless there is a new revision."""
    if (await apps.app(name)).latest_revision == before:
        await apps.activate(name, before)
