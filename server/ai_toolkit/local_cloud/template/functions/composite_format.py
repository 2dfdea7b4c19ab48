"""`format()`: .NET's composite format. Text in braces is an argument's number, its width and its format.

Source: https://learn.microsoft.com/dotnet/standard/base-types/composite-formatting
"""

import re
from typing import Final

from ai_toolkit.local_cloud.template.functions.json_text import shown
from ai_toolkit.local_cloud.template.functions.number_format import format_number
from ai_toolkit.local_cloud.template.functions.values import FunctionError, Value, is_number, text, units, whole

LONGEST_TEXT: Final = 131_072  # more than a parameter or a template's value may have on Azure
_PART: Final = re.compile(r"\{\{|\}\}|\{ *(\d{1,7}) *(?:, *(-?\d{1,7}) *)?(?::((?:[^{}]|\{\{|\}\})*))?\}|[{}]")


def format_text(template: Value, *arguments: Value) -> str:
    """The text with every placeholder replaced by its argument."""

    def replace(match: re.Match[str]) -> str:
        if match[0] in {"{{", "}}"}:
            return match[0][0]
        if match[1] is None:
            raise FunctionError(f"The function 'format' was given a brace that has no partner in '{template}'.")
        index, width = int(match[1]), int(match[2] or 0)
        if index >= len(arguments):
            raise FunctionError(f"The function 'format' has no argument for '{match[0]}'.")
        if abs(width) > LONGEST_TEXT:
            raise FunctionError(f"The function 'format' makes text of at most {LONGEST_TEXT} characters.")
        argument, form = arguments[index], (match[3] or "").replace("{{", "{").replace("}}", "}")
        found = units(format_number(argument, form) if form and is_number(argument) else shown(argument, "'"))
        return found.rjust(width) if width >= 0 else found.ljust(-width)

    return whole(_PART.sub(replace, text(template, "format")))
