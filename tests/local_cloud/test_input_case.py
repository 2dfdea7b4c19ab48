"""Names, words and counts of a request in any case: Azure reads them all, and answers in its own spelling."""

import random

import aiohttp
import pytest

SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"
VERSION = "2025-07-01"


def mixed(value, chance):
    """A body with its own names in another case; tags and the like keep theirs."""
    if isinstance(value, list):
        return [mixed(item, chance) for item in value]
    if not isinstance(value, dict):
        return value
    return {chance.choice((str.upper, str.lower, str))(name): mixed(item, chance) for name, item in value.items()}


@pytest.fixture
async def ask(clients, group):
    """Sends a body to a resource of the group; returns status and answer."""
    headers = {"Authorization": f"Bearer {clients.token}"}
    base = f"{clients.status.resource_manager}/subscriptions/{SUBSCRIPTION}/RESOURCEGROUPS/{group.upper()}"
    async with aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=30)) as session:

        async def send(method, path, body=None, version=VERSION):
            url = f"{base}/providers/{path}?API-VERSION={version}"
            async with session.request(method, url, json=body) as answer:
                return answer.status, await answer.json(content_type=None)

        yield send


def environment(profiles=()):
    return {"location": "westus3", "properties": {"workloadProfiles": list(profiles)}}


async def test_an_environment_in_any_case_is_the_same_environment(ask):
    """50 spellings, made by chance with a seed; the recorded `Name` and counts as text among them."""
    chance = random.Random(18)
    profiles = [
        {"name": "Consumption", "workloadProfileType": "consumption"},
        {"name": "big", "workloadProfileType": "d4", "minimumCount": "0", "maximumCount": "3"},
    ]
    for _ in range(50):
        status, answer = await ask("PUT", "microsoft.app/MANAGEDENVIRONMENTS/env", mixed(environment(profiles), chance))
        shown = [
            {name: value for name, value in one.items() if name != "enableFips"}
            for one in answer["properties"]["workloadProfiles"]
        ]

        assert status in {200, 201}, answer
        assert shown == [
            {"name": "Consumption", "workloadProfileType": "Consumption"},
            {"name": "big", "workloadProfileType": "D4", "minimumCount": 0, "maximumCount": 3},
        ]
        if status == 201:
            while (await ask("GET", "Microsoft.App/managedEnvironments/env"))[1]["properties"][
                "provisioningState"
            ] != "Succeeded":
                pass


async def test_words_are_answered_as_azure_spells_them(ask):
    """Storage accounts: kind, SKU, TLS version; a tag keeps its case, and an unknown name is still refused."""
    body = {
        "Location": "West US 3", "KIND": "storagev2", "Sku": {"NAME": "standard_lrs"}, "tags": {"MyTag": "Value"},
        "PROPERTIES": {"MinimumTLSVersion": "tls1_2", "networkacls": {"DEFAULTACTION": "allow"}},
    }  # fmt: skip
    status, _ = await ask("PUT", "Microsoft.Storage/storageAccounts/anycase1", body, "2025-08-01")
    assert status == 202
    wrong = {**body, "properties": {"nothingLikeIt": 1}}
    status, refused = await ask("PUT", "Microsoft.Storage/storageAccounts/anycase2", wrong, "2025-08-01")
    assert (status, refused["error"]["code"]) == (400, "InvalidRequestContent")

    _, account = await ask("GET", "microsoft.storage/STORAGEACCOUNTS/AnyCase1", None, "2025-08-01")

    assert (account["kind"], account["sku"]) == ("StorageV2", {"name": "Standard_LRS", "tier": "Standard"})
    assert account["type"] == "Microsoft.Storage/storageAccounts"
    assert account["tags"] == {"MyTag": "Value"}
    assert account["properties"]["minimumTlsVersion"] == "TLS1_2"
    assert account["properties"]["networkAcls"]["defaultAction"] == "Allow"


async def test_a_patch_in_another_case_changes_what_is_there(ask):
    """It does not stand beside it."""
    body = {"location": "westus3", "kind": "StorageV2", "sku": {"name": "Standard_LRS"}}
    await ask("PUT", "Microsoft.Storage/storageAccounts/anycase3", body, "2025-08-01")
    patch = {"PROPERTIES": {"ALLOWSHAREDKEYACCESS": False}}
    await ask("PATCH", "Microsoft.Storage/storageAccounts/anycase3", patch, "2025-08-01")

    _, account = await ask("GET", "Microsoft.Storage/storageAccounts/anycase3", None, "2025-08-01")

    assert [name for name in account["properties"] if name.lower() == "allowsharedkeyaccess"] == [
        "allowSharedKeyAccess"
    ]
    assert account["properties"]["allowSharedKeyAccess"] is False
