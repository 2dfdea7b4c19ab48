"""What a template deploys: its resources with names, ids and the order that references imply."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from ai_toolkit.local_cloud.core.arm_error import ArmError, JsonObject, group_not_found
from ai_toolkit.local_cloud.core.resource_id import GROUP_TYPE
from ai_toolkit.local_cloud.template.checks import check_expressions, check_template, is_own_template
from ai_toolkit.local_cloud.template.dependencies import in_order, with_needs
from ai_toolkit.local_cloud.template.evaluation import evaluate
from ai_toolkit.local_cloud.template.names import Name, read_name
from ai_toolkit.local_cloud.template.parameters import hidden_names, is_anew, made_anew, read_parameters
from ai_toolkit.local_cloud.template.partial import as_text, known_body, known_value
from ai_toolkit.local_cloud.template.planned import Plan, PlannedResource
from ai_toolkit.local_cloud.template.scope import (
    LoopVariable,
    NotYetKnownError,
    Scope,
    Unknown,
    Value,
    invalid_template,
)
from ai_toolkit.local_cloud.template.site import Site
from ai_toolkit.local_cloud.template.surroundings import DeploymentSurroundings

NOT_IN_BODY: Final = frozenset({
    "condition", "dependsOn", "copy", "apiVersion", "type", "name", "existing", "scope", "comments", "metadata",
    "resources", "import", "resourceGroup", "subscriptionId", "@options",
})  # fmt: skip
MOST_COPIES: Final = 800
DEEPEST_NESTING: Final = 10  # deployments within deployments


def make_plan(template: JsonObject, given: JsonObject, site: Site, surroundings: DeploymentSurroundings) -> Plan:
    """The plan of a template; ArmError `InvalidTemplate` for what it cannot mean."""
    try:
        return _make_plan(template, given, site, surroundings, 0)
    except NotYetKnownError as error:
        raise invalid_template(
            f"A function that looks at resources is not expected here: only the running deployment knows '{error}'",
            "resources",
        ) from error


def _make_plan(  # noqa: PLR0913, PLR0917  # what a plan is made of
    template: JsonObject,
    given: JsonObject,
    site: Site,
    surroundings: DeploymentSurroundings,
    depth: int,
    given_anew: JsonObject | None = None,
) -> Plan:
    """The plan; `given_anew`: what a deployment around it gives that is another each time, as a preview shows it."""
    check_template(template)
    bare = Scope(
        parameters={},
        variables={name.lower(): value for name, value in _variables(template).items()},
        functions=_functions(template),
        group=site.group,
        subscription=site.subscription,
        deployment=site.deployment(template),
        surroundings=surroundings,
        secure=hidden_names(template, given),
        made_anew={**made_anew(template, given), **(given_anew or {})},
    )
    check_expressions(template, bare.functions, "template")
    values = read_parameters(template, given, bare)
    return _with_resources(template, values, replace(bare, parameters=values), site, surroundings, depth)


def _with_resources(  # noqa: PLR0913, PLR0917  # what a plan is made of
    template: JsonObject,
    values: Mapping[str, Value],
    scope: Scope,
    site: Site,
    surroundings: DeploymentSurroundings,
    depth: int,
) -> Plan:
    listed = list(_resources(template, scope, site))
    surroundings.know(one.as_known() for one in listed)
    resources = tuple(with_needs(listed, template))
    planned: dict[str, PlannedResource] = {}
    made: dict[str, JsonObject] = {}  # groups that the template itself makes, by key
    for resource in in_order(resources):
        found = resource
        if resource.id is not None and resource.id.type == GROUP_TYPE and not resource.existing:
            made[resource.id.key] = _planned_group(resource)
        if resource.is_deployment:
            around = replace(site, groups=lambda identifier: made.get(identifier.key) or site.groups(identifier))
            with contextlib.suppress(NotYetKnownError):  # it is planned when it is its turn
                found = replace(resource, nested=_nested(resource, around, surroundings, depth + 1))
            surroundings.know([found.as_known()])
        planned[resource.symbol] = found
    return Plan(template, values, tuple(planned[resource.symbol] for resource in resources), scope, site, surroundings)


def _planned_group(group: PlannedResource) -> JsonObject:
    """A resource group as it will be."""
    properties = {"provisioningState": "Succeeded"}
    return {"id": group.shown_id, "name": group.name.shown, "type": GROUP_TYPE, "properties": properties,
            **group.known_body()}  # fmt: skip


def plan_nested(resource: PlannedResource, site: Site, surroundings: DeploymentSurroundings) -> Plan:
    """The plan of a nested deployment, made anew with parameters that are known by now."""
    return _nested(resource, site, surroundings, 1)


def _nested(resource: PlannedResource, site: Site, surroundings: DeploymentSurroundings, depth: int) -> Plan:
    place = f"{resource.place}.properties"
    if depth > DEEPEST_NESTING:
        raise invalid_template(f"Deployments are nested more than {DEEPEST_NESTING} deep", place)
    properties = resource.body.get("properties")
    if not isinstance(properties, dict):
        raise invalid_template("A nested deployment needs 'properties'", place)
    if properties.get("templateLink") is not None or not isinstance(properties.get("template"), dict):
        raise ArmError(
            "NotImplementedByLocalCloud",
            "The local cloud deploys nested templates that stand in the template itself, not linked ones.",
            status=501,
            target=f"{place}.templateLink",
        )
    identifier = resource.known_id
    location = resource.body.get("location")
    where = None if location is None else evaluate(location, resource.scope, f"{resource.place}.location")
    inner = site.inner(identifier.group_id, identifier.name, where)
    if inner is None:
        raise group_not_found(identifier.group)
    template: JsonObject = properties["template"]
    try:
        if not is_own_template(properties):
            check_template(template)
            return _with_resources(template, {}, resource.scope, inner, surroundings, depth)
        here = f"{place}.parameters"
        given = _given(properties.get("parameters"), resource.scope, here)
        anew = _given_anew(properties.get("parameters"), resource.scope, here)
        return _make_plan(template, given, inner, surroundings.of_nested(), depth, anew)
    except ArmError as error:
        error.add_place(f"{place}.template")
        raise


def _given(parameters: Value, scope: Scope, place: str) -> JsonObject:
    """The parameters that a nested deployment is given, each value as far as it is known."""
    if isinstance(parameters, str):
        parameters = evaluate(parameters, scope, place)
    found: JsonObject = {}
    for name, item in (parameters or {}).items():
        here = f"{place}.{name}"
        if not isinstance(item, dict):
            found[name] = evaluate(item, scope, here)
            continue
        found[name] = {key: _known_parts(value, scope, f"{here}.{key}") for key, value in item.items()}
    return found


def _given_anew(parameters: Value, scope: Scope, place: str) -> JsonObject:
    """Of the parameters that a nested deployment is given those that are others each time, as a preview shows them."""
    items = parameters.items() if isinstance(parameters, dict) else ()
    return {
        name.lower(): known_body(item["value"], scope, f"{place}.{name}")
        for name, item in items
        if isinstance(item, dict) and is_anew(item.get("value"), scope.made_anew)
    }


def _known_parts(value: Value, scope: Scope, place: str) -> Value:
    if isinstance(value, dict) and "copy" not in value:
        return {
            as_text(known_value(key, scope, place)): _known_parts(item, scope, f"{place}.{key}")
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_known_parts(item, scope, f"{place}[{index}]") for index, item in enumerate(value)]
    return known_value(value, scope, place)


def _variables(template: JsonObject) -> JsonObject:
    """Variables by name, with the loops in `copy` as variables of their own."""
    variables = dict(template.get("variables") or {})
    for loop in variables.pop("copy", []) if isinstance(variables.get("copy"), list) else []:
        variables[loop["name"]] = LoopVariable(loop)
    return variables


def _functions(template: JsonObject) -> dict[str, JsonObject]:
    """User functions by `namespace.name` in lower case."""
    found = {}
    for group in template.get("functions") or []:
        for name, function in (group.get("members") or {}).items():
            found[f"{group['namespace']}.{name}".lower()] = function
    return found


def _resources(template: JsonObject, scope: Scope, site: Site) -> Iterator[PlannedResource]:
    declared: JsonObject | list[JsonObject] = template["resources"]
    items = (
        [(symbol, f"resources.{symbol}", body) for symbol, body in declared.items()]
        if isinstance(declared, dict)
        else [(f"resources[{index}]", f"resources[{index}]", body) for index, body in enumerate(declared)]
    )
    for symbol, place, body in items:
        yield from _expanded(symbol, place, body, scope, site, None)


def _expanded(  # noqa: PLR0913, PLR0917  # where the resource stands
    symbol: str, place: str, source: JsonObject, scope: Scope, site: Site, parent: Name | None
) -> Iterator[PlannedResource]:
    """The resource once, or as often as its `copy` says, with the resources nested in it."""
    loop = source.get("copy")
    if not isinstance(loop, dict):
        yield from _one(symbol, place, source, scope, site, parent)
        return
    count = evaluate(loop.get("count"), scope, f"{place}.copy.count")
    if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= MOST_COPIES:
        raise invalid_template(f"The copy count must be an integer from 0 to {MOST_COPIES}", place)
    for index in range(count):
        inner = replace(
            scope,
            copy_indexes={**scope.copy_indexes, str(loop.get("name", symbol)).lower(): index},
            current_copy=index,
        )
        yield from _one(f"{symbol}[{index}]", place, source, inner, site, parent)


def _one(  # noqa: PLR0913, PLR0917  # where the resource stands
    symbol: str, place: str, source: JsonObject, scope: Scope, site: Site, parent: Name | None
) -> Iterator[PlannedResource]:
    condition = known_value(source.get("condition", True), scope, f"{place}.condition")
    if not isinstance(condition, bool | Unknown):
        raise invalid_template("A condition must be true or false", f"{place}.condition")
    if condition is False:
        return
    name = read_name(source, scope, site.id, place, parent)
    version = source.get("apiVersion")
    if not isinstance(version, str):
        raise invalid_template("A resource needs an 'apiVersion'", place)
    options = source.get("@options")
    yield PlannedResource(
        symbol,
        name,
        str(evaluate(version, scope, place)),
        {key: value for key, value in source.items() if key not in NOT_IN_BODY},
        source,
        place,
        scope,
        bool(source.get("existing")),
        isinstance(options, dict) and "onlyIfNotExists" in options,
    )
    nested = source.get("resources") or []
    for index, child in enumerate(nested if isinstance(nested, list) else nested.values()):
        kind = str(child["type"])
        qualified = {**child, "type": kind if "." in kind.split("/", maxsplit=1)[0] else f"{name.type}/{kind}"}
        yield from _expanded(
            f"{symbol}.resources[{index}]", f"{place}.resources[{index}]", qualified, scope, site, name
        )
