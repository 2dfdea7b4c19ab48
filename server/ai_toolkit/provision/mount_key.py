"""The key in an existing storage definition: put again where the account's was renewed, before anything is stopped."""

from ai_toolkit.azure.file_share import FileShare
from ai_toolkit.endpoint.mount import renew_mount_key
from ai_toolkit.provision.plan import Plan
from ai_toolkit.provision.request import Site
from ai_toolkit.ui import Ui


async def renew_mount(site: Site, plan: Plan, ui: Ui) -> None:
    """Looks whether the account's key was renewed since; a definition that is still to be made gets the present one."""
    existing, place = plan.existing, site.place
    account, environment = existing.account, existing.environment
    if account is None or environment is None or not (existing.file_share and existing.environment_storage):
        return
    if not (account.keys_renewed and account.shared_key and account.file_endpoint):
        return
    environment_id = f"{site.group_id}/providers/Microsoft.App/managedEnvironments/{environment.name}"
    async with site.cloud.storage(place.subscription, place.resource_group) as storage:
        key = await storage.key(account.name)
    async with (
        site.cloud.container_apps(place.subscription, place.resource_group) as apps,
        FileShare.open(account.file_endpoint, account.name, key, str(plan.settings.value("fileShareName"))) as share,
    ):
        storages = [str(plan.settings.value("acaEnvironmentStorageName"))]
        await renew_mount_key(apps, environment_id, storages, account=account, key=key, share=share, ui=ui)
