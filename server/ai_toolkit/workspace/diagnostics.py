"""What is wrong in the files that the commands read, found while they are edited, and how to put it right."""

import difflib
import hashlib
import json
import re
import tomllib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Any, Final

from ai_toolkit.errors import FileMissing, ValueImpossible
from ai_toolkit.workspace import parameter_rules
from ai_toolkit.workspace.fine_tuning import SHARED
from ai_toolkit.workspace.json_positions import Member, Span, members
from ai_toolkit.workspace.settings_values import wrong_together, wrong_values
from ai_toolkit.workspace.template import templates_folder
from ai_toolkit.workspace.workspace import Parameters, Workspace

_LOOKED_UP: Final = "ACA_APP_ENDPOINT"
_CONFIG_KEYS: Final[Mapping[str, str | None]] = {
    "SUBSCRIPTION_ID": None,
    "RESOURCE_GROUP_NAME": None,
    "STORAGE_ACCOUNT_NAME": "storageAccountName",
    "FILE_SHARE_NAME": "fileShareName",
    "ACA_APP_NAME": "acaAppName",
    "ACA_APP_ENDPOINT": None,
}
"""The six names, and the parameter whose rule each must keep."""
_FINE_TUNING_KEYS: Final[Mapping[str, str | None]] = {
    "SUBSCRIPTION_ID": None,
    "RESOURCE_GROUP_NAME": None,
    "STORAGE_ACCOUNT_NAME": "storageAccountName",
    "FILE_SHARE_NAME": "fileShareName",
    "ACA_JOB_NAME": None,
    "COMMANDS": None,
}
_GUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_LIKE_ENOUGH: Final = 0.8


@dataclass(frozen=True)
class Fix:
    """The one right answer: `text` in place of `span`."""

    title: str
    span: Span
    text: str


class Weight(Enum):
    """An error when a command would refuse the file; an information when something could not be looked up."""

    ERROR = auto()
    WARNING = auto()
    INFORMATION = auto()


@dataclass(frozen=True)
class Finding:
    """A sentence about a part of the text."""

    span: Span
    message: str
    weight: Weight = Weight.ERROR
    fix: Fix | None = None


def diagnose(  # noqa: PLR0911  (one return per kind of file)
    workspace: Workspace, path: Path, text: str, on_share: Collection[str] | None = None
) -> list[Finding]:
    """What is wrong in the text of one of the workspace's files.

    `on_share` are the paths that were last seen on the share, None when it was not seen yet.
    A text that is not JSON gives nothing: every editor says that itself.
    """
    relative = path.relative_to(workspace.folder).as_posix()
    if relative == "inference/settings.toml":
        return list(_settings(workspace, text, on_share))
    try:
        places = members(text)
        document = json.loads(text)
    except ValueError:
        return []
    match relative:
        case "infra/provision/inference.parameters.json" | "infra/inference.parameters.json":
            return [*_both_paths(workspace, path), *_parameters(workspace, path, document, places)]
        case "infra/provision/finetuning.parameters.json" | "infra/finetuning.parameters.json":
            return [*_both_paths(workspace, path), *_fine_tuning_parameters(document, places)]
        case "infra/inference.config.json":
            return [*_config(_CONFIG_KEYS, document, places), *_missing_keys(text, document)]
        case "infra/finetuning.config.json":
            return list(_config(_FINE_TUNING_KEYS, document, places))
    return []


def _both_paths(workspace: Workspace, path: Path) -> Iterator[Finding]:
    other = workspace.folder / "infra" / path.name
    instead = workspace.bicep_parameters if path.name == "inference.parameters.json" else None
    if instead is not None:
        name = instead.relative_to(workspace.folder).as_posix()
        yield Finding(Span(0, 1), f"This file is not read, because {name} exists too.", Weight.WARNING)
        return
    read = workspace.provision_folder / path.name
    if path == other and read.exists():
        name = read.relative_to(workspace.folder).as_posix()
        inference = path.name == "inference.parameters.json"
        message = (
            f"This file is not read, because {name} exists too."
            if inference
            else f"{name} takes precedence over this file."
        )
        yield Finding(Span(0, 1), message, Weight.WARNING)


def _fine_tuning_parameters(document: Mapping[str, Any], places: Mapping[tuple[str, ...], Member]) -> Iterator[Finding]:
    """Of those that Provision takes from there; the others are fine-tuning's own."""
    entries = document.get("parameters")
    for name, entry in entries.items() if isinstance(entries, dict) else ():
        value = entry.get("value") if isinstance(entry, dict) else None
        rule = parameter_rules.NAME_RULES.get(name) if name in SHARED else None
        if name not in SHARED:
            unknown = _unknown(name, places["parameters", name].key, SHARED)
            if unknown.fix is not None:
                yield unknown
        elif rule is not None and isinstance(value, str) and not re.fullmatch(rule.pattern, value):
            span = places["parameters", name, "value"].value
            yield Finding(span, f"{name}: {rule.words} are allowed.", fix=_lower_case(name, value, span))


def _parameters(
    workspace: Workspace,
    path: Path,
    document: Mapping[str, Any],
    places: Mapping[tuple[str, ...], Member],
) -> Iterator[Finding]:
    entries = document.get("parameters")
    if not isinstance(entries, dict):
        return
    declared = _declared(workspace)
    spelled: dict[str, str] = {each.lower(): each for each in declared or ()}  # Azure does not look at the case
    for written, entry in entries.items():
        place = places["parameters", written]
        name = spelled.get(written.lower(), str(written))
        if not isinstance(entry, dict) or set(entry) - {"value", "reference", "metadata"}:
            yield Finding(place.value, f'{name}: {{"value": …}} is expected.')
            continue
        if declared is None or entry.get("value") is None:
            continue
        if name not in declared:
            yield _unknown(name, place.key, [known for known in declared if known not in parameter_rules.OURS])
            continue
        try:
            parameter_rules.check(Parameters(path, {name: entry["value"], **_beside(name, entries)}), declared)
        except ValueImpossible as error:
            value = places["parameters", written, "value"].value
            yield Finding(value, f"{name}: {error.problem}.", fix=_lower_case(name, entry["value"], value))


def _beside(name: str, entries: Mapping[str, Any]) -> dict[str, Any]:
    """What the value of a parameter is judged by: the file's own maximum, for the minimum."""
    found = {written.lower(): entry for written, entry in entries.items() if isinstance(entry, dict)}
    most = found.get("maximuminstancecount", {}).get("value")
    return {"maximumInstanceCount": most} if name == "minimumInstanceCount" and isinstance(most, int) else {}


def _declared(workspace: Workspace) -> Mapping[str, Mapping[str, Any]] | None:
    """The parameters of the workspace's template; None when only its Bicep file knows them."""
    bicep = workspace.provision_folder / "inference.bicep"
    try:
        source = hashlib.sha256(bicep.read_bytes().replace(b"\r\n", b"\n")).hexdigest()
        for folder in (workspace.provision_folder, templates_folder() / "infra" / "provision"):
            compiled = folder / "inference.json"
            content = json.loads(compiled.read_text(encoding="utf-8")) if compiled.is_file() else {}
            if content.get("metadata", {}).get("sourceSha256") == source:
                found: Mapping[str, Mapping[str, Any]] = content["parameters"]
                return found
    except (OSError, ValueError, AttributeError, FileMissing):
        return None
    return None


def _config(
    keys: Mapping[str, str | None], document: Mapping[str, Any], places: Mapping[tuple[str, ...], Member]
) -> Iterator[Finding]:
    for key, value in document.items():
        place = places[key,]
        if key not in keys:
            unknown = _unknown(key, place.key, keys)
            if unknown.fix is not None:  # other keys are the person's own
                yield unknown
        elif value is None or key == "COMMANDS":
            continue
        elif not isinstance(value, str):
            yield Finding(place.value, f"{key}: a string is expected.")
        elif value:
            yield from _config_value(key, keys[key] or "", value, place.value)


def _missing_keys(text: str, document: Mapping[str, Any]) -> Iterator[Finding]:
    missing = [key for key in _CONFIG_KEYS if not document.get(key)]
    if not 0 < len(missing) < len(_CONFIG_KEYS):
        return
    span = Span(begin := text.index("{"), begin + 1)
    if missing == [_LOOKED_UP]:
        message = f"Missing: {_LOOKED_UP}. Deploy looks it up, and writes it here."
        yield Finding(span, message, Weight.INFORMATION)
    else:
        yield Finding(span, f"Missing: {', '.join(missing)}. Every one of the six is needed to deploy.")


def _config_value(key: str, parameter: str, value: str, span: Span) -> Iterator[Finding]:
    rule = parameter_rules.NAME_RULES.get(parameter)
    if rule is not None and not re.fullmatch(rule.pattern, value):
        fix = _lower_case(parameter, value, span)
        yield Finding(span, f"{key}: {rule.words} are allowed.", fix=fix)
    elif key == "SUBSCRIPTION_ID" and not _GUID.fullmatch(value):
        yield Finding(span, f"{key}: an id such as 00000000-0000-0000-0000-000000000000 is expected, not a name.")
    elif key == "ACA_APP_ENDPOINT":
        if value.startswith("http://") and not value.startswith("http://127.0.0.1:"):
            better = value.replace("http://", "https://", 1)
            fix = Fix(f"Change to {better}", span, json.dumps(better))
            yield Finding(span, f"{key}: an https address, or one of this computer, is expected.", fix=fix)
        elif re.search(r"\s|[?#]", value):
            yield Finding(span, f"{key}: a host name or a URL without query and fragment is expected.")


def _settings(workspace: Workspace, text: str, on_share: Collection[str] | None) -> Iterator[Finding]:
    try:
        settings = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        yield Finding(_line(text, int(place[1]) if place else 1), f"This is not TOML: {error}.")
        return
    shipped = tomllib.loads((templates_folder() / "inference" / "settings.toml").read_text(encoding="utf-8"))
    for key in settings:
        if key not in shipped:
            yield _unknown(key, _key(text, key), shipped, written=str)
    base = settings.get("base_model", "auto")
    for wrong in (*wrong_values(settings, shipped), *wrong_together(settings, _base_config(workspace, base))):
        span = _value(text, wrong.key)
        meant = wrong.meant if wrong.meant is None or wrong.meant.isdecimal() else json.dumps(wrong.meant)
        fix = Fix(f"Change to {wrong.meant}", span, meant) if meant is not None else None
        yield Finding(span, wrong.message, fix=fix)
    if isinstance(base, str) and base != "auto" and not Path(base).is_absolute():
        # A whole model that was fine-tuned lies below models/.
        parent = "models" if base.startswith("models/") else "model-cache"
        here = _folders(workspace.folder / parent, "config.json")
        yield from _folder(text, "base_model", base.removeprefix("models/"), parent, here, on_share)
    adapters = settings.get("adapters", "auto")
    named = list(adapters.values()) if isinstance(adapters, dict) else adapters if isinstance(adapters, list) else []
    here = _folders(workspace.folder / "models", "adapter_config.json")
    for adapter in named:
        if isinstance(adapter, str):
            yield from _folder(text, "adapters", adapter, "models", here, on_share)


def _base_config(workspace: Workspace, named: object) -> Mapping[str, Any]:
    """The configuration of the base model that is meant, where it lies here: the named one, or the only one."""
    cache = workspace.folder / "model-cache"
    found = [cache / name for name in _folders(cache, "config.json") if named in {"auto", name}]
    if len(found) != 1:
        return {}
    try:
        config = json.loads((found[0] / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):  # which its loading tells
        return {}
    return config if isinstance(config, dict) else {}


def _folder(  # noqa: PLR0913, PLR0917  (what, where, and what there is)
    text: str, key: str, named: str, parent: str, here: Collection[str], on_share: Collection[str] | None
) -> Iterator[Finding]:
    if named in here or any(path.startswith(f"{parent}/{named}/") for path in on_share or ()):
        return
    quoted = json.dumps(named, ensure_ascii=False)
    at = text.find(quoted)
    span = Span(at, at + len(quoted)) if at >= 0 else _key(text, key)
    only = next(iter(here)) if len(here) == 1 else None
    fix = Fix(f"Change to {only}", span, json.dumps(only)) if only is not None and at >= 0 else None
    if on_share is None:
        message = f"{key}: {parent}/{named} is not here. Whether it is on the share is not known yet."
        yield Finding(span, message, Weight.INFORMATION, fix)
    else:
        message = f"{key}: {parent}/{named} is neither here nor, at the last look, on the share."
        yield Finding(span, message, Weight.WARNING, fix)


def _folders(parent: Path, mark: str) -> list[str]:
    return sorted(found.parent.relative_to(parent).as_posix() for found in parent.rglob(mark))


def _unknown(name: str, span: Span, known: Iterable[str], written: Callable[[str], str] = json.dumps) -> Finding:
    like = difflib.get_close_matches(name, list(known), n=1, cutoff=_LIKE_ENOUGH)
    fix = Fix(f"Change to {like[0]}", span, written(like[0])) if like else None
    return Finding(span, f"{name} is not known here{f': is {like[0]} meant?' if like else '.'}", fix=fix)


def _lower_case(parameter: str, value: object, span: Span) -> Fix | None:
    """The value in lower case, when that is all that was wrong with it."""
    rule = parameter_rules.NAME_RULES.get(parameter)
    if rule is None or not isinstance(value, str) or not re.fullmatch(rule.pattern, value.lower()):
        return None
    return Fix(f"Change to {value.lower()}", span, json.dumps(value.lower()))


def _key(text: str, key: str) -> Span:
    found = re.search(rf"^[ \t]*(\[?{re.escape(key)}\]?)", text, re.MULTILINE)
    return Span(found.start(1), found.end(1)) if found else Span(0, 1)


def _value(text: str, key: str) -> Span:
    """Where the key's value stands, up to a comment; the key itself where the value goes over several lines."""
    found = re.search(
        rf"^[ \t]*{re.escape(key)}[ \t]*=[ \t]*(\"[^\"\n]*\"|'[^'\n]*'|\[[^\]\n]*\]|[^\s#]+)", text, re.MULTILINE
    )
    return Span(found.start(1), found.end(1)) if found else _key(text, key)


def _line(text: str, number: int) -> Span:
    lines = text.splitlines(keepends=True)
    start = sum(map(len, lines[: number - 1]))
    return Span(start, start + len(lines[number - 1].rstrip()) if number <= len(lines) else start)
