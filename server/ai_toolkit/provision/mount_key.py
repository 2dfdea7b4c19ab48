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
    account_at = plan.settings.located("storageAccountName", place.subscription, place.resource_group)
    async with site.cloud.storage(account_at.subscription, account_at.group) as storage:
        key = await storage.key(account.name)
    async with (
        site.cloud.container_apps(place.subscription, place.resource_group) as apps,
        FileShare.open(account.file_endpoint, account.name, key, str(plan.settings.value("fileShareName"))) as share,
    ):
        storages = [str(plan.settings.value("acaEnvironmentStorageName"))]
        await renew_mount_key(apps, existing.environment_id, storages, account=account, key=key, share=share, ui=ui)


async def put_missing_definition(site: Site, plan: Plan, ui: Ui) -> None:
    """Makes the storage definition that an environment of another group lacks; the template reaches only its own group.

    Raises HttpResponseError.
    """
    existing, place, settings = plan.existing, site.place, plan.settings
    if not existing.definition_to_put or existing.environment is None or existing.account is None:
        return
    account_at = settings.located("storageAccountName", place.subscription, place.resource_group)
    async with site.cloud.storage(account_at.subscription, account_at.group) as storage:
        key = await storage.key(account_at.name)
    name, share = (str(settings.value(one)) for one in ("acaEnvironmentStorageName", "fileShareName"))
    ui.report(f"adding the storage definition {name} to {existing.environment.name}", 5)
    environment_at = settings.located("acaEnvironmentName", place.subscription, place.resource_group)
    async with site.cloud.container_apps(environment_at.subscription, environment_at.group) as apps:
        await apps.put_storage(existing.environment, name, account_at.name, key, share)
    ui.announce(f"Added the storage definition {name} to {existing.environment.name} in {environment_at.group}.")
