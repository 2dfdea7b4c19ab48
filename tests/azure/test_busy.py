"""Azure takes one change of a resource at a time: what comes meanwhile is sent again until it is taken."""

import json

import pytest
from azure.core.exceptions import HttpResponseError

from ai_toolkit.azure.busy import when_free


class Answer:
    """What an SDK's exception keeps of an answer."""

    def __init__(self, code):
        self.status_code, self.reason, self.headers = 409, "Conflict", {}
        self._body = json.dumps({"error": {"code": code, "message": "said so"}})
        self.content_type = "application/json"

    def text(self, encoding=None):
        del encoding
        return self._body


def refusing(*codes):
    """A call that is refused so often, and how often it was made."""
    left, calls = list(codes), []

    async def send():
        calls.append(1)
        if left:
            raise HttpResponseError(response=Answer(left.pop(0)))
        return "taken"

    return send, calls


async def test_a_change_waits_until_the_one_before_it_has_ended():
    send, calls = refusing("ContainerAppOperationInProgress")

    assert await when_free(send) == "taken"
    assert len(calls) == 2


async def test_another_refusal_is_told_at_once():
    send, calls = refusing("ScopeLocked")
    with pytest.raises(HttpResponseError):
        await when_free(send)

    assert len(calls) == 1
