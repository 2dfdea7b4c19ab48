"""A template whose account or environment lies in another resource group, where it is used as it is.

A template makes what it names in its own group. Where the parameters file names one by its resource id, that resource
is declared as existing in its group, what the template would make inside it is left out, and its id stands where the
template would put together one of its own group.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, Final

from ai_toolkit.workspace.located import Located
from ai_toolkit.workspace.template import Template
from ai_toolkit.workspace.workspace import Parameters

TYPES: Final = {
    "storageAccountName": "Microsoft.Storage/storageAccounts",
    "acaEnvironmentName": "Microsoft.App/managedEnvironments",
}
"""The parameters that may also be the id of a resource of another group, and of which type that is."""


def template_for(template: Template, given: Parameters, subscription: str, group: str) -> Template:
    """The template as it is deployed into that group, with what `given` names by ids of other groups.

    Raises ValueImpossible where it names one and the template does not make that resource itself.
    """
    content = template.content
    for name, kind in TYPES.items():
        located = Located.of(str(given.values.get(name, "")), subscription, group)
        if located.is_in(subscription, group):
            continue
        if not _makes(content, name, kind):
            problem = (
                f"the template takes only the name of one in {group}: it does not declare its {kind} under a symbolic "
                "name, by this parameter"
            )
            raise given.wrong(name, problem)
        content = _with_existing(content, name, kind, located)
    if content is template.content:
        return template
    return Template(content, hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest())


def _makes(content: Mapping[str, Any], name: str, kind: str) -> bool:
    resources = content.get("resources")
    return isinstance(resources, Mapping) and any(_is_it(one, name, kind) for one in resources.values())


def _is_it(resource: Mapping[str, Any], name: str, kind: str) -> bool:
    given = re.fullmatch(rf"\[\s*parameters\('{name}'\)\s*\]", str(resource.get("name")), re.IGNORECASE)
    return str(resource.get("type")).lower() == kind.lower() and given is not None


def _is_inside(resource: Mapping[str, Any], name: str, kind: str) -> bool:
    return str(resource.get("type")).lower().startswith(f"{kind.lower()}/") and f"'{name}'".lower() in (
        str(resource.get("name")).lower()
    )


def _with_existing(content: Mapping[str, Any], name: str, kind: str, located: Located) -> dict[str, Any]:
    resources = {}
    left_out = {key for key, one in content["resources"].items() if _is_inside(one, name, kind)}
    for key, one in content["resources"].items():
        if _is_it(one, name, kind):
            resources[key] = {
                "existing": True,
                "type": one["type"],
                "apiVersion": one["apiVersion"],
                "subscriptionId": located.subscription,
                "resourceGroup": located.group,
                "name": one["name"],
            }
        elif key not in left_out:
            resources[key] = _without(one, left_out)
    own_id = re.compile(rf"resourceId\('{re.escape(kind)}', parameters\('{name}'\)\)", re.IGNORECASE)
    text = own_id.sub(f"'{located.id_of(kind)}'", json.dumps({**content, "resources": resources}))
    changed: dict[str, Any] = json.loads(text)
    return changed


def _without(resource: Mapping[str, Any], left_out: set[str]) -> dict[str, Any]:
    """The resource, which waits for none of what is left out."""
    waits = [one for one in resource.get("dependsOn") or () if one not in left_out]
    rest = {key: value for key, value in resource.items() if key != "dependsOn"}
    return {**rest, "dependsOn": waits} if waits else rest
