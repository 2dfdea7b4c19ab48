"""JSON as the Resource Manager reads it: with comments, unquoted names, trailing commas and long strings.

The Azure CLI sends a template as its file has it, behind a name without quotes.
"""

import json
import re
from typing import Any

_TOKEN = re.compile(
    r"""
    (?P<string>"(?:[^"\\]|\\.)*")
    | (?P<comment>//[^\r\n]*|/\*.*?\*/)
    | (?P<name>[A-Za-z_$][\w$]*(?=\s*:))
    | (?P<comma>,(?=(?:\s|//[^\r\n]*(?:[\r\n]|$)|/\*.*?\*/)*[}\]]))
    """,
    re.VERBOSE | re.DOTALL,
)
_CONTROL = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def read_json(content: bytes) -> Any:  # noqa: ANN401  # a JSON value
    """The value; ValueError where even a relaxed reader finds no sense."""
    try:
        return json.loads(content)
    except ValueError:
        return json.loads(_TOKEN.sub(_strict, content.decode()))


def _strict(match: re.Match[str]) -> str:
    text = match[0]
    if match["string"]:
        return re.sub(r"[\n\r\t]", lambda control: _CONTROL[control[0]], text)
    return f'"{text}"' if match["name"] else " "
