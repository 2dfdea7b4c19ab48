"""Every refusal of Azure's that was recorded, as a person reads it."""

import html
import json
import re

import pytest
from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError, map_error
from azure.core.rest import HttpRequest
from azure.mgmt.core.exceptions import ARMErrorFormat
from azure.mgmt.resource.resources.aio import ResourceManagementClient
from azure.storage.fileshare.aio import ShareClient
from tests.support.recordings import SUBSCRIPTION, needs_recordings

from ai_toolkit.azure.deployments import Deployments
from ai_toolkit.azure.explain import for_people
from ai_toolkit.azure.failures import innermost
from ai_toolkit.errors import CloudError, DeploymentFailed, ResourceMissing, SignInNeeded
from ai_toolkit.known_causes import cause_of_code

pytestmark = needs_recordings
UNSAID = ("not foreseen", "no code", "Traceback", "RequestId", "invalid status", "None", "{", "<")


def stated(body):
    """Code and message that the answer itself states last of all, read without any code of the product."""
    if isinstance(body, str):
        code, message = re.search(r"<Code>(\w+)</Code>", body), re.search(r"<Message>(.*?)\n", body, re.DOTALL)
        return (code[1], html.unescape(message[1])) if code else ("", "")
    error = body["error"]
    while error.get("details"):
        error = error["details"][0]
        if error["message"].startswith("{"):
            error = json.loads(error["message"])["error"]
    return error["code"], error["message"].partition("\nRequestId")[0].strip().rstrip(".")


def is_readable(said):
    return not [word for word in UNSAID if word in said] and "()" not in said and len(said.splitlines()) == 1


def refuse(answer):
    """What each operation of the SDKs does with a refusal."""
    map_error(answer.status_code, answer, {401: ClientAuthenticationError})
    raise HttpResponseError(response=answer, error_format=ARMErrorFormat)


async def test_each_refusal_of_the_management_plane_is_said_with_its_code(azure, recordings):
    """Code and message of the innermost error; a refused token asks for a sign-in."""
    seen = 0
    async with azure.connection.client(ResourceManagementClient, SUBSCRIPTION) as client:
        for exchange in recordings:
            if exchange.status < 400 or not exchange.is_management:
                continue
            azure.always(exchange)
            asked = HttpRequest(exchange.method, azure.url + exchange.target)
            answer = await client.send_request(asked, retry_total=0)
            with pytest.raises(AzureError) as refusal:
                refuse(answer)
            said = for_people(refusal.value)
            seen += 1

            assert isinstance(said, CloudError), exchange
            assert is_readable(said.message), (exchange, said.message)
            if exchange.status == 401:
                assert isinstance(said, SignInNeeded)
            elif exchange.body is not None:
                code, message = stated(exchange.body)
                assert code in said.message, (exchange, said.message)
                assert " ".join(message.split())[:200] in said.message, (exchange, said.message)
    assert seen == 50


async def test_each_refusal_of_azure_files_is_said_with_its_code(azure, recordings):
    """Also that of a HEAD, which has no body."""
    seen = 0
    options = {"account_url": f"{azure.url}/account", "share_name": "share", "credential": "a2V5", "retry_total": 0}
    for exchange in recordings:
        if exchange.status < 400 or exchange.topic != "files-data-plane":
            continue
        azure.always(exchange)
        async with ShareClient(**options) as share:
            file, directory = share.get_file_client("file"), share.get_directory_client("directory")
            ask = {
                "HEAD": file.get_file_properties,
                "DELETE": file.delete_file,
                "GET": directory.get_directory_properties,
                "PUT": directory.create_directory,
            }
            with pytest.raises(HttpResponseError) as refusal:
                await ask[exchange.method]()
        said = for_people(refusal.value)
        seen += 1

        assert is_readable(said.message), (exchange, said.message)
        code = exchange.headers["x-ms-error-code"]
        cause = cause_of_code(code)
        if code == "ShareNotFound":
            assert isinstance(said, ResourceMissing)
        else:
            assert code in said.message
            assert not exchange.body or (cause.says if cause else stated(exchange.body)[1].rstrip(".")) in said.message
    assert seen == 23


async def test_a_failed_deployment_says_the_error_that_stands_as_text_in_its_message(azure, recordings):
    """Azure nests the resource's own answer as JSON text in the message of a detail."""
    failed = [one for one in recordings if isinstance(one.body, dict) and one.body.get("status") == "Failed"]
    for exchange in failed:
        code, message = innermost(exchange.body)
        assert (code, message) == stated(exchange.body)

    said = [innermost(exchange.body)[0] for exchange in failed]
    assert said == ["DnsRecordInUse", "MultiPlacementGroupVMScaleSetCannotReferenceBasicLoadbalancer"]


async def test_a_refused_deployment_says_the_innermost_code(azure, recordings):
    """Of validation and of sending, as Provision asks."""
    from azure.mgmt.resource.deployments.aio import DeploymentsMgmtClient  # noqa: PLC0415  (0.4 s)

    codes = {}
    async with azure.connection.client(DeploymentsMgmtClient, SUBSCRIPTION) as client:
        deployments = Deployments(client, "group")
        for exchange in (one for one in recordings if one.topic == "deployments" and one.status >= 400):
            azure.always(exchange)
            refusal = await deployments.validate("name", {}, {})
            with pytest.raises(DeploymentFailed) as failure:
                await deployments.send("name", {}, {})
            assert failure.value.reason_code == refusal.code == stated(exchange.body)[0]
            assert refusal.message in failure.value.message
            codes[refusal.code] = refusal.message
    assert set(codes) == {"ResourceGroupNotFound", "InvalidTemplate", "InvalidParameter", "QuotaExceeded"}
