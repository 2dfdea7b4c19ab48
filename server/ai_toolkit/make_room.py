"""Gives the running replica's GPU back where a new revision would wait for it for ever."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from ai_toolkit.plan_provision import Outlook, Plan, Site
from ai_toolkit.ui import Ui

if TYPE_CHECKING:
    from ai_toolkit.azure.container_apps import ContainerApps


@asynccontextmanager
async def room_for_revision(site: Site, plan: Plan, outlook: Outlook, ui: Ui) -> AsyncIterator[None]:
    """While a new revision is made, the old one does not run if the quota has no room for both.

    A new revision starts before the old one ends. Afterwards the old one runs again unless there is a new one.
    """
    name = plan.settings.names["acaAppName"]
    changes = any(one.id.lower().endswith(f"/containerapps/{name.lower()}") for one in outlook.preview.modify)
    full = outlook.quota is not None and outlook.quota.used >= outlook.quota.limit
    if not full or not plan.existing.app or not changes:
        yield
        return
    async with site.cloud.container_apps(site.place.subscription, site.place.resource_group) as apps:
        before = (await apps.app(name)).active_revision
        if not await apps.replicas(name, before):
            yield
            return
        ui.announce(f"The GPU quota has no room for two replicas: {before} ends before the new revision starts.")
        await apps.deactivate(name, before)
        try:
            yield
        finally:
            await _run_again(apps, name, before)


async def _run_again(apps: "ContainerApps", name: str, before: str) -> None:
    if (await apps.app(name)).active_revision == before:
        await apps.activate(name, before)
