"""The body of `POST /v1/responses`: OpenAI's newer API, taken as the same request that chat completions are.

Source: https://platform.openai.com/docs/api-reference/responses/create
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from aitk_app.web.asks_for_nothing import Body
from aitk_app.web.message_bodies import Content, text_of
from aitk_app.web.request_bodies import ChatRequest, TokenCount
from aitk_app.web.tool_bodies import FunctionTool

_EXTRAS_WITHOUT_EFFECT = frozenset({"reasoning.encrypted_content"})  # there is none: what is not kept needs no key


# Tools of other services that agents (Codex among them) offer with every request, beside functions of their own. A
# model may call a tool and need not: these it never calls. Where nothing else is offered, they are refused by name.
_NEVER_CALLED = frozenset({"custom", "image_generation", "local_shell", "namespace", "tool_search", "web_search"})


class InputItem(Body):
    """A turn, a call that an earlier answer made, what was answered to it, or an earlier answer's reasoning."""

    type: Literal["message", "function_call", "function_call_output", "reasoning"] = "message"
    role: Literal["system", "developer", "user", "assistant"] | None = None
    content: Content | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    output: Content | None = None
    also_ignored: ClassVar[frozenset[str]] = frozenset({"id", "status", "summary", "encrypted_content", "phase"})

    @model_validator(mode="after")
    def _named_call(self) -> InputItem:
        if self.type == "function_call" and not self.name:
            raise PydanticCustomError("needs_name", "a function_call needs the function's name beside it")
        return self

    @field_validator("type", mode="before")
    @classmethod
    def _not_a_reference(cls, kind: Any) -> Any:  # noqa: ANN401 - of JSON
        if kind == "item_reference":
            raise PydanticCustomError(
                "not_stored", "no item is stored here that could be referred to; send the item itself (store = false)"
            )
        return kind


class ResponseTool(FunctionTool):
    """A function; here its fields stand beside the type."""

    type: Literal["function"] = "function"


class NamedChoice(Body):
    """The function to be called."""

    type: Literal["function"] = "function"
    name: str


class TextForm(Body):
    """The form of the answer's text."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    name: str | None = None
    description: str | None = None
    schema_: Annotated[dict[str, Any] | None, Field(alias="schema")] = None
    strict: bool = False


class TextOptions(Body):
    """What the answer's text must be."""

    format: TextForm | None = None


class ReasoningOptions(Body):
    """How much the model thinks."""

    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = None
    also_ignored: ClassVar[frozenset[str]] = frozenset({"summary", "generate_summary"})


class StreamOptions(Body):
    """How to stream: there is nothing to choose."""

    also_ignored: ClassVar[frozenset[str]] = frozenset({"include_obfuscation"})


class ResponsesRequest(Body):
    """The body; nothing is stored, so that an earlier response cannot be named."""

    model: str | None = None
    input: str | Annotated[list[InputItem], Field(min_length=1)]
    instructions: str | None = None
    max_output_tokens: TokenCount | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    tools: Annotated[list[ResponseTool], Field(default_factory=list)]
    tool_choice: Literal["none", "auto", "required"] | NamedChoice | None = None
    parallel_tool_calls: bool = True
    text: TextOptions | None = None
    reasoning: ReasoningOptions | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    include: list[str] | None = None
    previous_response_id: str | None = None
    also_ignored: ClassVar[frozenset[str]] = frozenset({"client_metadata"})

    @field_validator("tools", mode="before")
    @classmethod
    def _without_what_is_never_called(cls, tools: Any) -> Any:  # noqa: ANN401 - of JSON
        kinds = (
            [each.get("type") if isinstance(each, dict) else None for each in tools] if isinstance(tools, list) else []
        )
        if "function" not in kinds:
            return tools
        return [each for each, kind in zip(tools, kinds, strict=True) if kind not in _NEVER_CALLED]

    @field_validator("previous_response_id")
    @classmethod
    def _nothing_is_stored(cls, _: str | None) -> str | None:
        raise PydanticCustomError("not_stored", "no response is stored here; send the earlier turns in input")

    @field_validator("include")
    @classmethod
    def _nothing_more(cls, extras: list[str] | None) -> list[str] | None:
        if unknown := [each for each in extras or () if each not in _EXTRAS_WITHOUT_EFFECT]:
            raise PydanticCustomError("unknown_extra", "{name} cannot be included", {"name": repr(unknown[0])})
        return extras

    def as_chat(self) -> ChatRequest:
        """The same request as chat completions have it. Raises pydantic's ValidationError, as a body does."""
        asked: dict[str, Any] = {
            "model": self.model,
            "messages": self._messages(),
            "stream": self.stream,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_completion_tokens": self.max_output_tokens,
            "parallel_tool_calls": self.parallel_tool_calls,
            "reasoning_effort": self.reasoning.effort if self.reasoning else None,
            "tools": [{"function": tool.model_dump(exclude={"type"})} for tool in self.tools],
        }
        if isinstance(self.tool_choice, NamedChoice):
            asked["tool_choice"] = {"type": "function", "function": {"name": self.tool_choice.name}}
        elif self.tool_choice is not None:
            asked["tool_choice"] = self.tool_choice
        form = self.text.format if self.text else None
        if form is not None:
            asked["response_format"] = {"type": form.type}
            if form.type == "json_schema":
                asked["response_format"]["json_schema"] = {
                    "name": form.name,
                    "schema": form.schema_ or {},
                    "strict": form.strict,
                }
        return ChatRequest.model_validate(asked)

    def _messages(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        if self.instructions:
            found.append({"role": "system", "content": self.instructions})
        if isinstance(self.input, str):
            return [*found, {"role": "user", "content": self.input}]
        for item in self.input:
            if item.type == "function_call":
                call = {"id": item.call_id or "", "function": {"name": item.name, "arguments": item.arguments or "{}"}}
                if not (found and found[-1]["role"] == "assistant"):
                    found.append({"role": "assistant", "content": ""})
                found[-1].setdefault("tool_calls", []).append(call)
            elif item.type == "function_call_output":
                found.append({"role": "tool", "tool_call_id": item.call_id, "content": text_of(item.output)})
            elif item.type == "message":
                found.append({"role": item.role or "user", "content": text_of(item.content)})
        return found
