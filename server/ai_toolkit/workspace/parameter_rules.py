"""Checks the template's parameters by Azure's own rules before anything is sent."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ai_toolkit.workspace.located import id_pattern
from ai_toolkit.workspace.workspace import KeyVaultReference, Parameters

DEFAULT_PREFIXES: Final = {
    "storageAccountName": "aistorage",
    "fileShareName": "aifileshare",
    "acaEnvironmentName": "aienv",
    "acaEnvironmentStorageName": "aienvstorage",
    "acaAppName": "aiacaapp",
    "acaLogAnalyticsName": "ailog",
}
OURS: Final = frozenset(
    {
        "apiKey",
        "createStorageAccount",
        "createFileShare",
        "createLogAnalytics",
        "createEnvironment",
        "createEnvironmentStorage",
    }
)
"""Parameters that Provision decides; in a file they would defeat it."""


@dataclass(frozen=True)
class NameRule:
    pattern: str
    words: str


def _or_id(kind: str, rule: NameRule) -> NameRule:
    """The rule, or the resource id of one that exists, in whatever resource group."""
    return NameRule(f"{rule.pattern}|{id_pattern(kind, rule.pattern)}", f"{rule.words}, or the resource id of one,")


# Source: Microsoft Learn, "Naming rules and restrictions for Azure resources".
NAME_RULES: Final = {
    "storageAccountName": _or_id(
        "Microsoft.Storage/storageAccounts", NameRule(r"[a-z0-9]{3,24}", "3 to 24 lower-case letters and digits")
    ),
    "fileShareName": NameRule(
        r"(?=.{3,63}$)[a-z0-9]+(-[a-z0-9]+)*",
        "3 to 63 lower-case letters, digits and single hyphens between them",
    ),
    "acaEnvironmentName": _or_id(
        "Microsoft.App/managedEnvironments",
        NameRule(
            r"(?=.{2,60}$)[A-Za-z]([A-Za-z0-9-]*[A-Za-z0-9])?",
            "2 to 60 letters, digits and hyphens, beginning with a letter and not ending with a hyphen",
        ),
    ),
    "acaEnvironmentStorageName": NameRule(
        r"(?=.{1,32}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?",
        "1 to 32 lower-case letters, digits and hyphens between them",
    ),
    "acaAppName": NameRule(
        r"(?=.{2,32}$)(?!.*--)[a-z]([a-z0-9-]*[a-z0-9])",
        "2 to 32 lower-case letters, digits and single hyphens, beginning with a letter, ending with none",
    ),
    "acaLogAnalyticsName": NameRule(
        r"(?=.{4,63}$)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])",
        "4 to 63 letters, digits and hyphens between them",
    ),
}
_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "string": (str,),
    "securestring": (str,),
    "int": (int,),
    "bool": (bool,),
    "array": (list,),
    "object": (dict,),
    "secureobject": (dict,),
}


def is_secure(declaration: Mapping[str, Any]) -> bool:
    """Whether a parameter's value is never shown."""
    return str(declaration.get("type", "")).lower().startswith("secure")


def check(given: Parameters, declared: Mapping[str, Mapping[str, Any]]) -> None:
    """Raises ValueImpossible, naming the parameter, for the first value that Azure would refuse."""
    _check_given(given, declared)
    for name, value in given.values.items():
        rule = NAME_RULES.get(name)
        if rule is None or "/" not in str(value):  # an id is longer than the name that the template gets
            _check_type(given, name, value, declared[name])
        if rule is not None and not re.fullmatch(rule.pattern, str(value)):
            raise given.wrong(name, f'"{value}" is impossible: {rule.words} are allowed')
    commands = given.values.get("defaultCommands")
    if commands is not None and (not commands or not all(isinstance(line, str) and line for line in commands)):
        raise given.wrong("defaultCommands", "at least one command, each a string, is needed")
    for place in given.values.get("allowedIpRanges") or ():
        if not _is_ipv4_range(place):
            problem = f'"{place}" is no IPv4 address or range; write it as 203.0.113.7 or 203.0.113.0/24'
            raise given.wrong("allowedIpRanges", problem)
    _check_tags(given)
    least, most = (
        given.values.get(name, (declared.get(name) or {}).get("defaultValue"))
        for name in ("minimumInstanceCount", "maximumInstanceCount")
    )
    if isinstance(least, int) and isinstance(most, int) and least > most:
        raise given.wrong("minimumInstanceCount", f"{least} is more than maximumInstanceCount, {most}")


def _check_given(given: Parameters, declared: Mapping[str, Mapping[str, Any]]) -> None:
    for name in given.values:
        if name not in declared:
            known = ", ".join(key for key in declared if key not in OURS)
            raise given.wrong(name, f"the template has no such parameter; it has {known}")
        if name in OURS:
            raise given.wrong(name, "Provision decides this itself; remove it from the file")


def check_complete(given: Parameters, declared: Mapping[str, Mapping[str, Any]]) -> None:
    """Raises ValueImpossible for a parameter that has neither a value nor a default."""
    from_provision = {"location", *DEFAULT_PREFIXES}  # Provision has a value for these
    for name, declaration in declared.items():
        if declaration.get("nullable"):
            continue
        if "defaultValue" not in declaration and name not in given.values and name not in from_provision:
            raise given.wrong(name, "the template has no default for it, so it needs a value")


def _check_tags(given: Parameters) -> None:
    tags = given.values.get("tags")
    for name, value in tags.items() if isinstance(tags, dict) else ():
        if not isinstance(value, str):
            raise given.wrong("tags", f"the tag {name} needs a string as its value")


def _is_ipv4_range(text: object) -> bool:
    try:
        ipaddress.IPv4Network(text if isinstance(text, str) else "", strict=False)
    except ValueError:
        return False
    return True


def _check_type(given: Parameters, name: str, value: object, declaration: Mapping[str, Any]) -> None:
    kind = str(declaration.get("type", "")).lower()
    if isinstance(value, KeyVaultReference):
        if not kind.startswith("secure"):
            raise given.wrong(name, "a secret of a key vault can be given to a secure parameter only")
        return
    expected = _TYPES.get(kind, (object,))
    if not isinstance(value, expected) or (kind == "int" and isinstance(value, bool)):
        raise given.wrong(name, f"a value of type {kind} is expected")
    measured = value if kind == "int" else len(value) if isinstance(value, str | list) else None
    low, high = ("minValue", "maxValue") if kind == "int" else ("minLength", "maxLength")
    unit = "" if kind == "int" else " characters or items"
    if isinstance(measured, int):
        if low in declaration and measured < declaration[low]:
            raise given.wrong(name, f"{measured} is less than {declaration[low]}{unit}")
        if high in declaration and measured > declaration[high]:
            raise given.wrong(name, f"{measured} is more than {declaration[high]}{unit}")
    allowed = declaration.get("allowedValues")
    if allowed and value not in allowed:
        shown = "the value" if is_secure(declaration) else value
        raise given.wrong(name, f"{shown} is not one of {', '.join(map(str, allowed))}")
