"""The mount of the share: its definition in the environment holds an account key, and somebody may have renewed that.

Azure never shows which key a definition holds. What it shows is when an account's keys were made: as long as nobody has
renewed one, both at the same moment.
"""

import json
import logging
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from azure.core.exceptions import HttpResponseError

from ai_toolkit.azure.storage import StorageAccount
from ai_toolkit.endpoint.address import OwnApp
from ai_toolkit.errors import CloudError
from ai_toolkit.two_faces import Do, to
from ai_toolkit.ui import Ui
from ai_toolkit.workspace.located import Located

if TYPE_CHECKING:
    from ai_toolkit.azure.container_apps import ContainerApps
    from ai_toolkit.azure.file_share import FileShare

log = logging.getLogger(__name__)

_MARK: Final = PurePosixPath(".aitk/mount.json")
_MANIFEST: Final = PurePosixPath(".aitk/manifest.json")


async def renew_mount_key(  # noqa: PLR0913  (the definitions, the account, its key, where it is remembered, who is told)
    apps: "ContainerApps",
    environment_id: str,
    storages: Iterable[str],
    *,
    account: StorageAccount,
    key: str,
    share: "FileShare",
    ui: Ui,
) -> tuple[str, ...]:
    """Puts the definitions of `storages` again where a key of the account was renewed since; their names.

    What was put is remembered on the share, once a deploy has been there. Replicas that run keep their connection until
    it is lost; one that starts mounts with the new key.
    """
    if not account.keys_renewed or await _remembered(share) == account.keys_renewed:
        return ()
    put = []
    for name in storages:
        try:
            if await apps.renew_storage_key(environment_id, name, account.name, key):
                put.append(name)
        except HttpResponseError as error:
            log.warning("storage definition %s: %s", name, error.message)
            ui.announce(
                f"A key of {account.name} was renewed, and the storage definition {name} may still hold the old one; "
                f"it could not be put again: {error.error.code if error.error else error.status_code}. A replica that "
                "starts cannot mount the share with the old key."
            )
            return tuple(put)
    if put:
        ui.announce(f"A key of {account.name} was renewed: {', '.join(put)} got the present one, for the next mount.")
        if await share.read(_MANIFEST) is not None:  # .aitk without it would mean a first deploy that has not finished
            await share.write(_MARK, json.dumps({"keysRenewed": account.keys_renewed}).encode())
    return tuple(put)


async def raise_if_mounts_another(own: OwnApp) -> None:
    """Raises CloudError where the app mounts another share than the target's: what is sent would not be loaded."""
    volumes = own.app.template.get("volumes") or ()
    names = [str(one.get("storageName")) for one in volumes if one.get("storageType") == "AzureFile"]
    located = Located.of(own.app.environment_id, own.target.subscription, own.target.resource_group)
    try:
        environment = await own.apps.environment(located.name, located.group) if names else None
    except HttpResponseError as error:
        log.warning("environment %s: %s", located.name, error.message)
        return
    if environment is None:
        return
    wanted = (own.target.account.name.lower(), own.target.file_share.lower())
    mounted = {name: environment.storages.get(name) for name in names}
    if any(one is not None and (one[0].lower(), one[1].lower()) == wanted for one in mounted.values()):
        return
    told = "; ".join(
        f"the storage definition {name} of {environment.name} "
        + (f"names {one[1]} of {one[0]}" if one else "is not there")
        for name, one in mounted.items()
    )
    raise CloudError(
        f"{own.app.name} does not mount the file share {own.target.file_share} of {own.target.account.name}: {told}.",
        f"{to(Do.PROVISION_PUTTING_BACK)} puts back what Provision made; or name that share in {own.config_path.name}.",
    )


async def renew_mount_key_of(own: OwnApp, share: "FileShare", ui: Ui) -> None:
    """`renew_mount_key` for what the app mounts of the target's account."""
    target = own.target
    volumes = own.app.template.get("volumes") or ()
    storages = [str(one.get("storageName")) for one in volumes if one.get("storageType") == "AzureFile"]
    async with own.cloud.storage(target.account.subscription, target.account.group) as storage:
        account = await storage.account(target.account.name)
        if account is None or not account.keys_renewed or not storages:
            return
        key = await storage.key(account.name)
    await renew_mount_key(own.apps, own.app.environment_id, storages, account=account, key=key, share=share, ui=ui)


async def _remembered(share: "FileShare") -> str:
    try:
        found = json.loads(await share.read(_MARK) or b"{}")
    except ValueError:
        return ""
    return str(found.get("keysRenewed")) if isinstance(found, dict) else ""
