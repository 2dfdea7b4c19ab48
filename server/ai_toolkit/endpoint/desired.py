"""The app as the template wants it. Resource Manager evaluates that, in a what-if; nothing here does."""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ai_toolkit.azure.deployments import Change, Deployments, Refusal
from ai_toolkit.endpoint.comparison import is_expression
from ai_toolkit.workspace.unique_string import unique_string

APP_TYPE: Final = "Microsoft.App/containerApps"
_DEPLOYMENT_TYPE: Final = "Microsoft.Resources/deployments"
_NEW_NAME: Final = "aitk-wants-"


@dataclass(frozen=True)
class AppInTemplate:
    """A container app as it stands in a template, and the modules around it, the outermost first.

    `repeated` when it, or one of them, is in a loop.
    """

    resource: dict[str, Any]
    modules: tuple[dict[str, Any], ...]
    repeated: bool


async def wanted_app(
    deployments: Deployments, deployment: str, content: Mapping[str, Any], values: Mapping[str, Any], app: str
) -> Mapping[str, Any] | Refusal | None:
    """The body of the app of that name as the template says it, with what only a running deployment knows unevaluated.

    None where the template makes no such app that Resource Manager can tell of. Of an app that exists a what-if tells
    what the template says laid over what there is, so each is asked for under a name that nobody has: one that Resource
    Manager makes of its own, whether it stands alone, in a module or in a loop.
    """
    changed = copy.deepcopy(dict(content))
    found = list(apps_of(changed))
    if not found:
        return None
    for one in found:
        one.resource["name"] = f"[concat('{_NEW_NAME}', uniqueString(toLower({_as_expression(one.resource['name'])})))]"
    _forget_order(changed)
    changed.pop("outputs", None)  # which may read the app by its own name
    foreseen = await deployments.what_if(deployment, changed, values)
    if isinstance(foreseen, Refusal):
        return foreseen
    new_name = f"{_NEW_NAME}{unique_string(app.lower())}"
    return next((one.after for one in foreseen if is_app(one) and one.id.endswith(f"/{new_name}")), None)


def apps_of(content: Mapping[str, Any]) -> Iterator[AppInTemplate]:
    """The template's container apps, also those of its modules; one that is only named is none."""
    yield from _apps(content, (), repeated=False)


def _apps(
    content: Mapping[str, Any], modules: tuple[dict[str, Any], ...], *, repeated: bool
) -> Iterator[AppInTemplate]:
    for one in _resources(content):
        kind, loops = str(one.get("type")).lower(), repeated or "copy" in one
        if kind == APP_TYPE.lower() and not one.get("existing"):
            yield AppInTemplate(one, modules, loops)
        elif (inner := _inner(one)) is not None:
            yield from _apps(inner, (*modules, one), repeated=loops)


def _resources(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = content.get("resources") or ()
    return [one for one in (found.values() if isinstance(found, Mapping) else found) if isinstance(one, dict)]


def _inner(resource: Mapping[str, Any]) -> dict[str, Any] | None:
    """The template of a module that stands in the template itself."""
    properties = resource.get("properties")
    if str(resource.get("type")).lower() != _DEPLOYMENT_TYPE.lower() or not isinstance(properties, Mapping):
        return None
    inner = properties.get("template")
    return inner if isinstance(inner, dict) else None


def _forget_order(content: Mapping[str, Any]) -> None:
    """Without symbolic names others wait for the app by its own name; a what-if does not need the order."""
    listed = isinstance(content.get("resources"), list)
    for one in _resources(content):
        if listed:
            one.pop("dependsOn", None)
        if (inner := _inner(one)) is not None:
            _forget_order(inner)


def _as_expression(name: str) -> str:
    if is_expression(name):
        return name[1:-1]
    text = name[1:] if name.startswith("[[") else name
    return "'" + text.replace("'", "''") + "'"


def is_app(change: Change) -> bool:
    """Whether it is what a deployment would do to a container app."""
    return change.id.lower().split("/")[-3:-1] == APP_TYPE.lower().split("/")
