"""What a body that cannot be taken is refused with: the one thing that is wrong, and where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic_core import ErrorDetails


def refusal(errors: Sequence[ErrorDetails], body: Any) -> tuple[str, str | None]:  # noqa: ANN401 - of JSON
    """The sentence, and the parameter at fault.

    A value that may have one of several forms is judged by the form that it comes nearest to, which is the one in which
    the fault lies deepest.
    """
    if broken := next((each for each in errors if each["type"] == "json_invalid"), None):
        place = broken["loc"][-1]
        why = (broken.get("ctx") or {}).get("error", broken["msg"])
        return f"The body is not JSON: {why} at character {place}.", None
    first = _real(errors[0], body)[:1]
    nearest = max((each for each in errors if _real(each, body)[:1] == first), key=lambda each: _depth(each, body))
    found = _real(nearest, body)
    param = str(found[0]) if found else None
    named = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in found).removeprefix(".")
    if nearest["type"] == "extra_forbidden":
        return f"The parameter {named} is not supported.", param
    return f"{named or 'body'}: {nearest['msg']}", param


def _depth(error: ErrorDetails, body: Any) -> tuple[int, bool]:  # noqa: ANN401 - of JSON
    """How far the form fitted; a wrong choice of form tells least, but where there is no choice it tells most."""
    if error["loc"][-1:] == ("type",) and list(error["loc"]) in (_real(error, body), ["body", *_real(error, body)]):
        return len(error["loc"]), True
    return len(_real(error, body)), error["type"] not in {"literal_error", "string_type", "list_type", "int_type"}


def _real(error: ErrorDetails, body: Any) -> list[str | int]:  # noqa: ANN401 - of JSON
    """The place without the names of forms, which are not in the body."""
    found: list[str | int] = []
    value: Any = body
    parts = error["loc"][1:] if error["loc"][:1] == ("body",) else error["loc"]
    for place, part in enumerate(parts):
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            if error["type"] != "missing" or place < len(parts) - 1:
                continue
        found.append(part)
    return found
