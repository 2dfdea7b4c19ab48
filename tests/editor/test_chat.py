"""The editor's chat through a real language server, whose endpoint is the test's own."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from pygls.exceptions import JsonRpcException
from tests.support.language_client import editor
from tests.support.road import environment
from tests.support.scripted_endpoint import ScriptedEndpoint, scripted_endpoint

TARGET = {
    "SUBSCRIPTION_ID": "11111111-2222-3333-4444-555555555555",
    "RESOURCE_GROUP_NAME": "group",
    "STORAGE_ACCOUNT_NAME": "account",
    "FILE_SHARE_NAME": "share",
    "ACA_APP_NAME": "app",
}


pytestmark = pytest.mark.asyncio(loop_scope="module")


def folder_for(endpoint, base):
    """A folder whose target is on Azure, where nobody is signed in."""
    folder = base / "my project"
    (folder / "infra").mkdir(parents=True)
    (folder / "infra/inference.config.json").write_text(json.dumps({**TARGET, "ACA_APP_ENDPOINT": endpoint.url}))
    return folder


@asynccontextmanager
async def chatting(folder, endpoint):
    """An editor with a chat, that keeps the endpoint's key; on a computer without the Azure CLI and azd."""
    around = environment(folder.parent / "cloud") | {"PATH": str(folder)}
    async with editor(around, {}, set(), folders=[folder], options={"chat": True}) as seen:
        seen.settings["aiToolkit.credential"] = "environment"
        seen.kept[f"inference key of {endpoint.url}"] = endpoint.key
        yield seen


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory):
    """One endpoint, folder and editor for all tests: a start takes longer than a test."""
    async with scripted_endpoint() as scripted:
        folder = folder_for(scripted, tmp_path_factory.mktemp("chat"))
        async with chatting(folder, scripted) as seen:
            yield scripted, folder, seen


@pytest.fixture
def endpoint(shared):
    """The endpoint as it was at the beginning."""
    fresh = ScriptedEndpoint()
    scripted, _folder, seen = shared
    scripted.key, scripted.stages, scripted.streams, scripted.models = fresh.key, [], fresh.streams, fresh.models
    scripted.asked, seen.parts, seen.asked, seen.chats = [], [], [], []
    scripted.left.clear()
    seen.part_came.clear()
    return scripted


@pytest.fixture
def folder(shared):
    return shared[1]


@pytest.fixture
def seen(shared, endpoint):
    return shared[2]


def message(role, text, **more):
    return {"role": role, "text": text, "toolCalls": [], "toolResults": [], **more}


async def asked(seen, folder, *messages, chat="c1", **more):
    params = {
        "chat": chat,
        "workspaceFolder": folder.as_uri(),
        "model": "tuned",
        "messages": list(messages) or [message("user", "Hello?")],
        "tools": [],
        "mustCall": False,
        "options": "",
        **more,
    }
    await asyncio.wait_for(seen.client.protocol.send_request_async("aiToolkit/chat", params), 60)


def came(seen, kind):
    return [part[kind] for part in seen.parts if part.get(kind) is not None]


async def models(seen):
    answer = await asyncio.wait_for(seen.client.protocol.send_request_async("aiToolkit/chatModels", {}), 60)
    return [one._asdict() for one in answer.models]


async def test_answer_is_streamed_while_nobody_is_signed_in(seen, folder, endpoint):
    """The key is the one that the editor keeps, so no account is needed; nothing is asked of a person."""
    endpoint.streams = [[{"reasoning_content": "Hm."}, {"content": "Ahoy, "}, {"content": "captain!"}]]
    await asked(seen, folder, options='{"temperature": 0, "intent": true}')

    assert came(seen, "text") == ["Ahoy, ", "captain!"]
    assert came(seen, "reasoning") == ["Hm."]
    [request] = endpoint.asked
    assert request["model"] == "tuned"
    assert request["temperature"] == 0
    assert "intent" not in request
    assert "tools" not in request
    assert seen.asked == []


async def test_tools_are_mapped_both_ways(seen, folder, endpoint):
    """A call reaches the editor whole; the conversation that goes back has its result at the right place."""
    look = {"name": "look", "description": "Looks", "parameters": '{"type": "object"}'}
    rest = {"name": "rest", "description": "Rests", "parameters": ""}
    function = {"name": "look", "arguments": '{"at": "sea"}'}
    endpoint.streams = [[{"tool_calls": [{"index": 0, "id": "7", "function": function}]}], [{"content": "A ship!"}]]
    await asked(seen, folder, tools=[look, rest], mustCall=True)
    called = {"id": "7", **function}
    assert came(seen, "toolCall") == [called]
    result = {"id": "7", "text": "a ship"}
    turns = [message("system", "Be brief."), message("user", "In short:"), message("user", "What is there?")]
    turns += [message("assistant", "", toolCalls=[called]), message("user", "Well?", toolResults=[result])]
    await asked(seen, folder, *turns, chat="c2", tools=[look])

    first, second = endpoint.asked
    assert first["tool_choice"] == "required"
    assert [tool["function"]["parameters"] for tool in first["tools"]] == [{"type": "object"}, {"type": "object"}]
    assert second["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "In short:\n\nWhat is there?"},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "7", "type": "function", "function": function}]},
        {"role": "tool", "tool_call_id": "7", "content": "a ship"},
        {"role": "user", "content": "Well?"},
    ]
    assert "tool_choice" not in second


async def test_waking_is_told_before_the_answer(seen, folder, endpoint):
    """Each stage once, in the chat; then the answer."""
    loading = {"stage": "loading weights", "progress": {"done": 1, "total": 2}}
    endpoint.stages = [{"stage": "preparing"}, loading, loading]
    await asked(seen, folder)

    assert came(seen, "waking")[0] == "waking the model"
    assert came(seen, "waking")[-1] == "loading weights 1 of 2"
    assert came(seen, "text") == ["Ahoy"]


async def test_leaving_stops_the_model(seen, folder, endpoint):
    """Cancel ends the request at the endpoint, and the editor's own."""
    endpoint.streams = [[{"content": "A"}, "hang"]]
    question = asyncio.ensure_future(asked(seen, folder))
    await asyncio.wait_for(seen.part_came.wait(), 60)
    seen.client.protocol.notify("aiToolkit/cancelChat", {"chat": "c1"})

    with pytest.raises(JsonRpcException) as cancelled:
        await question
    assert cancelled.value.code == -32800
    await asyncio.wait_for(endpoint.left.wait(), 20)


async def test_key_that_was_changed_is_fetched_anew(seen, folder, endpoint):
    """Signed out that cannot be done, and the person is told to sign in instead of that the key is wrong."""
    endpoint.key = "a newer one"
    with pytest.raises(JsonRpcException, match=r"sign-in|cannot be reached"):  # without a network that comes first
        await asked(seen, folder)

    assert endpoint.asked == []


async def test_refusal_is_said_in_the_endpoint_s_words(seen, folder, endpoint):
    """What was too long, or is not supported, stands in the chat."""
    endpoint.streams = [[{"error": {"message": "The context is too long."}}]]
    with pytest.raises(JsonRpcException, match="The context is too long"):
        await asked(seen, folder)


async def test_models_are_listed_without_asking_the_endpoint_and_better_once_it_told(tmp_path):
    """Signed out the endpoint's default stands for all; who asked knows base and adapters, the fine-tuned first."""
    async with scripted_endpoint() as endpoint:
        folder = folder_for(endpoint, tmp_path)
        async with chatting(folder, endpoint) as seen:
            endpoint.models = [
                {"id": "org/base", "max_model_len": 8192},
                {"id": "a/pirate/adapter", "parent": "org/base"},
            ]
            [only] = await models(seen)
            assert (only["model"], only["name"], only["detail"]) == ("", "my project", "fine-tuned · not looked at")
            assert endpoint.asked == []
            await asked(seen, folder, model="")
            assert "model" not in endpoint.asked[0]

            tuned, base = await models(seen)
            assert (tuned["name"], tuned["model"], tuned["id"]) == (
                "pirate",
                "a/pirate/adapter",
                f"{folder.as_uri()}#a/pirate/adapter",
            )
            assert (base["name"], base["detail"]) == ("base", "base model · not looked at")
            assert base["maxInputTokens"] + base["maxOutputTokens"] == 8192
            assert seen.models_changed > 0


async def test_tokens_are_counted_by_what_the_last_prompt_came_to(seen, folder, endpoint):
    """Rather too many before the model answered; then its own rate. The endpoint is not asked for it."""
    params = {"workspaceFolder": folder.as_uri(), "model": "counted", "text": "Ahoy! " * 100}
    before = await seen.client.protocol.send_request_async("aiToolkit/countTokens", params)
    await asked(seen, folder, message("user", "Ahoy! " * 50), model="counted")
    after = await seen.client.protocol.send_request_async("aiToolkit/countTokens", params)

    assert before == 200
    assert 80 <= after <= 100  # the prompt of half its length was 50 tokens, and some of them the template's


async def test_use_in_chat_opens_the_chat_with_the_fine_tuned_model(seen, folder):
    """From the palette; the editor is told which model."""
    await seen.command("useInChat", folder, "t1")

    [opened] = seen.chats
    assert opened.startswith(f"{folder.as_uri()}#")


async def test_editor_without_a_chat_is_told_what_to_do_instead(folder, tmp_path):
    """Before 1.104 the command says so; the chat page is there for all."""
    async with editor(environment(tmp_path / "cloud"), {}, set(), folders=[folder]) as seen:
        with pytest.raises(JsonRpcException, match=r"1\.104.*Go to Inference Endpoint"):
            await seen.command("useInChat", folder, "t1")


async def test_folder_that_is_not_trusted_has_no_models(folder, endpoint, tmp_path):
    """A config file that came with a folder sends no question anywhere."""
    options = {"chat": True, "trusted": False}
    async with editor(environment(tmp_path / "cloud"), {}, set(), folders=[folder], options=options) as seen:
        assert await models(seen) == []
        with pytest.raises(JsonRpcException, match="trusted"):
            await asked(seen, folder)

    assert endpoint.asked == []
