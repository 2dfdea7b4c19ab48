"""Every what-if among the recordings of Azure (AZURE_RECORDINGS), asked of the local cloud over HTTP."""

import json
import re

import aiohttp
import pytest
from tests.support import outside_data
from tests.support.local_cloud.engine import SUBSCRIPTION, Engine

from ai_toolkit.local_cloud.core.relaxed_json import read_json

pytestmark = outside_data.needs("AZURE_RECORDINGS")
RECORDED_SUBSCRIPTION = "/subscriptions/00000000-0000-0000-0000-000000000001"
MADE_NAMES = re.compile(r"\b(store|st)[a-z0-9]{13}\b")  # of uniqueString, whose subscription the recordings replaced


def recorded():
    """Each request for a what-if, and the answer that its polling ended with (None where that was not recorded)."""
    path = outside_data.folder("AZURE_RECORDINGS") / "deployments.jsonl"
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for number, line in enumerate(lines):
        if line["method"] == "POST" and "/whatIf?" in line["path"]:
            following = lines[number + 1] if number + 1 < len(lines) else {}
            is_answer = (
                following.get("source", {}).get("path") == line["source"]["path"] and following["method"] == "GET"
            )
            yield line, following["responseBody"] if is_answer else None


@pytest.fixture
async def engine(clients):
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {clients.token}"}) as session:
        yield Engine(session, clients.status.resource_manager)


async def asked(engine, line):
    """The local cloud's changes for a recorded request, or its refusal."""
    path = line["path"].partition("?")[0].replace(RECORDED_SUBSCRIPTION, SUBSCRIPTION)
    given = line["requestBody"]
    body = read_json(given.encode()) if isinstance(given, str) else given
    status, answer, headers = await engine.ask("POST", path, body, line["apiVersion"])
    return (await engine.result(status, answer, headers))[1]


def alike(value):
    """Without what the recordings replaced (the subscription, names that are made of its id), in a region of ours."""
    text = json.dumps(value).replace(RECORDED_SUBSCRIPTION, SUBSCRIPTION).replace('"westus"', '"westus3"')
    return json.loads(MADE_NAMES.sub(r"\1NAME", text))


def by_id(changes):
    """Changes by id, without the defaults of an account that the api-version of the recordings (2019) had not yet."""
    for change in changes:
        for side in ("before", "after"):
            for later in ("minimumTlsVersion", "allowBlobPublicAccess", "allowCrossTenantReplication"):
                change.get(side, {}).get("properties", {}).pop(later, None)
    return {one["resourceId"]: one for one in changes}


async def test_what_ifs_say_what_azure_said(engine):
    """Kind, before, after and delta of each resource, modules included; linked templates are refused by name."""
    compared, refused = 0, 0
    for line, answer in recorded():
        group = re.search(r"/resourcegroups/([^/]+)/", line["path"])
        if group is not None:
            await engine.make_group(group[1], "westus3")
        if "templateLink" in json.dumps(line["requestBody"]):
            refused += 1
            assert (await asked(engine, line))["error"]["target"] == "properties.templateLink"
            continue
        if group is not None:  # what had been deployed before: the same account with another sku
            ended = await engine.deploy(
                read_json(line["requestBody"].encode())["properties"]["template"],
                scope=f"{SUBSCRIPTION}/resourceGroups/{group[1]}",
            )
            assert ended["provisioningState"] == "Succeeded", ended
        said = alike(await asked(engine, line))
        compared += 1

        assert said["status"] == answer["status"]
        assert said["properties"].keys() == answer["properties"].keys()
        assert by_id(said["properties"]["changes"]) == by_id(alike(answer)["properties"]["changes"])
    assert (compared, refused) == (2, 2)
