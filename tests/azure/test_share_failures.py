"""What Azure Files refuses, as the real SDK meets it: in the service's own code and cause, never as a sign-in."""

import base64
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import PurePosixPath

import pytest
from aiohttp import web
from azure.core.exceptions import HttpResponseError
from tests.support.azure_files import KEY, AzureFiles
from tests.support.corporate_network import listening

from ai_toolkit.azure.explain import for_people
from ai_toolkit.azure.file_share import FileShare, Patience
from ai_toolkit.azure.share_lock import share_lock
from ai_toolkit.errors import ResourceMissing, ShareRefused

PATH = PurePosixPath("inference/start.py")
ENCODED = base64.b64encode(KEY).decode()
AT_ONCE = Patience(retries=0)


def refusing(status, code, message="Words of the service.\nRequestId:1", ahead=timedelta()):
    """A file service that refuses everything; `ahead` is how far this computer's clock is before its own."""

    async def answer(request):
        body = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'
        date = format_datetime(datetime.now(UTC) - ahead, usegmt=True)
        return web.Response(
            status=status,
            text="" if request.method == "HEAD" else body,
            content_type="application/xml",
            headers={"x-ms-error-code": code, "x-ms-version": "2025-11-05", "Date": date},
        )

    return answer


async def told(answer, work):
    """The error for people of the work on a share that such a service holds."""
    async with listening(answer) as port:
        url = f"http://127.0.0.1:{port}/contoso"
        async with FileShare.open(url, "contoso", ENCODED, "models", AT_ONCE) as share:
            with pytest.raises((HttpResponseError, ResourceMissing)) as raised:
                await work(share)
    return for_people(raised.value)


async def read(share):
    await share.read(PATH)


async def write(share):
    await share.write(PATH, b"words")


async def list_it(share):
    await share.list_directory(PATH.parent)


async def lock(share):
    async with share_lock(share, print):
        pass


@pytest.mark.parametrize("work", [read, write, list_it, lock])
@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (403, "AuthorizationFailure", "network rules"),
        (403, "KeyBasedAuthenticationNotPermitted", "account key"),
        (403, "AccountIsDisabled", "disabled"),
        (409, "ShareBeingDeleted", "being deleted"),
        (403, "AuthenticationFailed", "key was not accepted"),
        (400, "SomethingNew", "Words of the service"),
    ],
)
async def test_a_refusal_has_its_code_and_its_cause(work, status, code, said):
    """Whatever was done: which share, why, the code, and no advice to sign in, which the account's key does not."""
    error = await told(refusing(status, code), work)

    assert isinstance(error, ShareRefused)
    assert error.reason_code == code
    assert "models of the storage account contoso" in error.message
    assert said in error.message
    assert code in error.message
    assert "RequestId" not in str(error)
    assert "sign in" not in str(error).lower()


@pytest.mark.parametrize(
    ("ahead", "said"), [(timedelta(minutes=47), "46 minutes ahead of"), (-timedelta(hours=2), "120 minutes behind")]
)
async def test_a_wrong_clock_is_a_wrong_clock(ahead, said):
    """The answer's date tells: what this computer signs is out of date, and no key is wrong."""
    error = await told(refusing(403, "AuthenticationFailed", ahead=ahead + timedelta(seconds=-30)), read)

    assert said in error.message
    assert "Set the clock" in error.advice


@pytest.mark.parametrize("work", [read, write, list_it, lock])
async def test_a_missing_share_is_one_sentence_at_once(work):
    """Missing or renamed: the same sentence whatever was done, after the first answer."""
    requests = []

    async def answer(request):
        requests.append(request.method)
        return await refusing(404, "ShareNotFound")(request)

    error = await told(answer, work)

    assert isinstance(error, ResourceMissing)
    assert error.message == "The file share models does not exist in contoso."
    assert len(requests) == 1


async def test_a_directory_is_not_taken_for_made_while_the_share_goes(tmp_path):
    """`Already exists` is the only conflict that means that it is there."""
    files = AzureFiles(tmp_path)
    async with files.opened(AT_ONCE) as share:
        await share.make_directory(PATH.parent)
        await share.make_directory(PATH.parent)
    error = await told(refusing(409, "ShareBeingDeleted"), lambda share: share.make_directory(PATH.parent))

    assert isinstance(error, ShareRefused)
