"""A value deep in a resource's JSON."""

from collections.abc import Mapping
from typing import Any


def value_at(body: Any, *path: str) -> Any:  # noqa: ANN401  (any JSON)
    """The value below the keys; None where one of them is missing."""
    for key in path:
        if not isinstance(body, Mapping):
            return None
        body = body.get(key)
    return body
