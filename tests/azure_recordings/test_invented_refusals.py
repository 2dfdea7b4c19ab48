"""Refusals of the kinds that were recorded, and worse ones, invented: each is one sentence, with what it tells."""

import json

import pytest
from azure.core.exceptions import AzureError
from azure.core.rest import HttpRequest
from azure.mgmt.resource.deployments.aio import DeploymentsMgmtClient
from azure.mgmt.resource.resources.aio import ResourceManagementClient
from hypothesis import given
from hypothesis import strategies as st
from tests.azure_recordings.test_refusals import is_readable, refuse
from tests.support.recordings import SUBSCRIPTION, Exchange

from ai_toolkit.azure.deployments import Deployments, Refusal
from ai_toolkit.azure.explain import for_people
from ai_toolkit.azure.failures import innermost
from ai_toolkit.errors import AiToolkitError, CloudError, DeploymentFailed

ERROR = {"code": "QuotaUsedUp", "message": "No GPU is left."}
TOLD = ("QuotaUsedUp", "No GPU is left")
KNOWN = {
    "plain": {"error": ERROR},
    "without envelope": ERROR,
    "capitals": {"Error": {"Code": ERROR["code"], "Message": ERROR["message"]}},
    "details": {"error": {"code": "DeploymentFailed", "message": "See details.", "details": [ERROR]}},
    "details are an object": {"error": {"code": "Conflict", "message": "See details.", "details": ERROR}},
    "second detail tells": {"error": {"code": "Outer", "message": "x", "details": [None, {}, "text", ERROR]}},
    "text in the message": {"error": {"code": "Outer", "message": json.dumps({"error": ERROR})}},
    "text with words before": {"error": {"code": "Outer", "message": f"It failed: {json.dumps({'error': ERROR})} (2)"}},
    "text in text": {"error": {"code": "A", "message": json.dumps({"error": {"message": json.dumps(ERROR)}})}},
    "text in a detail": {"error": {"code": "A", "message": "B", "details": [{"message": json.dumps(ERROR)}]}},
    "a status beside it": {"status": "Failed", "error": {**ERROR, "details": [], "additionalInfo": None}},
    "odata": {"odata.error": {"code": ERROR["code"], "message": {"lang": "en", "value": ERROR["message"]}}},
    "a list of errors": {"errors": [ERROR]},
    "lines of the request": {"error": {**ERROR, "message": f"{ERROR['message']}\nRequestId:1\nTime:2020"}},
}
UNTOLD = {
    "nothing": None, "empty text": "", "blank lines": "\r\n \r\n", "text": "stream timeout", "a number": 17,
    "a list": [],
    "an empty object": {}, "an empty error": {"error": {}}, "null": {"error": None}, "cut off": '{"error": {"code": "A',
    "details are a number": {"error": {"code": "Odd", "details": 3}}, "no message": {"error": {"code": "Odd"}},
    "a message that is a list": {"error": {"code": "Odd", "message": [1, 2]}}, "no code": {"error": {"message": "So."}},
    "a page": "<!DOCTYPE html><html><body><h1>502 Bad Gateway</h1></body></html>",
    "xml": '\ufeff<?xml version="1.0"?><Error><Code>Odd</Code><Message>So.</Message></Error>',
    "a token endpoint": {"error": "invalid_grant", "error_description": "AADSTS700082: too old.\r\nTrace ID: 1"},
    "deep": json.loads('{"error":' * 400 + "{}" + "}" * 400),
}  # fmt: skip
STATUSES = (400, 401, 403, 404, 409, 412, 429, 500, 502, 503, 504)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "code", "message", "details", "Message", "innererror", "errors"]), inner
        )
    ),
    max_leaves=12,
)


def answer(status, body):
    kind = "text/html" if isinstance(body, str) and body.startswith("<!") else "application/json"
    line = {"method": "GET", "path": "/", "host": "management.azure.com", "status": status, "responseBody": body}
    return Exchange("invented.1", {**line, "responseHeaders": {"content-type": kind}})


@pytest.mark.parametrize("form", KNOWN)
def test_code_and_message_are_found_in_every_form(form):
    """Also in another error's text, and where the first details tell nothing."""
    assert innermost(KNOWN[form]) == TOLD


@given(JSON)
def test_no_answer_is_too_odd(body):
    """Whatever JSON it is, code and message are texts without line breaks."""
    code, message = innermost(body)

    assert isinstance(code, str)
    assert len(message.splitlines()) <= 1


async def test_each_is_a_sentence(azure):
    """With every status, through the SDK; none is unforeseen."""
    async with azure.connection.client(ResourceManagementClient, SUBSCRIPTION) as client:
        for status in STATUSES:
            for form, body in {**KNOWN, **UNTOLD}.items():
                azure.always(answer(status, body))
                with pytest.raises(AzureError) as refusal:
                    refuse(await client.send_request(HttpRequest("GET", f"{azure.url}/x"), retry_total=0))
                said = for_people(refusal.value)

                assert isinstance(said, AiToolkitError)
                assert is_readable(said.message), (status, form, said.message)
                if form in KNOWN:
                    assert isinstance(said, CloudError)
                    assert TOLD[1] in said.message, (status, form, said.message)


async def test_a_deployment_that_is_refused_so_is_told(azure):
    """By validation and by sending: never empty brackets, never the JSON itself."""
    async with azure.connection.client(DeploymentsMgmtClient, SUBSCRIPTION) as client:
        deployments = Deployments(client, "group")
        for form, body in {**KNOWN, **UNTOLD}.items():
            azure.always(answer(400, body))
            try:
                refused = await deployments.validate("name", {}, {})
                await deployments.send("name", {}, {})
            except DeploymentFailed as failure:
                said = failure.message
            except AzureError as error:
                said = for_people(error).message
            else:
                pytest.fail(f"{form} was taken for a success")

            assert is_readable(said), (form, said)
            assert form not in KNOWN or (isinstance(refused, Refusal) and refused.code == TOLD[0]), (form, refused)
