"""First requests in the form that programs which cannot run here send them; written anew, after each one's source.

Read in the program itself: Open WebUI (0.12.4's package), Continue (openai-adapters 1.37.0's package), Cline
(src/core/api/providers/openai.ts), Roo Code (src/api/providers/openai.ts), Jan (web-app/src/lib/model-factory.ts and
predefinedParams.ts), AnythingLLM (server/utils/AiProviders/genericOpenAi), LibreChat (packages/api/src/endpoints, which
asks by LangChain) and Codex. The others' are from what is known of them.
"""

from __future__ import annotations

import json

import pytest
import torch
from tests.inference.test_error_shape import ask
from tests.support.inference.byte_model import byte_models
from tests.support.inference.in_process import serving

PARAMETERS = {"type": "object", "properties": {"path": {"type": "string", "description": "A path"}}}
READ = {"name": "read_file", "description": "Reads a file.", "parameters": {**PARAMETERS, "required": ["path"]}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "read_file", "arguments": '{"path": "a.txt"}'}}
SAID = {"role": "user", "content": "Hello"}
USAGE = {"include_usage": True}


def tool(**more):
    return {"type": "function", "function": {**READ, **more}}


CHATS = {
    # backend/open_webui/routers/openai.py and utils/middleware.py of 0.12: builtin tools come with every chat
    "Open WebUI": {
        "stream": True,
        "messages": [{"role": "system", "content": "User context: none"}, SAID],
        "tools": [tool(name="get_current_timestamp", parameters={"properties": {}, "type": "object"}), tool()],
        "stream_options": USAGE,
    },
    "Open WebUI, a server of tools": {
        "stream": True,
        "messages": [SAID],
        "tools": [{"type": "function", "function": {"type": "function", **READ}}],
        "user": {"name": "Ada", "id": "1", "email": "ada@contoso.example", "role": "user"},
        "logit_bias": {},
    },
    "Open WebUI, the second turn": {
        "stream": True,
        "messages": [
            {**SAID, "id": "1", "timestamp": 1, "models": ["base"]},
            {"role": "assistant", "content": "", "tool_calls": [{**CALL, "index": 0}], "reasoning_content": "Well."},
            {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "input_text", "text": "one"}]},
        ],
        "tools": [tool()],
        "continue_final_message": False,
        "add_generation_prompt": True,
    },
    "Open WebUI, a title": {"stream": False, "messages": [SAID], "max_tokens": 1000, "temperature": 0.1},
    # core/llm/llms/OpenAI.ts and packages/openai-adapters
    "Continue": {
        "messages": [{"role": "system", "content": "<important_rules>"}, {"role": "user", "content": [
            {"type": "text", "text": "Hello"}]}],
        "max_tokens": 4096, "stream": True, "stream_options": USAGE, "parallel_tool_calls": False,
        "tools": [tool(strict=False)],
    },
    "Continue, edit": {"messages": [SAID], "max_tokens": 64, "stream": True, "prediction": {
        "type": "content", "content": "x"}, "stop": ["```", "\n\n\n"]},
    # model-factory.ts merges the settings of predefinedParams.ts into the AI SDK's body, under its own words
    "Jan": {
        "messages": [SAID], "stream": True, "stream_options": USAGE, "max_output_tokens": 4, "ctx_len": 8192,
        "temperature": 0.7, "top_p": 0.95, "top_k": 2, "frequency_penalty": 0.7, "presence_penalty": 0.7,
        "repeat_penalty": 1.12, "stop_sequences": ["x"], "tools": [tool()], "tool_choice": "auto",
    },
    # its limit comes from the environment, and stays a text
    "AnythingLLM": {"messages": [{"role": "system", "content": "Given the"}, SAID], "stream": True, "temperature": 0.7,
                    "max_tokens": "1024"},
    "LibreChat": {"messages": [SAID], "stream": True, "stream_options": USAGE, "temperature": 1, "top_p": 1,
                  "presence_penalty": 0, "frequency_penalty": 0, "user": "1", "n": 1},
    "LibreChat, a title": {"messages": [SAID], "temperature": 0.2, "stream": False, "tools": [tool()], "tool_choice": {
        "type": "function", "function": {"name": "read_file"}}},
    "LibreChat, a title by a form": {"messages": [SAID], "tools": [tool()], "response_format": {
        "type": "json_schema", "json_schema": {"name": "title", "strict": True, "schema": {
            "type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"],
            "additionalProperties": False}}}},
    # without settings of its own it sends no limit, and the effort only to models of OpenAI's names
    "Cline, today": {"messages": [{"role": "system", "content": "You are Cline"}, SAID], "temperature": 0,
                     "stream": True, "stream_options": USAGE, "tools": [tool(strict=False)]},
    # src/core/api/providers/openai.ts
    "Cline": {
        "messages": [{"role": "system", "content": "You are Cline"}, {"role": "user", "content": [
            {"type": "text", "text": "<task>\nHello\n</task>"}, {"type": "text", "text": "<environment_details>"}]}],
        "temperature": 0, "stream": True, "stream_options": USAGE, "max_tokens": 64, "tools": [tool(strict=False)],
        "tool_choice": "auto", "parallel_tool_calls": False,
    },
    "Roo Code": {
        "messages": [{"role": "user", "content": [{"type": "text", "text": "x", "cache_control": {
            "type": "ephemeral"}}]}],
        "temperature": 0, "stream": True, "stream_options": USAGE, "reasoning_effort": "medium",
        "tools": [tool(strict=True, parameters={**PARAMETERS, "required": ["path"], "additionalProperties": False})],
        "tool_choice": "auto", "parallel_tool_calls": True,
    },
    # crates/open_ai and crates/language_models
    "Zed": {
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}, {
            "role": "assistant", "content": None, "tool_calls": [CALL]}, {
            "role": "tool", "content": "one", "tool_call_id": "call_1"}],
        "stream": True, "stream_options": USAGE, "max_completion_tokens": 64, "stop": [], "temperature": 1.0,
        "tools": [tool()], "parallel_tool_calls": False, "prompt_cache_key": "x",
    },
    # the editor's own client for models that people add
    "Copilot, a custom endpoint": {
        "messages": [{"role": "system", "content": "You are", "copilot_cache_control": {"type": "ephemeral"}}, {
            "role": "user", "content": [{"type": "text", "text": "Hello", "copilot_cache_control": {
                "type": "ephemeral"}}]}, {
            "role": "assistant", "content": "Hi", "reasoning_opaque": "x", "reasoning_text": "y", "cot_id": "1",
            "cot_summary": "z"}, SAID],
        "temperature": 0.1, "top_p": 1, "max_tokens": 64, "n": 1, "stream": True, "stream_options": USAGE,
        "tools": [tool()], "intent": False, "snippy": {"enabled": False}, "state": None,
    },
    # aider.models and litellm
    "Aider": {"messages": [{"role": "system", "content": "Act as an expert"}, SAID], "stream": True, "temperature": 0},
    "JetBrains": {"messages": [SAID], "stream": True, "frequency_penalty": 0.0, "presence_penalty": 0.0, "n": 1,
                  "top_p": 1.0, "stop": None, "functions": None, "user": "1"},
    # what MCP servers say of their tools, sent on whole
    "an MCP host": {"messages": [SAID], "tools": [tool(
        title="Read", annotations={"readOnlyHint": True}, outputSchema={"type": "object"}, _meta={"a": 1})]},
    "SillyTavern": {
        "messages": [{**SAID, "name": "Ada"}], "stream": True, "max_tokens": 64, "temperature": 1, "top_p": 1,
        "frequency_penalty": 0, "presence_penalty": 0, "top_k": 0, "min_p": 0, "repetition_penalty": 1, "top_a": 0,
        "custom_prompt_post_processing": "", "reasoning_effort": "medium", "include_reasoning": True,
    },
    "LobeChat": {"messages": [SAID], "stream": True, "frequency_penalty": 0, "presence_penalty": 0, "temperature": 1,
                 "top_p": 1, "enableSearch": False, "stream_options": USAGE},
}  # fmt: skip
# By the Responses API. Codex offers what only OpenAI has, beside functions of its own.
RESPONSES = {
    "Codex": {
        "instructions": "You are a coding agent", "stream": True, "store": False, "tool_choice": "auto",
        "input": [
            {"type": "message", "id": "msg_1", "role": "developer", "content": [{"type": "input_text", "text": "x"}]},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello"}]},
            {"type": "function_call", "name": "read_file", "arguments": "{}", "call_id": "c", "namespace": None},
            {"type": "function_call_output", "call_id": "c", "output": "one"},
        ],
        "tools": [
            {"type": "function", "strict": False, **READ},
            {"type": "namespace", "name": "agents", "description": "More.", "tools": [{"type": "function", **READ}]},
            {"type": "web_search", "external_web_access": False},
        ],
        "parallel_tool_calls": True, "reasoning": {"summary": "auto"}, "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": "x", "client_metadata": {"a": "b"},
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def app():
    torch.set_num_threads(1)
    with serving(byte_models(), max_new_tokens=4) as served:
        yield served


def told(app, path, body):
    """The events, or the whole."""
    status, _, answer = ask(app, "POST", path, {"model": "base", **body})
    assert status == 200, answer.decode()
    if not body.get("stream"):
        return [json.loads(answer)]
    return [json.loads(line[6:]) for line in answer.decode().splitlines() if line.startswith("data: {")]


@pytest.mark.parametrize("program", CHATS)
def test_a_chat_is_taken_as_the_program_sends_it(app, program):
    """With an answer that ends, and the usage where it was asked for."""
    limit = {} if "max_output_tokens" in CHATS[program] else {"max_completion_tokens": 4}
    events = told(app, "/v1/chat/completions", CHATS[program] | limit)

    assert any(choice["finish_reason"] for each in events for choice in each["choices"])
    assert "stream_options" not in CHATS[program] or events[-1]["usage"]["completion_tokens"] <= 4


@pytest.mark.parametrize("program", RESPONSES)
def test_a_response_is_made_as_the_program_asks_for_it(app, program):
    """Tools of other services are left out where functions stand beside them."""
    events = told(app, "/v1/responses", RESPONSES[program] | {"max_output_tokens": 4})

    assert events[-1]["type"] in {"response.completed", "response.incomplete"}
    assert [each["type"] for each in events[-1]["response"]["tools"]] == ["function"]
