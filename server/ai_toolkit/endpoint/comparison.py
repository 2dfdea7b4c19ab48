"""A resource as it is, held against what the template says of it: what somebody changed, and what somebody added.

Both come from Resource Manager's what-if, which evaluates the template. Nothing is evaluated here: what the template
leaves to the running deployment is an expression in what it says, and is taken for equal.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ai_toolkit.azure.deployments import PropertyChange

_SECRET: Final = re.compile(r"(key|secret|secrets|password|token|value)\W*\d*\W*$", re.IGNORECASE)
_SHOWN: Final = 80
_OF_THE_RESOURCE: Final = frozenset({"id", "name", "type", "apiVersion", "systemData", "etag"})
_NAMES: Final = ("name", "server", "mountPath", "revisionName", "type")
"""By what an item of a list is known, the first that it has."""
_KINDS: Final[Mapping[tuple[str, str], str]] = {
    ("", "identity"): "identity",
    ("configuration", "secrets"): "secret",
    ("configuration", "registries"): "registry",
    ("configuration", "dapr"): "Dapr settings",
    ("configuration", "identitySettings"): "identity setting",
    ("configuration", "runtime"): "runtime settings",
    ("ingress", "customDomains"): "custom domain",
    ("ingress", "corsPolicy"): "CORS policy",
    ("ingress", "ipSecurityRestrictions"): "IP restriction",
    ("ingress", "clientCertificateMode"): "client certificate mode",
    ("template", "containers"): "container",
    ("template", "initContainers"): "init container",
    ("template", "volumes"): "volume",
    ("template", "terminationGracePeriodSeconds"): "grace period",
    ("containers", "env"): "environment variable",
    ("containers", "volumeMounts"): "mount",
    ("containers", "args"): "arguments",
    ("initContainers", "env"): "environment variable",
    ("initContainers", "volumeMounts"): "mount",
    ("scale", "rules"): "scale rule",
}
"""What others add to an app, by the name of what it is in and its own; the value is what a person calls it."""
_WITHOUT_CASE: Final = frozenset({"location", "transport", "activeRevisionsMode", "environmentId", "type", "affinity"})
_OFF: Final[Mapping[str, frozenset[str]]] = {
    "identity": frozenset({"none"}),
    "clientCertificateMode": frozenset({"ignore"}),
}


@dataclass(frozen=True)
class Addition:
    """What the resource has and the template does not speak of.

    `place` leads to it: keys, and names of a list's items. `item` is the name of what was added to a list; empty for a
    property.
    """

    kind: str
    place: tuple[str, ...]
    item: str
    value: Any

    def in_words(self) -> str:
        within = f" of {self.place[-2]}" if self.place[-1] in {"env", "volumeMounts", "args"} else ""
        return f"{self.kind} {self.item}{within}".strip() if self.item else f"{self.kind}{within}"


@dataclass(frozen=True)
class Comparison:
    """What the template would change of a resource, property by property, and what it does not speak of."""

    changed: tuple[PropertyChange, ...]
    added: tuple[Addition, ...]


def compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> Comparison:
    """Of a resource as it is and as the template says it, as a what-if gives both."""
    changed: list[PropertyChange] = []
    added: list[Addition] = []
    mine = {key: value for key, value in after.items() if key not in _OF_THE_RESOURCE}
    for found in _differences({**before}, mine, (), ""):
        (added if isinstance(found, Addition) else changed).append(found)  # type: ignore[arg-type]
    return Comparison(tuple(changed), tuple(added))


def is_expression(value: object) -> bool:
    """Whether it is what only the running deployment knows."""
    return isinstance(value, str) and value.startswith("[") and value.endswith("]") and not value.startswith("[[")


def _differences(before: Any, after: Any, place: tuple[str, ...], within: str) -> Iterator[PropertyChange | Addition]:  # noqa: ANN401
    """`within` is the key of the nearest object that has a key: an item of a list is within that list."""
    if is_expression(after) or _same(before, after, within):
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        yield from _of_objects(before, after, place, within)
    elif isinstance(before, list) and isinstance(after, list) and _are_named((*before, *after)):
        yield from _of_lists(before, after, place, within)
    elif _is_nothing(before):
        yield PropertyChange(_words(place), "Create", after=after)
    else:
        yield PropertyChange(_words(place), "Modify", before, after)


def _of_objects(
    before: Mapping[str, Any], after: Mapping[str, Any], place: tuple[str, ...], within: str
) -> Iterator[PropertyChange | Addition]:
    for key, value in after.items():
        if value is None or (within == "secrets" and key == "value"):
            continue  # says nothing; is never shown, so there is nothing to compare
        yield from _differences(before.get(key), value, (*place, key), key)
    for key, value in before.items():
        if after.get(key) is not None or _is_nothing(value):
            continue
        if within == "tags":
            yield Addition("tag", place, key, value)
        elif key == "tags" and not place:
            yield from (Addition("tag", (key,), name, text) for name, text in value.items())
        elif (kind := _KINDS.get((within, key))) is not None and not _is_off(key, value):
            items = value if isinstance(value, list) and _are_named(value) else None
            if items is None:
                yield Addition(kind, (*place, key), "", value)
            else:
                yield from (Addition(kind, (*place, key), name_of(one), one) for one in items)


def _of_lists(
    before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]], place: tuple[str, ...], within: str
) -> Iterator[PropertyChange | Addition]:
    there = {name_of(one): one for one in before}
    wanted = {name_of(one) for one in after}
    for one in after:
        name = name_of(one)
        if is_expression(name):
            continue
        if name in there:
            yield from _differences(there[name], one, (*place, name), within)
        else:
            yield PropertyChange(_words((*place, name)), "Create", after=one)
    if any(is_expression(name) for name in wanted):
        return  # an item whose name is not known may be any of them
    is_renamed = within == "containers" and not wanted & there.keys()  # it is the app's own, under another name
    kind = next((kind for (_in, key), kind in _KINDS.items() if key == within and _in == _holder(place)), None)
    for name, one in there.items():
        if name in wanted:
            continue
        if kind is None or is_renamed or (within == "ipSecurityRestrictions" and name.startswith("allowed-")):
            yield PropertyChange(_words((*place, name)), "Delete", before=one)
        else:
            yield Addition(kind, place, name, one)


def lay_over(live: Any, wanted: Any, key: str = "") -> Any:  # noqa: ANN401  (any JSON)
    """What there is with what is wanted laid over it: named items of a list by their names, the others as a whole.

    What others added stays, and so does what is an expression in `wanted`. `key` is the list's.
    """
    if is_expression(wanted):
        return live
    if isinstance(wanted, Mapping):
        below = live if isinstance(live, Mapping) else {}
        said = {key: lay_over(below.get(key), value, key) for key, value in wanted.items() if not is_unsaid(value)}
        return {key: value for key, value in {**below, **said}.items() if value is not None}
    if isinstance(wanted, list):
        there = live if isinstance(live, list) else []
        if not all(isinstance(one, Mapping) and name_of(one) for one in (*there, *wanted)):
            return wanted
        known = {name_of(one): one for one in there}
        if key == "containers" and not known.keys() & {name_of(one) for one in wanted}:
            there = []  # the container has another name now
        mine = [lay_over(known.get(name_of(one)), one) for one in wanted if not is_expression(name_of(one))]
        names = {name_of(one) for one in mine}
        return [*mine, *(one for one in there if name_of(one) not in names)]
    return wanted


def is_unsaid(value: object) -> bool:
    """Whether a template leaves it as it is: null, or what only the running deployment knows."""
    return value is None or is_expression(value)


def _holder(place: tuple[str, ...]) -> str:
    """The key of what the list at the place is in: of a container's environment, `containers`."""
    above = place[-2] if len(place) > 1 else ""
    return above if any(above == holder for holder, _key in _KINDS) else place[-3] if len(place) > 2 else ""  # noqa: PLR2004


def _are_named(items: Sequence[Any]) -> bool:
    return bool(items) and all(isinstance(one, Mapping) and name_of(one) for one in items)


def name_of(one: Mapping[str, Any]) -> str:
    """By what an item of a list is known; empty for one that has no name."""
    return next((str(one[key]) for key in _NAMES if one.get(key)), "")


def _same(before: Any, after: Any, key: str) -> bool:  # noqa: ANN401  (any JSON)
    if _is_nothing(before) and _is_nothing(after):
        return True
    if isinstance(before, str) and isinstance(after, str):
        if key in _WITHOUT_CASE or after.startswith("/subscriptions/"):
            return before.replace(" ", "").lower() == after.replace(" ", "").lower()
        return before == after
    return bool(before == after)


def _is_nothing(value: object) -> bool:
    """Null, empty, off: Azure answers the one for the other."""
    return value is None or value in ("", 0, False) or (isinstance(value, list | Mapping) and not value)


def _is_off(key: str, value: object) -> bool:
    told = value.get("type") if isinstance(value, Mapping) else value
    return str(told).lower() in _OFF.get(key, frozenset()) or (
        isinstance(value, Mapping) and value.get("enabled") is False
    )


def _words(place: tuple[str, ...]) -> str:
    return ".".join(place)


def in_words(change: PropertyChange) -> str:
    """One property's change in a line; what may be a secret is not shown."""
    if _SECRET.search(change.path):
        return f"{change.path}: (not shown)"
    if change.kind == "Create":
        return f"+ {change.path}: {_value(change.after)}"
    if change.kind == "Delete":
        return f"- {change.path}: {_value(change.before)}"
    return f"~ {change.path}: {_value(change.before)} -> {_value(change.after)}"


def _value(value: object) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
