"""What a resource's body may hold: tables of the properties that Azure publishes, and their check.

In a table a name ends in `*` when it is required, in `=` when only answers hold it (in a request it is
ignored, as on Azure); the name `…` stands for any other. The tables name all of Azure's properties; those
that the local cloud does not emulate are refused, and named, rather than ignored.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ai_toolkit.local_cloud.arm_error import ArmError, JsonObject
from ai_toolkit.local_cloud.resource_manager.app_bodies import APP, ENVIRONMENT, JOB, STORAGE
from ai_toolkit.local_cloud.resource_manager.shapes import (
    Anything,
    Integer,
    Kind,
    ListOf,
    MapOf,
    NotEmulated,
    OneOf,
    Shape,
    Table,
    Text,
)
from ai_toolkit.local_cloud.resource_manager.storage_bodies import ACCOUNT, FILE_SERVICE, SHARE, WORKSPACE

Value = Any  # a JSON value

BODIES: Final[Mapping[str, Table]] = {
    "microsoft.app/containerapps": APP,
    "microsoft.app/jobs": JOB,
    "microsoft.app/managedenvironments": ENVIRONMENT,
    "microsoft.app/managedenvironments/storages": STORAGE,
    "microsoft.storage/storageaccounts": ACCOUNT,
    "microsoft.storage/storageaccounts/fileservices": FILE_SERVICE,
    "microsoft.storage/storageaccounts/fileservices/shares": SHARE,
    "microsoft.operationalinsights/workspaces": WORKSPACE,
}


@dataclass(frozen=True)
class Problem:
    """What is wrong with a body, and where."""

    target: str
    message: str
    not_emulated: bool = False


def check_body(resource_type: str, body: JsonObject, *, is_whole: bool = True) -> None:
    """Raise ArmError `InvalidRequestContent` with every mistake of a request's body among the details.

    A property that Azure knows and the local cloud does not emulate is 501 instead, when nothing else is
    wrong. A PATCH is not whole: what it leaves out is there already.
    """
    table = BODIES.get(resource_type.lower())
    problems = [] if table is None else list(_problems(table, body, "", is_whole=is_whole))
    problems.sort(key=lambda problem: problem.not_emulated)
    if not problems:
        return
    first = problems[0]
    if first.not_emulated:
        raise ArmError("NotImplementedByLocalCloud", first.message, status=501, target=first.target)
    raise ArmError(
        "InvalidRequestContent",
        f"The request content was invalid: {first.message} Path '{first.target}'.",
        target=first.target,
        details=[
            {"code": "InvalidRequestContent", "message": problem.message, "target": problem.target}
            for problem in problems
        ],
    )


def _problems(shape: Shape, value: Value, path: str, *, is_whole: bool) -> Iterator[Problem]:
    if value is None or _is_expression(value):
        return  # null is not given, and what only the deployment can evaluate is checked then
    if isinstance(shape, NotEmulated):
        yield Problem(path, f"The local cloud does not emulate the property '{path}'.", not_emulated=True)
    elif isinstance(shape, ListOf | MapOf):
        yield from _item_problems(shape, value, path)
    elif isinstance(shape, Mapping):
        yield from _object_problems(shape, value, path, is_whole=is_whole)
    elif not isinstance(shape, Anything) and (message := _value_problem(shape, value)):
        yield Problem(path, message)


def _item_problems(shape: ListOf | MapOf, value: Value, path: str) -> Iterator[Problem]:
    if isinstance(shape, ListOf):
        items = {f"{path}[{index}]": item for index, item in enumerate(value)} if isinstance(value, list) else None
    else:
        items = {f"{path}.{name}": item for name, item in value.items()} if isinstance(value, dict) else None
    if items is None:
        yield Problem(path, "An array is expected." if isinstance(shape, ListOf) else "An object is expected.")
        return
    for here, item in items.items():
        if item is None and isinstance(shape, ListOf):
            yield Problem(here, "A value is expected, not null.")
        yield from _problems(shape.item, item, here, is_whole=True)


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
    if isinstance(shape, OneOf) and value.replace(" ", "").lower() not in {word.lower() for word in shape.words}:
        return f"'{value}' is none of {', '.join(shape.words)}."
    return None


def _object_problems(shape: Table, value: Value, path: str, *, is_whole: bool) -> Iterator[Problem]:
    if not isinstance(value, dict):
        yield Problem(path, "An object is expected.")
        return
    by_name = {written.rstrip("*="): (written, inner) for written, inner in shape.items()}
    for name, item in value.items():
        here = f"{path}.{name}" if path else name
        if name not in by_name:
            if "…" not in by_name:
                yield Problem(here, f"Could not find member '{name}' on an object of this type.")
        elif not by_name[name][0].endswith("="):
            yield from _problems(by_name[name][1], item, here, is_whole=is_whole)
    for name, (written, _inner) in by_name.items():
        if is_whole and written.endswith("*") and value.get(name) is None:
            yield Problem(f"{path}.{name}" if path else name, f"The property '{name}' is required.")


def _is_expression(value: Value) -> bool:
    return isinstance(value, str) and value.startswith("[") and value.endswith("]") and not value.startswith("[[")
