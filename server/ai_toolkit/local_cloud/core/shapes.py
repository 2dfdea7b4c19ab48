"""The shapes of JSON that the tables of resource bodies and templates are made of, and their check.

In a table a name ends in `*` when it is required, in `=` when only answers hold it (in a request it is
ignored, as on Azure); the name `…` stands for any other. The tables of resource bodies name all of the
properties that Azure publishes; those that the local cloud does not emulate are refused, and named, where
they ask for something, rather than ignored.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final

Value = Any  # a JSON value


@dataclass(frozen=True)
class Text:
    """A string."""


@dataclass(frozen=True)
class OneOf:
    """One of some words, in any case; answers have them as they stand here, or `is_echoed` as they were sent."""

    words: tuple[str, ...]
    is_echoed: bool = False


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
    """A property that Azure knows and the local cloud does not emulate: refused, and named, where it is sent.

    What is null, empty, off or a default of Azure's asks for nothing, and is not refused.
    """

    defaults: tuple[str, ...] = ()


@dataclass(frozen=True)
class Kept:
    """A property that Azure keeps and nothing here could observe: stored and returned. `FIDELITY.md` names each."""


@dataclass(frozen=True)
class Typed:
    """The api-versions whose types were read; a body of another version is read like the nearest of them."""

    versions: tuple[str, ...]

    def nearest(self, api_version: str) -> str:
        """The one by whose types a version is checked."""
        wanted = _day(api_version)
        return min(self.versions, key=lambda version: abs(_day(version) - wanted))


@dataclass(frozen=True)
class InVersions:
    """A property that only some of the typed versions have."""

    inner: "Shape"
    typed: Typed
    known: frozenset[str]


Shape = (
    Text | OneOf | Integer | Kind | ListOf | MapOf | Anything | NotEmulated | Kept | InVersions | Mapping[str, "Shape"]
)
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
    """Properties that are refused by name where they ask for something."""
    return {name: NotEmulated() for name in names}


def kept(*names: str) -> dict[str, Shape]:
    """Properties that are kept and returned."""
    return {name: Kept() for name in names}


def _day(api_version: str) -> int:
    return date.fromisoformat(api_version[:10]).toordinal()


def asks_for_nothing(value: Value, defaults: tuple[str, ...] = ()) -> bool:
    """Whether a value is null, empty, off or a default, with all that is in it."""
    if isinstance(value, dict):
        return all(asks_for_nothing(item, defaults) for item in value.values())
    if isinstance(value, list):
        return all(asks_for_nothing(item, defaults) for item in value)
    return not value or value in defaults


ANY_RESOURCE: Final[Table] = answered("id", "name", "type", "systemData")
TRACKED: Final[Table] = {**ANY_RESOURCE, "location*": TEXT, "tags": MapOf(TEXT)}
USER_ASSIGNED: Final = MapOf(answered("principalId", "clientId"))
IDENTITY: Final[Table] = {
    "type*": one_of("None", "SystemAssigned", "UserAssigned", "SystemAssigned,UserAssigned"),
    "userAssignedIdentities": USER_ASSIGNED,
    **answered("principalId", "tenantId"),
}


@dataclass(frozen=True)
class Problem:
    """What is wrong with a body, and where."""

    target: str
    message: str
    not_emulated: bool = False


@dataclass(frozen=True)
class Reading:
    """How a value is read: as a whole or a PATCH; as it stands, or with expressions that are evaluated later."""

    is_whole: bool = True
    is_literal: bool = False
    api_version: str | None = None  # None: of any version


def problems_of(shape: Shape, value: Value, path: str, reading: Reading) -> Iterator[Problem]:
    """What is wrong with a value; a name in a table is written as this module says."""
    if value is None or (_is_expression(value) and not reading.is_literal):
        return  # null is not given, and what only the deployment can evaluate is checked then
    if isinstance(shape, InVersions):
        shape = shape.inner
    if isinstance(shape, NotEmulated):
        if asks_for_nothing(value, shape.defaults):
            return
        yield Problem(path, f"The local cloud does not emulate the property '{path}'.", not_emulated=True)
    elif isinstance(shape, ListOf | MapOf):
        yield from _item_problems(shape, value, path, reading)
    elif isinstance(shape, Mapping):
        yield from _object_problems(shape, value, path, reading)
    elif not isinstance(shape, Anything | Kept | InVersions) and (message := _value_problem(shape, value)):
        yield Problem(path, message)


def _item_problems(shape: ListOf | MapOf, value: Value, path: str, reading: Reading) -> Iterator[Problem]:
    if isinstance(shape, ListOf):
        items = {f"{path}[{index}]": item for index, item in enumerate(value)} if isinstance(value, list) else None
    else:
        items = {f"{path}.{name}": item for name, item in value.items()} if isinstance(value, dict) else None
    if items is None:
        yield Problem(path, "An array is expected." if isinstance(shape, ListOf) else "An object is expected.")
        return
    for here, item in items.items():
        if item is None and (isinstance(shape, ListOf) or reading.is_literal) and not isinstance(shape.item, Anything):
            yield Problem(here, "A value is expected, not null.")
        yield from problems_of(shape.item, item, here, replace(reading, is_whole=True))


def _value_problem(shape: Text | OneOf | Integer | Kind, value: Value) -> str | None:
    if isinstance(shape, Kind):
        is_number_and_not = isinstance(value, bool) and bool not in shape.types
        fits = isinstance(value, shape.types) and not is_number_and_not
        return None if fits else f"A value of type {shape.name} is expected."
    if isinstance(shape, Integer):
        if isinstance(value, bool) or not isinstance(value, int):
            return "A value of type integer is expected."
        too_small = shape.least is not None and value < shape.least
        too_large = shape.most is not None and value > shape.most
        return f"{value} is not from {shape.least} to {shape.most}." if too_small or too_large else None
    if not isinstance(value, str):
        return "A string is expected."
    if isinstance(shape, OneOf) and folded(value) not in {folded(word) for word in shape.words}:
        return f"'{value}' is none of {', '.join(shape.words)}."
    return None


def folded(word: str) -> str:
    """A word as Azure compares it: without regard to case and spaces."""
    return word.replace(" ", "").lower()


def _object_problems(shape: Table, value: Value, path: str, reading: Reading) -> Iterator[Problem]:
    if not isinstance(value, dict):
        yield Problem(path, "An object is expected.")
        return
    by_name = {written.rstrip("*="): (written, inner) for written, inner in shape.items()}
    for name, item in value.items():
        here = f"{path}.{name}" if path else name
        if name not in by_name or _is_of_other_versions(by_name[name][1], item, reading):
            if "…" not in by_name and item is not None:  # null asks for nothing
                yield Problem(here, f"Could not find member '{name}' on an object of this type.")
        elif not by_name[name][0].endswith("="):
            yield from problems_of(by_name[name][1], item, here, reading)
    for name, (written, _inner) in by_name.items():
        if reading.is_whole and written.endswith("*") and value.get(name) is None:
            yield Problem(f"{path}.{name}" if path else name, f"The property '{name}' is required.")


def writable(shape: Shape, value: Value) -> Value:
    """What of a value a request could hold: without what only answers have, and without what is null or empty."""
    if isinstance(shape, InVersions):
        shape = shape.inner
    if isinstance(shape, Mapping) and isinstance(value, dict):
        by_name = {written.rstrip("*="): (written, inner) for written, inner in shape.items()}
        found = {
            name: writable(by_name[name][1], item) if name in by_name else item
            for name, item in value.items()
            if ("…" in by_name if name not in by_name else not by_name[name][0].endswith("="))
        }
        return {name: item for name, item in found.items() if not _is_empty(item)}
    if isinstance(shape, MapOf) and isinstance(value, dict):
        return {name: writable(shape.item, item) for name, item in value.items()}
    if isinstance(shape, ListOf) and isinstance(value, list):
        return [writable(shape.item, item) for item in value]
    return value


def _is_empty(value: Value) -> bool:
    return value is None or value in ([], {})


def _is_of_other_versions(shape: Shape, value: Value, reading: Reading) -> bool:
    """Whether the api-version that the request names does not have the property."""
    if not isinstance(shape, InVersions) or reading.api_version is None or value is None:
        return False
    return shape.typed.nearest(reading.api_version) not in shape.known


def _is_expression(value: Value) -> bool:
    return isinstance(value, str) and value.startswith("[") and value.endswith("]") and not value.startswith("[[")
