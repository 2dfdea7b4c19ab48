"""The functions that a request offers to the model, and which of them it may or must call."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from aitk_app.web.asks_for_nothing import Body

NAME = r"^[a-zA-Z0-9_.-]{1,128}$"


class FunctionTool(Body):
    """A function that the model may call; its parameters are a JSON schema."""

    name: Annotated[str, Field(pattern=NAME)]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool = False
    # What programs know of their tools besides, MCP's words among it: no chat template says it to a model.
    also_ignored: ClassVar[frozenset[str]] = frozenset(
        {"type", "id", "title", "annotations", "outputSchema", "output_schema", "returns", "response", "icons", "_meta"}
        | {"execution", "defer_loading", "input_examples", "allowed_callers"}
    )

    @property
    def schema_of_arguments(self) -> dict[str, Any]:
        """What its arguments must be; a function without parameters takes none."""
        return self.parameters or {"type": "object", "properties": {}}


class Tool(Body):
    """A tool; only functions are tools that a caller can carry out."""

    type: Literal["function"] = "function"
    function: FunctionTool
    also_ignored: ClassVar[frozenset[str]] = frozenset({"id", "defer_loading"})

    def as_template_takes_it(self) -> dict[str, Any]:
        """In OpenAI's form, for which chat templates are written."""
        function = {
            "name": self.function.name,
            "description": self.function.description or "",
            "parameters": self.function.schema_of_arguments,
        }
        return {"type": "function", "function": function}


class NamedFunction(Body):
    """The function to be called."""

    name: str


class NamedTool(Body):
    """The tool to be called."""

    type: Literal["function"] = "function"
    function: NamedFunction


class AllowedTools(Body):
    """Some of the tools."""

    mode: Literal["auto", "required"] = "auto"
    tools: list[NamedTool]


class ChoiceOfAllowed(Body):
    """A choice among some of the tools."""

    type: Literal["allowed_tools"]
    allowed_tools: AllowedTools


ToolChoice = Literal["none", "auto", "required"] | NamedTool | ChoiceOfAllowed
