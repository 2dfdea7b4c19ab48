"""JSON as a cloud answers it, and a value deep in it."""

from collections.abc import Mapping
from typing import Any, cast

from azure.core.exceptions import DecodeError


def value_at(body: Any, *path: str) -> Any:  # noqa: ANN401  (any JSON)
    """The value below the keys; None where one of them is missing."""
    for key in path:
        if not isinstance(body, Mapping):
            return None
        body = body.get(key)
    return body


def body_of(answer: Any) -> Mapping[str, Any]:  # noqa: ANN401  (the SDK's response)
    """The answer's JSON object. Raises DecodeError, one of the SDK's own, for anything else."""
    try:
        found = answer.json()
    except ValueError as error:
        raise DecodeError("no JSON came back", response=answer) from error
    if not isinstance(found, Mapping):
        raise DecodeError("no JSON object came back", response=answer)
    return cast("Mapping[str, Any]", found)
