"""A model is asked although its endpoint is busy, or leaves a question without an answer."""

import pytest
from aiohttp import web
from tests.support.corporate_network import listening

from ai_toolkit.endpoint.client import Endpoint
from ai_toolkit.errors import EndpointRefused
from ai_toolkit.evaluation.asking import ask_all
from ai_toolkit.evaluation.cases import Case, Expected

CASE = Case("cases.jsonl:1", "one", ({"role": "user", "content": "Hello"},), Expected(contains=("Ahoy",)))
ANSWER = {"choices": [{"message": {"content": "Ahoy"}, "finish_reason": "stop"}], "usage": {"completion_tokens": 1}}


class Reluctant:
    """Does with the first requests what `first` says: a status, or `cut`; answers the others."""

    def __init__(self, *first):
        self.first = list(first)

    async def answer(self, request):
        how = self.first.pop(0) if self.first else 200
        if how == "cut":
            request.transport.abort()
            return web.Response()
        return web.json_response(ANSWER if how == 200 else {"error": {"message": "no"}}, status=how)


async def asked(*first):
    async with listening(Reluctant(*first).answer) as port, Endpoint.open(f"http://127.0.0.1:{port}", None) as endpoint:
        return await ask_all(endpoint, "m", [CASE], lambda _answer: None)


@pytest.mark.parametrize("first", [(), ("cut",), (503, 502), (429, "cut")])
async def test_a_question_without_an_answer_is_asked_again(first):
    """A connection that was cut, a replica that starts anew, a full queue."""
    assert (await asked(*first)).passed == 1


async def test_a_refusal_is_told_at_once():
    """It would be the same the next time."""
    with pytest.raises(EndpointRefused) as refused:
        await asked(404)

    assert refused.value.status == 404
