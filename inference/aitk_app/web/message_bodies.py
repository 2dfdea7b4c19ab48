"""The turns of a conversation as clients send them, those that this API has returned included."""

from __future__ import annotations

import json
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from aitk_app.web.asks_for_nothing import Body
from aitk_app.web.prompt import Message, ToolCall


class Part(Body):
    """A piece of a message's content."""

    type: str
    text: str | None = None
    refusal: str | None = None
    # What clients add to the parts that they keep: none of it is said to a model.
    also_ignored: ClassVar[frozenset[str]] = frozenset(
        {"id", "logprobs", "annotations", "role", "status", "parsed", "name", "index", "citations", "extras"}
        | {"providerData", "provider_specific_fields", "providerOptions", "phase"}
    )

    @field_validator("type")
    @classmethod
    def _is_text(cls, kind: str) -> str:
        if kind not in {"text", "input_text", "output_text", "refusal", "summary_text", "reasoning_text"}:
            raise PydanticCustomError(
                "only_text", "a part of type {kind} cannot be read: this model takes text only", {"kind": repr(kind)}
            )
        return kind

    @property
    def said(self) -> str:
        """Its text."""
        return (self.refusal if self.type == "refusal" else self.text) or ""


class FunctionCall(Body):
    """The function that was called, and with what."""

    name: Annotated[str, Field(min_length=1)]
    arguments: str | dict[str, Any] = "{}"

    def read(self) -> dict[str, Any] | str:
        """The arguments as an object; as text where the model wrote none."""
        if not isinstance(self.arguments, str):
            return self.arguments
        try:
            found = json.loads(self.arguments or "{}")
        except ValueError:
            return self.arguments
        return found if isinstance(found, dict) else self.arguments


class CallOfTool(Body):
    """A call that an earlier answer made."""

    id: str = ""
    type: Literal["function"] = "function"
    function: FunctionCall
    index: int | None = None
    also_ignored: ClassVar[frozenset[str]] = frozenset({"extra_content"})


Content = str | list[Part]


class ChatMessage(Body):
    """One turn."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Content | None = None
    name: str | None = None
    refusal: str | None = None
    tool_calls: list[CallOfTool] | None = None
    function_call: FunctionCall | None = None
    tool_call_id: str | None = None
    reasoning_content: str | None = None
    # What servers and editors add to the turns that they keep.
    also_ignored: ClassVar[frozenset[str]] = frozenset(
        {"id", "reasoning", "reasoning_details", "provider_specific_fields", "thinking_blocks", "status", "type"}
        | {"reasoning_opaque", "reasoning_text", "cot_id", "cot_summary", "parsed", "providerMetadata"}
        | {"timestamp", "created_at", "createdAt", "model", "models", "modelName", "parentId", "childrenIds", "done"}
    )

    @field_validator("role", mode="before")
    @classmethod
    def _known_role(cls, role: Any) -> Any:  # noqa: ANN401 - of JSON
        return role.lower() if isinstance(role, str) else role

    def plain(self) -> Message:
        """The turn as the prompt template takes it."""
        content = text_of(self.content) or self.refusal or ""
        role = {"developer": "system", "function": "tool"}.get(self.role, self.role)
        calls = [ToolCall(each.function.name, each.function.read(), each.id) for each in self.tool_calls or ()]
        if self.function_call is not None:
            calls.append(ToolCall(self.function_call.name, self.function_call.read(), ""))
        return Message(role, content, tuple(calls), self.tool_call_id, self.name, self.reasoning_content)


def text_of(content: Content | None) -> str:
    """The text of all parts."""
    if isinstance(content, list):
        return "".join(part.said for part in content)
    return content or ""
