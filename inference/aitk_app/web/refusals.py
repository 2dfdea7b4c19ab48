"""What a body that cannot be taken is refused with: the one thing that is wrong, and where."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic_core import ErrorDetails

# The value has another kind than this form wants, so that the form was hardly meant.
_OTHER_KIND = frozenset(
    {"string_type", "list_type", "int_type", "dict_type", "model_type", "model_attributes_type", "literal_error"}
    | {"bool_type", "float_type", "int_parsing", "int_from_float", "float_parsing", "bool_parsing"}
)
_SHOULD = "Input should be "
_OBJECT = re.compile(r"a valid dictionary or (instance of \w+|object to extract fields from)")


def refusal(errors: Sequence[ErrorDetails], body: Any) -> tuple[str, str | None]:  # noqa: ANN401 - of JSON
    """The sentence, and the parameter at fault.

    A value that may have one of several forms is judged by the form that it comes nearest to; where it is none of them,
    all of them are named.
    """
    if broken := next((each for each in errors if each["type"] == "json_invalid"), None):
        place = broken["loc"][-1]
        why = (broken.get("ctx") or {}).get("error", broken["msg"])
        return f"The body is not JSON: {why} at character {place}.", None
    found = _nearest([_Fault(each, body) for each in errors], 0)
    way = found[0].place
    param = str(way[0]) if way else None
    named = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in way).removeprefix(".")
    if found[0].kind == "extra_forbidden":
        return f"The parameter {named} is not supported.", param
    return f"{named or 'body'}: {_together([each.message for each in found])}", param


class _Fault:
    """One error of pydantic's: its way through the body, in which names of forms stand between the real parts."""

    def __init__(self, error: ErrorDetails, body: Any) -> None:  # noqa: ANN401 - of JSON
        self.kind = error["type"]
        self.message = _OBJECT.sub("an object", error["msg"])
        parts = error["loc"][1:] if error["loc"][:1] == ("body",) else error["loc"]
        self.way: list[tuple[str | int, bool]] = []  # each part, and whether it is in the body
        value = body
        for number, part in enumerate(parts):
            try:
                value = value[part]
                is_real = True
            except (KeyError, IndexError, TypeError):
                is_real = self.kind == "missing" and number == len(parts) - 1
            self.way.append((part, is_real))

    @property
    def place(self) -> list[str | int]:
        """Where it is in the body."""
        return [part for part, is_real in self.way if is_real]

    def is_of_kind(self, step: int) -> bool:
        """Whether the value at this step is of another kind than the form wants."""
        return len(self.way) <= step and self.kind in _OTHER_KIND

    def is_of_type(self, step: int) -> bool:
        """Whether the field `type`, which tells forms apart, has another value at this step."""
        return self.way[step:] == [("type", True)] and self.kind == "literal_error"


def _nearest(faults: list[_Fault], step: int) -> list[_Fault]:
    """The fault to tell; several where a value is none of several forms."""
    ended = [each for each in faults if len(each.way) <= step]
    if ended:
        return ended[:1]
    part, is_real = faults[0].way[step]
    if is_real:
        told = next((each for each in faults if each.is_of_type(step)), None)
        if told is not None:
            return [told]
        return _nearest([each for each in faults if each.way[step] == (part, True)], step + 1)
    return _of_forms(faults, step)


def _of_forms(faults: list[_Fault], step: int) -> list[_Fault]:
    """The same where the value may have several forms, each of which found its faults."""
    forms: dict[str | int, list[_Fault]] = {}
    for each in faults:
        forms.setdefault(each.way[step][0], []).append(each)
    meant = [form for form in forms.values() if not form[0].is_of_kind(step + 1)]
    if not meant:
        return [form[0] for form in forms.values()]
    named = [form for form in meant if not any(each.is_of_type(step + 1) for each in form)]
    if not named:
        return [each for form in meant for each in form if each.is_of_type(step + 1)]
    nearest = min(named, key=_distance)
    alike = [form[0] for form in named if _distance(form) == _distance(nearest) and form[0].place == nearest[0].place]
    if len(alike) > 1 and all(each.kind in _OTHER_KIND for each in alike):
        return alike
    return _nearest(nearest, step + 1)


def _distance(form: list[_Fault]) -> tuple[int, list[float]]:
    """Fewer faults are nearer, then those that lie further into lists, then deeper ones."""
    return len(form), [*(-part for part in form[0].place if isinstance(part, int)), math.inf]


def _together(messages: Sequence[str]) -> str:
    """What is wrong, where several things would be right."""
    if len(messages) == 1 or not all(each.startswith(_SHOULD) for each in messages):
        return messages[0]
    return _SHOULD + ", or ".join(dict.fromkeys(each.removeprefix(_SHOULD) for each in messages))
