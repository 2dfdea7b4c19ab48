"""In what the values of two answers differ, apart from names, times and what is another one each time."""

import re
from collections.abc import Callable, Iterator
from typing import Any

OWN = "(its own)"  # what stands for a value that is another one in every cloud
VOLATILE = re.compile(
    r'(?i)"?[0-9a-f]{8}-[0-9a-f-]{27}"?|F0{20,}\w*|0{64}|https?://\S+|wss?://\S+|\d{4}-\d\d-\d\dT[\d:.]+(Z|\+00:00)?'
    r"|\w{3}, \d\d \w{3} \d{4} [\d:]+ GMT|\(e-mail \d+\)|local-cloud|(\d{1,3}\.){3}\d{1,3}(:\d+)?|REDACTED"
    r'|\S*samplefield-\S+|\S+\.local\.invalid|"0x\w+"|[A-Za-z0-9+/]{80,}=*'
)

COUNTS = {"usage", "currentValue"}  # which tell what else there is
REVISION = re.compile(r"--[a-z0-9]{7}\b")  # what Azure makes up of a revision's name


def differences(theirs: Any, ours: Any, adapt: Callable[[str], str], path: str = "") -> Iterator[str]:
    """`properties.a is 1 where Azure's is 2`; names that are missing altogether are another comparison's."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for name, value in theirs.items():
            if name in ours and name not in COUNTS:
                yield from differences(value, ours[name], adapt, f"{path}.{name}".lstrip("."))
    elif isinstance(theirs, list) and isinstance(ours, list):
        for one, other in _pairs(theirs, ours, adapt):
            yield from differences(one, other, adapt, f"{path}[]")
    elif (told := _told(theirs, adapt)) != (own := _told(ours, adapt)) and OWN not in (told, own):
        kind = "is spelled" if str(told).lower() == str(own).lower() and isinstance(theirs, str) else "is"
        yield f"{path} {kind} {_short(own)} where Azure's is {_short(told)}"


def _pairs(theirs: list[Any], ours: list[Any], adapt: Callable[[str], str]) -> Iterator[tuple[Any, Any]]:
    """Items that are the same thing: of the same name (the last of it), or without names at the same place."""
    named, recorded = ({_name(one, adapt): one for one in items} for items in (ours, theirs))
    for name, one in recorded.items():
        if name and name in named:
            yield one, named[name]
    yield from ((one, other) for one, other in zip(theirs, ours, strict=False) if _is_nameless(one, other, adapt))


def _is_nameless(one: Any, other: Any, adapt: Callable[[str], str]) -> bool:
    return isinstance(one, dict) and not _name(one, adapt) and not _name(other, adapt)


def _name(item: Any, adapt: Callable[[str], str]) -> str:
    """By what an item of a list is known; empty where it has no name."""
    if not isinstance(item, dict):
        return ""
    found = item.get("name") or item.get("resourceType") or item.get("subscriptionId") or ""
    return str(_told(found["value"] if isinstance(found, dict) else found, adapt)).lower()


def _told(value: Any, adapt: Callable[[str], str]) -> Any:
    """A value as it can be compared: without what is another one in every cloud."""
    if isinstance(value, str):
        adapted = REVISION.sub("--*", adapt(value))
        return OWN if VOLATILE.fullmatch(adapted) else adapted
    return value


def _short(value: Any) -> str:
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    kinds = {dict: "an object", list: "a list"}
    return kinds.get(type(value), f"'{text}'" if isinstance(value, str) else text)
