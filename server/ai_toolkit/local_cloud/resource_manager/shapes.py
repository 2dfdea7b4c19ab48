"""The shapes of JSON that the tables of resource bodies are made of."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Text:
    """A string."""


@dataclass(frozen=True)
class OneOf:
    """One of some words, in any case."""

    words: tuple[str, ...]


@dataclass(frozen=True)
class Integer:
    """A whole number, within bounds where there are any."""

    least: int | None = None
    most: int | None = None


@dataclass(frozen=True)
class Kind:
    """A value of a JSON type."""

    name: str
    types: tuple[type, ...]


@dataclass(frozen=True)
class ListOf:
    """An array."""

    item: "Shape"


@dataclass(frozen=True)
class MapOf:
    """An object with names of the caller's choice."""

    item: "Shape"


@dataclass(frozen=True)
class Anything:
    """Whatever it is: it is not looked at."""


@dataclass(frozen=True)
class NotEmulated:
    """A property that Azure knows and the local cloud does not emulate: refused, and named, where it is sent."""


Shape = Text | OneOf | Integer | Kind | ListOf | MapOf | Anything | NotEmulated | Mapping[str, "Shape"]
Table = Mapping[str, Shape]

TEXT: Final = Text()
TEXTS: Final = ListOf(TEXT)
INTEGER: Final = Integer()
NUMBER: Final = Kind("number", (int, float))
BOOLEAN: Final = Kind("boolean", (bool,))
SWITCH: Final = OneOf(("Enabled", "Disabled"))
TURNED_ON: Final[Table] = {"enabled": BOOLEAN}


def one_of(*words: str) -> OneOf:
    """One of the words."""
    return OneOf(words)


def answered(*names: str) -> dict[str, Shape]:
    """Properties that only answers hold."""
    return {f"{name}=": Anything() for name in names}


def not_emulated(*names: str) -> dict[str, Shape]:
    """Properties that are refused by name."""
    return {name: NotEmulated() for name in names}


ANY_RESOURCE: Final[Table] = answered("id", "name", "type", "systemData")
TRACKED: Final[Table] = {**ANY_RESOURCE, "location*": TEXT, "tags": MapOf(TEXT)}
USER_ASSIGNED: Final = MapOf(answered("principalId", "clientId"))
IDENTITY: Final[Table] = {
    "type*": one_of("None", "SystemAssigned", "UserAssigned", "SystemAssigned,UserAssigned"),
    "userAssignedIdentities": USER_ASSIGNED,
    **answered("principalId", "tenantId"),
}
