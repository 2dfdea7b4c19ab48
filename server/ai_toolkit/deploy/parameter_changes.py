"""What the parameters ask of a revision, held against the one that serves: commands, image, scale, probes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ai_toolkit.errors import FileMissing, ToolMissing
from ai_toolkit.workspace import parameter_rules
from ai_toolkit.workspace.given_parameters import given_parameters
from ai_toolkit.workspace.template import Template, workspace_template
from ai_toolkit.workspace.workspace import Parameters, Workspace

if TYPE_CHECKING:
    from ai_toolkit.azure.container_app import ContainerApp

_OUR_TAG: Final = "ai-toolkit"
_CONTAINER: Final = "inference"
_VARIABLES: Final = frozenset({"beforeCommands", "afterCommands"})
_PARAMETERS: Final = frozenset(
    {
        "defaultCommands",
        "image",
        "minimumInstanceCount",
        "maximumInstanceCount",
        "cooldownSeconds",
        "concurrentRequests",
    }
)


@dataclass(frozen=True)
class Parameterised:
    """The workspace's template, and the parameters that are given to it."""

    template: Template
    given: Parameters


async def wanted_by_parameters(workspace: Workspace, app: "ContainerApp") -> Parameterised | None:
    """The template and its parameters, where Provision made the app; None for what they cannot be asked of.

    That is an app of another make, a folder with a hand-written config file only, and a changed template or a
    `.bicepparam` file without the Bicep CLI. Raises FileMalformed, ValueImpossible for what does not compile.
    """
    if _OUR_TAG not in app.tags:
        return None
    try:
        return Parameterised(await workspace_template(workspace), await given_parameters(workspace))
    except (FileMissing, ToolMissing):
        return None


def changed_template(wanted: Parameterised | None, app: "ContainerApp") -> Mapping[str, Any] | None:
    """The app's `template` as the parameters want it, or None where the serving revision has that already.

    A template of another make is left as it is: what its parameters mean is for Provision to say. Raises
    ValueImpossible for parameters that Azure would refuse.
    """
    container = next((one for one in app.template.get("containers") or () if one.get("name") == _CONTAINER), None)
    if wanted is None or container is None:
        return None
    parameter_rules.check(wanted.given, wanted.template.parameters)
    found = _wanted(wanted.template.content, wanted.given.values)
    if found is None:
        return None
    container_wanted, scale_wanted = found
    if _has(container, container_wanted) and _has(app.template.get("scale"), scale_wanted):
        return None
    containers = [{**one, **container_wanted} if one is container else one for one in app.template["containers"]]
    return {"containers": containers, "scale": scale_wanted}


def _wanted(content: Mapping[str, Any], given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Container and scale as our template makes them of the parameters; None for a template of another make."""
    variables = content.get("variables") or {}
    shown = _container_of(content)
    declared: Mapping[str, Mapping[str, Any]] = content.get("parameters") or {}
    if shown is None or not declared.keys() >= _PARAMETERS or not variables.keys() >= _VARIABLES:
        return None
    values = {name: given.get(name, about.get("defaultValue")) for name, about in declared.items()}
    lines = [*variables["beforeCommands"], *values["defaultCommands"], *variables["afterCommands"]]
    path = "/ready" if values["maximumInstanceCount"] > 1 else "/health"
    container = {
        "image": values["image"],
        "command": ["/bin/bash", "-c", "\n".join(lines)],
        "probes": [_with_path(probe, path) for probe in shown["probes"]],
    }
    scale = {
        "minReplicas": values["minimumInstanceCount"],
        "maxReplicas": values["maximumInstanceCount"],
        "cooldownPeriod": values["cooldownSeconds"],
        "rules": [{"name": "http", "http": {"metadata": {"concurrentRequests": str(values["concurrentRequests"])}}}],
    }
    return container, scale


def _container_of(content: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The container as the template declares it, expressions and all."""
    resources = content.get("resources") or ()
    for resource in resources.values() if isinstance(resources, Mapping) else resources:
        if resource.get("type") == "Microsoft.App/containerApps":
            for container in resource["properties"]["template"]["containers"]:
                if container.get("name") == _CONTAINER:
                    found: Mapping[str, Any] = container
                    return found
    return None


def _with_path(probe: Mapping[str, Any], path: str) -> dict[str, Any]:
    """The probe with `path` in the place of the expression that chooses it."""
    request = probe["httpGet"]
    is_expression = request["path"].startswith("[")
    return {**probe, "httpGet": {**request, "path": path if is_expression else request["path"]}}


def _has(live: object, wanted: object) -> bool:
    """Whether everything that is wanted is there; what Azure added besides does not count."""
    if isinstance(wanted, Mapping):
        return isinstance(live, Mapping) and all(_has(live.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list):
        return (
            isinstance(live, list)
            and len(live) == len(wanted)
            and all(_has(one, other) for one, other in zip(live, wanted, strict=True))
        )
    return bool((live or 0) == wanted) if isinstance(wanted, int) else live == wanted
