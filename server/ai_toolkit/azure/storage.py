"""Storage accounts: does one exist, its keys, its shares, where its file service is."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from azure.core.exceptions import ResourceNotFoundError
from azure.mgmt.storage.aio import StorageManagementClient
from azure.mgmt.storage.models import KeyCreationTime

from ai_toolkit.azure.connection import STORAGE_API_VERSION, Connection
from ai_toolkit.errors import ResourceMissing


@dataclass(frozen=True)
class StorageAccount:
    """A storage account; a file share of it can only be mounted where it takes its key (`shared_key`).

    `keys_renewed` tells when its keys were made, once one of them was renewed; empty while they are the first.
    `closed`: nobody gets in but by a private endpoint, of which it has `private_endpoints`. `only_from`: the addresses
    and networks that its rules let in; None where they let in everybody.
    """

    name: str
    location: str
    shared_key: bool
    file_endpoint: str
    keys_renewed: str = ""
    closed: bool = False
    private_endpoints: int = 0
    only_from: tuple[str, ...] | None = None


class Storage:
    """The storage accounts of one resource group, seen from the management plane."""

    def __init__(self, client: StorageManagementClient, group: str) -> None:
        self._client = client
        self._group = group

    @classmethod
    @asynccontextmanager
    async def open(cls, connection: Connection, subscription: str, group: str) -> "AsyncIterator[Storage]":
        client = connection.client(StorageManagementClient, subscription, api_version=STORAGE_API_VERSION)
        async with client:
            yield cls(client, group)

    async def file_endpoint(self, account: str) -> str:
        """Base URL of the account's file service. Raises ResourceMissing."""
        try:
            found = await self._client.storage_accounts.get_properties(self._group, account)
        except ResourceNotFoundError as error:
            raise ResourceMissing("storage account", account, self._group) from error
        endpoints = found.primary_endpoints
        if endpoints is None or not endpoints.file:
            raise ResourceMissing("file service of storage account", account, self._group)
        return str(endpoints.file).rstrip("/")

    async def key(self, account: str) -> str:
        """The account's first key. Raises ResourceMissing."""
        try:
            answer = await self._client.storage_accounts.list_keys(self._group, account)
        except ResourceNotFoundError as error:
            raise ResourceMissing("storage account", account, self._group) from error
        return str(answer["keys"][0]["value"])  # `.keys` is the dictionary's method

    async def account(self, account: str) -> StorageAccount | None:
        """The account, or None when there is none of that name in the group."""
        try:
            found = await self._client.storage_accounts.get_properties(self._group, account)
        except ResourceNotFoundError:
            return None
        endpoint = found.primary_endpoints.file if found.primary_endpoints is not None else None
        return StorageAccount(
            str(found.name),
            str(found.location),
            found.allow_shared_key_access is not False,
            str(endpoint or "").rstrip("/"),
            keys_renewed=_renewed(found.key_creation_time),
            closed=_word(found.public_network_access) in {"Disabled", "SecuredByPerimeter"},
            private_endpoints=len(found.private_endpoint_connections or ()),
            only_from=_only_from(found.network_rule_set),
        )

    async def name_problem(self, account: str) -> str:
        """Why no new account can have that name (somebody else's has it); empty when one can."""
        answer = await self._client.storage_accounts.check_name_availability(
            {"name": account, "type": "Microsoft.Storage/storageAccounts"}
        )
        return "" if answer.name_available else str(answer.message or answer.reason or "it is taken")

    async def has_share(self, account: str, share: str) -> bool:
        try:
            await self._client.file_shares.get(self._group, account, share)
        except ResourceNotFoundError:
            return False
        return True


def _renewed(times: KeyCreationTime | None) -> str:
    """Both keys' times where they differ: Azure makes the first two at the same moment."""
    if times is None or times.key1 is None or times.key2 is None or times.key1 == times.key2:
        return ""
    return f"{times.key1.isoformat()} {times.key2.isoformat()}"


def _only_from(rules: Any) -> tuple[str, ...] | None:  # noqa: ANN401  (NetworkRuleSet, whose fields are optional)
    if rules is None or _word(rules.default_action) != "Deny":
        return None
    addresses = [str(one.ip_address_or_range) for one in rules.ip_rules or ()]
    networks = [
        str(one.virtual_network_resource_id).rpartition("/virtualNetworks/")[2]
        for one in rules.virtual_network_rules or ()
    ]
    return (*addresses, *networks)


def _word(value: object) -> str:
    """Azure's own word, also for one that the SDK's enumeration does not know."""
    return str(getattr(value, "value", value))
