"""Numeric, logical and comparison functions of ARM templates.

Source: https://learn.microsoft.com/azure/azure-resource-manager/templates/template-functions-numeric
"""

import math
import re
from collections.abc import Callable
from typing import Final

from ai_toolkit.local_cloud.template.functions.collation import difference
from ai_toolkit.local_cloud.template.functions.values import (
    FunctionError,
    Group,
    Value,
    boolean,
    equals,
    integer,
    is_number,
    kind,
    unexpected,
    within_bounds,
)

MOST_NUMBERS: Final = 1000
GREATEST_OF_RANGE: Final = 2**31 - 1
_SPACE: Final = "[ \t\n\v\f\r]*"
_INTEGER: Final = re.compile(rf"{_SPACE}([+-]?[0-9]+){_SPACE}")
_FLOAT: Final = re.compile(rf"{_SPACE}([+-]?(?:[0-9][0-9,]*\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?){_SPACE}")
_BOOLEAN: Final = re.compile(rf"{_SPACE}(true|false){_SPACE}", re.IGNORECASE)


def _arithmetic(name: str, calculate: Callable[[int, int], int]) -> Callable[[Value, Value], int]:
    def call(one: Value, other: Value) -> int:
        return within_bounds(calculate(integer(one, name, 1), integer(other, name, 2)), name)

    return call


def _quotient(one: int, other: int) -> int:
    """Towards zero, as in .NET."""
    if other == 0:
        raise FunctionError("The function 'div' cannot divide by zero.")
    found = abs(one) // abs(other)
    return found if (one < 0) == (other < 0) else -found


def _remainder(one: int, other: int) -> int:
    if other == 0:
        raise FunctionError("The function 'mod' cannot divide by zero.")
    return (
        one - within_bounds(_quotient(one, other), "mod") * other
    )  # .NET's remainder overflows where its quotient does


def _extreme(name: str, choose: Callable[[list[Value]], Value]) -> Callable[..., Value]:
    def call(*values: Value) -> Value:
        numbers = values[0] if len(values) == 1 and isinstance(values[0], list) else list(values)
        if not numbers:
            raise FunctionError(f"The function '{name}' expects at least one number.")
        if not all(map(is_number, numbers)):
            raise FunctionError(f"The function '{name}' expects numbers only.")
        return choose(numbers)

    return call


def to_int(value: Value) -> int:
    """An integer from an integer or from text."""
    if not isinstance(value, str):
        if isinstance(value, bool) or not isinstance(value, int):
            raise unexpected("int", 1, "an integer or a string", value)
        return integer(value, "int")
    found = _INTEGER.fullmatch(value)
    if found is None:
        raise FunctionError(f"The function 'int' cannot read '{value}' as an integer.")
    return within_bounds(int(found[1]), "int")


def to_float(value: Value) -> float:
    """A number from text, a number or a boolean."""
    if isinstance(value, bool | int | float):
        return float(value)
    found = _FLOAT.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise FunctionError(f"The function 'float' cannot read {_shown(value)} as a number.")
    number = float(found[1].replace(",", ""))
    if math.isinf(number):
        raise FunctionError(f"The function 'float' cannot read {_shown(value)} as a number: it is too large.")
    return number


def to_bool(value: Value) -> bool:
    """A boolean from text or a number."""
    if isinstance(value, bool | int | float):
        return bool(value)
    found = _BOOLEAN.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise FunctionError(f"The function 'bool' cannot read {_shown(value)} as true or false.")
    return found[1].lower() == "true"


def _shown(value: Value) -> str:
    return f"'{value}'" if isinstance(value, str) else kind(value)


def number_range(start: Value, count: Value) -> list[int]:
    """So many integers from the first on."""
    first, how_many = integer(start, "range", 1), integer(count, "range", 2)
    if not 0 <= how_many <= MOST_NUMBERS or first + how_many > GREATEST_OF_RANGE:
        raise FunctionError(f"The function 'range' makes 0 to {MOST_NUMBERS} numbers, none above {GREATEST_OF_RANGE}.")
    return list(range(first, first + how_many))


def _compare(name: str, test: Callable[[float], bool]) -> Callable[[Value, Value], bool]:
    return lambda one, other: test(difference(one, other, name))


NUMBER_FUNCTIONS: Group = {
    "add": (_arithmetic("add", lambda one, other: one + other), 2, 2),
    "bool": (to_bool, 1, 1),
    "div": (_arithmetic("div", _quotient), 2, 2),
    "equals": (equals, 2, 2),
    "false": (lambda: False, 0, 0),
    "float": (to_float, 1, 1),
    "greater": (_compare("greater", lambda order: order > 0), 2, 2),
    "greaterorequals": (_compare("greaterOrEquals", lambda order: order >= 0), 2, 2),
    "int": (to_int, 1, 1),
    "less": (_compare("less", lambda order: order < 0), 2, 2),
    "lessorequals": (_compare("lessOrEquals", lambda order: order <= 0), 2, 2),
    "max": (_extreme("max", max), 1, None),
    "min": (_extreme("min", min), 1, None),
    "mod": (_arithmetic("mod", _remainder), 2, 2),
    "mul": (_arithmetic("mul", lambda one, other: one * other), 2, 2),
    "not": (lambda value: not boolean(value, "not"), 1, 1),
    "null": (lambda: None, 0, 0),
    "range": (number_range, 2, 2),
    "sub": (_arithmetic("sub", lambda one, other: one - other), 2, 2),
    "true": (lambda: True, 0, 0),
}
