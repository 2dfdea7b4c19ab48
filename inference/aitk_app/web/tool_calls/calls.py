"""The text of calls, as models of different families write it, read into names and arguments."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import dataclass
from typing import Any

_DECODER = json.JSONDecoder()
_FENCE = re.compile(r"^\s*```(?:json)?\s*|\s*```\s*$")
_ARGUMENTS = ("arguments", "parameters", "args", "input")
_NAMED = re.compile(
    r"\s*(?:<｜tool▁call▁begin｜>)?(?:function<｜tool▁sep｜>)?(?P<name>[\w.-]+)\s*"
    r"(?:\[CALL_ID\]\w+)?(?:\[ARGS\]|<｜tool▁sep｜>)?\s*(?:```json)?\s*(?=\{)"
)
_AFTER_NAMED = re.compile(r"\s*(?:```)?\s*(?:<｜tool▁call▁end｜>)?\s*(?:\[TOOL_CALLS\])?")
_FUNCTION = re.compile(r"<function=([^>]+)>(.*?)(?:</function>|\Z)", re.DOTALL)
_PARAMETER = re.compile(r"<parameter=([^>]+)>\n?(.*?)\n?(?:</parameter>|(?=<parameter=)|\Z)", re.DOTALL)
_MARKED = re.compile(r"<arg_key>(.*?)</arg_key>\s*<arg_value>(.*?)</arg_value>", re.DOTALL)


@dataclass(frozen=True)
class Written:
    """A call as the model wrote it; `loose`: the values are text, whose types the tool's schema says."""

    name: str
    arguments: dict[str, Any]
    loose: bool = False


def json_calls(text: str) -> list[Written]:
    """JSON objects, or lists of them, one after the other. Raises ValueError."""
    found: list[Written] = []
    rest = _FENCE.sub("", text).strip()
    while rest:
        value, end = _DECODER.raw_decode(rest)
        found += [_from_object(each) for each in (value if isinstance(value, list) else [value])]
        rest = rest[end:].lstrip(" \t\r\n;,")
        if rest.startswith(("```", "[TOOL_CALLS]", "<|tool_call|>")):
            rest = _FENCE.sub("", rest.removeprefix("[TOOL_CALLS]").removeprefix("<|tool_call|>")).strip()
    if not found:
        raise ValueError("no call")
    return found


def _from_object(value: Any) -> Written:  # noqa: ANN401 - of JSON
    if not isinstance(value, dict):
        raise ValueError("no object")  # noqa: TRY004 - what is read is a text
    inner = value.get("function")
    if isinstance(inner, dict):
        value = inner
    name = value.get("name", inner if isinstance(inner, str) else None)
    arguments: Any = next((value[each] for each in _ARGUMENTS if each in value), {})
    if isinstance(arguments, str):
        arguments = json.loads(arguments or "{}")
    if not isinstance(name, str) or not name or not isinstance(arguments, dict):
        raise ValueError("no name or no arguments")
    return Written(name, arguments)


def named_json(text: str) -> list[Written]:
    """A name followed by its arguments, once or more; or JSON alone. Raises ValueError."""
    if text.lstrip().startswith(("[{", "{", "[ {", "[\n")):
        return json_calls(text)
    found: list[Written] = []
    place = 0
    while text[place:].strip():
        match = _NAMED.match(text, place)
        if match is None:
            raise ValueError("no name before arguments")
        arguments: dict[str, Any]
        arguments, place = _DECODER.raw_decode(text, match.end())
        found.append(Written(match["name"], arguments))
        after = _AFTER_NAMED.match(text, place)
        place = after.end() if after else place
    if not found:
        raise ValueError("no call")
    return found


def xml_parameters(text: str) -> list[Written]:
    """`<function=NAME><parameter=KEY>VALUE…`, or JSON. Raises ValueError."""
    found = [
        Written(name.strip(), {key.strip(): value for key, value in _PARAMETER.findall(body)}, loose=True)
        for name, body in _FUNCTION.findall(text)
    ]
    return found or json_calls(text)


def marked_arguments(text: str) -> list[Written]:
    """`NAME<arg_key>KEY</arg_key><arg_value>VALUE</arg_value>…`, or JSON. Raises ValueError."""
    name = text.partition("<arg_key>")[0].strip()
    if not re.fullmatch(r"[\w.-]+", name):
        return json_calls(text)
    return [Written(name, {key.strip(): value for key, value in _MARKED.findall(text)}, loose=True)]


def channel_call(text: str) -> list[Written]:
    """` to=functions.NAME <|constrain|>json<|message|>{…}`. Raises ValueError."""
    head, mark, body = text.partition("<|message|>")
    match = re.search(r"to=(?:functions\.)?([\w.-]+)", head)
    if not mark or match is None:
        raise ValueError("no recipient")
    arguments = json.loads(body.strip() or "{}")
    if not isinstance(arguments, dict):
        raise ValueError("no object")  # noqa: TRY004 - what is read is a text
    return [Written(match[1], arguments)]


def pythonic_calls(text: str) -> list[Written]:
    """`[name(key="value"), …]` as Python writes it, or JSON. Raises ValueError."""
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return json_calls(text)
    found = []
    for each in tree.elts if isinstance(tree, (ast.List, ast.Tuple)) else [tree]:
        if not isinstance(each, ast.Call) or each.args:
            return json_calls(text)
        arguments = {key.arg: ast.literal_eval(key.value) for key in each.keywords if key.arg}
        found.append(Written(ast.unparse(each.func), arguments))
    if not found:
        raise ValueError("no call")
    return found


def with_types(written: Written, schema: dict[str, Any]) -> dict[str, Any]:
    """The arguments; values that were written as text get the type that the tool's schema says."""
    if not written.loose:
        return written.arguments
    properties = schema.get("properties")
    known: dict[str, Any] = properties if isinstance(properties, dict) else {}
    return {key: _typed(value, known.get(key)) for key, value in written.arguments.items()}


def _typed(value: Any, schema: Any) -> Any:  # noqa: ANN401 - of JSON
    if not isinstance(value, str):
        return value
    kind = schema.get("type") if isinstance(schema, dict) else None
    kinds = kind if isinstance(kind, list) else [kind]
    if kinds == ["string"] or (kind is None and isinstance(schema, dict) and "enum" in schema):
        return value
    try:
        read = json.loads(value.strip())
    except ValueError:
        lowered = value.strip().lower()
        if "boolean" in kinds and lowered in {"true", "false"}:
            return lowered == "true"
        return None if "null" in kinds and lowered in {"none", "null"} else value
    return value if "string" in kinds and not isinstance(read, (dict, list)) else read
