"""The body of `POST /v1/responses`: OpenAI's newer API, taken as the same request that chat completions are.

Source: https://platform.openai.com/docs/api-reference/responses/create
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from aitk_app.web.asks_for_nothing import Body
from aitk_app.web.message_bodies import Content, Part, text_of
from aitk_app.web.request_bodies import ChatRequest, TokenCount
from aitk_app.web.tool_bodies import FunctionTool

# What items of other kinds than ours would tell besides; there is no key to what is not kept either.
_EXTRAS_WITHOUT_EFFECT = frozenset(
    {"reasoning.encrypted_content", "web_search_call.results", "web_search_call.action.sources"}
    | {"file_search_call.results", "code_interpreter_call.outputs", "computer_call_output.output.image_url"}
    | {"message.input_image.image_url"}
)


# Tools of OpenAI's own that programs offer with every request, unasked (Codex does), beside functions of theirs. A
# model may call a tool and need not: these it never calls. What names something of the caller's (vector stores, a
# server, a container, a screen) was meant, and is refused by name; so is every tool where no function stands beside it.
_NEVER_CALLED = frozenset(
    {"apply_patch", "custom", "image_generation", "local_shell", "namespace", "programmatic_tool_calling", "shell"}
    | {"tool_search", "web_search", "web_search_2025_08_26", "web_search_preview", "web_search_preview_2025_03_11"}
)


_REFUSED = frozenset({"code_interpreter", "computer", "computer_use_preview", "file_search", "mcp"})


class InputItem(Body):
    """A turn, a call that an earlier answer made, what was answered to it, or an earlier answer's reasoning."""

    type: Literal["message", "function_call", "function_call_output", "reasoning"] = "message"
    role: Literal["system", "developer", "user", "assistant"] | None = None
    content: Content | None = None
    summary: list[Part] | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    output: Content | None = None
    also_ignored: ClassVar[frozenset[str]] = frozenset({"id", "status", "encrypted_content", "phase", "caller"})

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
                "not_stored",
                "no item is stored here that could be referred to; send the item itself, as clients do with store = "
                "false (the AI SDK: providerOptions.openai.store)",
            )
        return kind


class ResponseTool(FunctionTool):
    """A function; here its fields stand beside the type."""

    type: Literal["function"] = "function"


class NamedChoice(Body):
    """The function to be called."""

    type: Literal["function"] = "function"
    name: str


class AllowedChoice(Body):
    """A choice among some of the functions; other tools that it names are never called."""

    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"] = "auto"
    tools: list[NamedChoice]

    @field_validator("tools", mode="before")
    @classmethod
    def _without_what_is_never_called(cls, tools: Any) -> Any:  # noqa: ANN401 - of JSON
        return without_what_is_never_called(tools)


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
    tool_choice: Literal["none", "auto", "required"] | NamedChoice | AllowedChoice | None = None
    parallel_tool_calls: bool = True
    text: TextOptions | None = None
    reasoning: ReasoningOptions | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    include: list[str] | None = None
    previous_response_id: str | None = None
    also_ignored: ClassVar[frozenset[str]] = frozenset({"client_metadata", "max_tool_calls"})

    @field_validator("tools", mode="before")
    @classmethod
    def _without_what_is_never_called(cls, tools: Any) -> Any:  # noqa: ANN401 - of JSON
        return without_what_is_never_called(tools)

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
        elif isinstance(self.tool_choice, AllowedChoice):
            names = [{"function": {"name": each.name}} for each in self.tool_choice.tools]
            allowed = {"mode": self.tool_choice.mode, "tools": names}
            asked["tool_choice"] = {"type": "allowed_tools", "allowed_tools": allowed}
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
        thought = ""
        for item in self.input:
            if item.type == "reasoning":
                thought += text_of(item.content) or text_of(item.summary)
                continue
            if item.type == "function_call_output":
                found.append({"role": "tool", "tool_call_id": item.call_id, "content": text_of(item.output)})
            elif item.type == "message":
                found.append({"role": item.role or "user", "content": text_of(item.content)})
            else:
                call = {"id": item.call_id or "", "function": {"name": item.name, "arguments": item.arguments or "{}"}}
                if thought or not (found and found[-1]["role"] == "assistant"):
                    found.append({"role": "assistant", "content": ""})
                found[-1].setdefault("tool_calls", []).append(call)
            if thought and found[-1]["role"] == "assistant":
                found[-1]["reasoning_content"] = thought
            thought = ""
        return found


def without_what_is_never_called(tools: Any) -> Any:  # noqa: ANN401 - of JSON
    """The tools without what a model need not call, and never does here. Raises for what was meant to be called."""
    kinds = [each.get("type") if isinstance(each, dict) else None for each in tools] if isinstance(tools, list) else []
    left_out = _NEVER_CALLED if "function" in kinds else frozenset()
    refused = (_NEVER_CALLED | _REFUSED) - left_out
    for place, kind in enumerate(kinds):
        if isinstance(kind, str) and kind in refused:
            raise PydanticCustomError(
                "hosted_tool",
                "number {place}, {kind}, is a tool of OpenAI's own, which nothing carries out here; offer functions",
                {"place": place, "kind": repr(kind)},
            )
    return [each for each, kind in zip(tools, kinds, strict=True) if kind not in left_out] if left_out else tools
