"""smolagents' model class."""

from smolagents import OpenAIModel, Tool
from smolagents.models import ChatMessage, MessageRole
from told import ASKED, KEY, MODEL, URL, same, shows

model = OpenAIModel(model_id=MODEL, api_base=URL, api_key=KEY)


class Weather(Tool):
    name = "get_weather"
    description = "The weather in a city."
    inputs = {"city": {"type": "string", "description": "Its name"}}  # noqa: RUF012 - as it wants it
    output_type = "string"

    def forward(self, city):
        return f"sunny in {city}"


def said(text, role=MessageRole.USER):
    return ChatMessage(role=role, content=[{"type": "text", "text": text}])


@shows("chat")
def _():
    same(model.generate([said("Say hello")], stop_sequences=["Observation:"]).content, "Turn 1: Say hello")


@shows("streamed")
def _():
    same("".join(each.content or "" for each in model.generate_stream([said("Say hello")])), "Turn 1: Say hello")


@shows("two turns")
def _():
    turns = [said("Say hello"), said("Turn 1: Say hello", MessageRole.ASSISTANT), said("And again")]
    same(model.generate(turns).content, "Turn 2: And again")


@shows("tools")
def _():
    [call] = model.generate([said(ASKED)], tools_to_call_from=[Weather()]).tool_calls
    same(call.function.name, "get_weather")


@shows("structured output")
def _():
    schema = {
        "type": "object",
        "properties": {"a": {"type": "string"}},
        "required": ["a"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": True}}
    same(model.generate([said("Say")], response_format=form).content, '{"a":"cat dog"}')
