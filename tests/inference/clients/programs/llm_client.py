"""`llm`, with the endpoint in its `extra-openai-models.yaml`."""

import json
import os
from pathlib import Path

os.environ["LLM_USER_PATH"] = os.environ["JUDGED_WITH"]
from told import ASKED, KEY, MODEL, URL, get_weather, same, shows

known = {
    "model_id": "judged", "model_name": MODEL, "api_base": URL, "api_key_name": "judged", "supports_tools": True,
    "supports_schema": True,
}  # fmt: skip
Path(os.environ["JUDGED_WITH"], "extra-openai-models.yaml").write_text(json.dumps([known]))  # which is YAML, too

import llm  # noqa: E402 - it reads the folder

model = llm.get_model("judged")
model.key = KEY


@shows("chat")
def _():
    same(model.prompt("Say hello", stream=False).text(), "Turn 1: Say hello")


@shows("streamed")
def _():
    same("".join(model.prompt("Say hello", stream=True)), "Turn 1: Say hello")


@shows("two turns")
def _():
    conversation = model.conversation()
    conversation.prompt("Say hello").text()
    same(conversation.prompt("And again").text(), "Turn 2: And again")


@shows("tools")
def _():
    same(model.chain(ASKED, tools=[get_weather]).text().strip().splitlines()[-1], "It is sunny in Rome.")


@shows("structured output")
def _():
    schema = {
        "type": "object",
        "properties": {"a": {"type": "string"}},
        "required": ["a"],
        "additionalProperties": False,
    }
    same(json.loads(model.prompt("Say", schema=schema, stream=False).text()), {"a": "cat dog"})
