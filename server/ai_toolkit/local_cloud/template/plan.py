"""What a template deploys: its resources with names, ids and the order that references imply."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ai_toolkit.local_cloud.core.arm_error import ArmError, JsonObject
from ai_toolkit.local_cloud.core.resource_id import ResourceId
from ai_toolkit.local_cloud.resource_manager.subscriptions import subscription_document
from ai_toolkit.local_cloud.template import syntax
from ai_toolkit.local_cloud.template.evaluation import evaluate, evaluate_expression, is_known_function, parse
from ai_toolkit.local_cloud.template.parameters import read_parameters
from ai_toolkit.local_cloud.template.scope import LoopVariable, NotYetKnownError, Scope, Surroundings, invalid_template
from ai_toolkit.local_cloud.template.syntax import Call, Element, Expression, Member
from ai_toolkit.local_cloud.template.template_shape import check_shape

Value = Any  # a JSON value
RUNTIME_FUNCTIONS = frozenset({"reference", "references"})  # besides every `list…`
NOT_IN_BODY = frozenset({"condition", "dependsOn", "copy", "apiVersion", "type", "name", "existing", "scope",
                         "comments", "metadata", "resources", "import", "resourceGroup", "subscriptionId"})  # fmt: skip


@dataclass(frozen=True)
class PlannedResource:
    """One resource that a deployment will put, or only look at (`existing`)."""

    symbol: str
    id: ResourceId
    api_version: str
    body: JsonObject  # not yet evaluated
    place: str
    scope: Scope
    existing: bool
    needs: frozenset[str] = field(default_factory=frozenset)  # symbols


@dataclass(frozen=True)
class Plan:
    """A template with its parameters, ready to be deployed."""

    template: JsonObject
    parameters: Mapping[str, Value]
    resources: tuple[PlannedResource, ...]
    scope: Scope


class UnknownYet:
    """Surroundings before a deployment runs: nothing can be looked at."""

    def __init__(self) -> None:
        self.ids: dict[str, str] = {}

    def reference(self, name: str, api_version: str | None, *, full: bool) -> Value:
        """Never: the resource may not exist yet."""
        del api_version, full
        raise NotYetKnownError(name)

    def references(self, symbol: str, *, full: bool) -> list[Value]:
        """Never: the resources may not exist yet."""
        del full
        raise NotYetKnownError(symbol)

    def list_secrets(self, function: str, resource: str, api_version: str, body: JsonObject) -> Value:
        """Never: the resource may not exist yet."""
        del function, api_version, body
        raise NotYetKnownError(resource)

    def resource_id_of(self, symbol: str) -> str | None:
        """The id of a resource whose name is known already."""
        return self.ids.get(symbol.lower())


def make_plan(
    template: JsonObject,
    given: JsonObject,
    group: JsonObject,
    deployment_name: str,
    surroundings: Surroundings,
) -> Plan:
    """The plan of a template; ArmError `InvalidTemplate` for what it cannot mean."""
    _check_shape(template)
    bare = Scope(
        parameters={},
        variables={name.lower(): value for name, value in _variables(template).items()},
        functions=_functions(template),
        group=group,
        subscription=subscription_document(group["id"].split("/")[2]),
        deployment={
            "name": deployment_name,
            "properties": {"template": template, "mode": "Incremental", "provisioningState": "Accepted"},
        },
        surroundings=surroundings,
    )
    check_expressions(template, bare.functions, "template")
    values = read_parameters(template, given, bare)
    scope = replace(bare, parameters=values)
    resources = tuple(_with_needs(list(_resources(template, scope)), template))
    _check_rings(resources)
    return Plan(template, values, resources, scope)


def _check_shape(template: JsonObject) -> None:
    if not isinstance(template.get("$schema"), str) or "deploymentTemplate" not in template["$schema"]:
        raise invalid_template("The template needs a '$schema' of deployment templates", "$schema")
    check_shape(template)
    if isinstance(template["resources"], dict) != str(template.get("languageVersion", "1.0")).startswith("2"):
        raise invalid_template("Symbolic resource names and languageVersion 2.0 belong together", "languageVersion")
    for section in ("imports", "extensions"):
        if template.get(section):
            raise ArmError(
                "NotImplementedByLocalCloud",
                f"The local cloud does not emulate '{section}'.",
                status=501,
                target=section,
            )


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


def check_expressions(value: Value, functions: Mapping[str, JsonObject], place: str) -> None:
    """Raise ArmError for the first string that looks like an expression and is none, or calls the unknown."""
    if isinstance(value, str) and syntax.is_expression(value):
        for call in calls(parse(value, place)):
            if not is_known_function(call.name, functions):
                raise invalid_template(f"The template function '{call.name}' is not valid", place)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            check_expressions(item, functions, f"{place}[{index}]")
    elif isinstance(value, dict):
        for key, item in value.items():
            if key not in {"metadata", "$schema"}:
                check_expressions(item, functions, f"{place}.{key}" if place != "template" else key)


def calls(expression: Expression) -> Iterator[Call]:
    """Every function call in an expression, the outermost first."""
    match expression:
        case Call(_, arguments):
            yield expression
            if expression.name.lower() != "lambda":
                for argument in arguments:
                    yield from calls(argument)
            else:
                yield from (call for call in calls(arguments[-1]) if arguments)
        case Member(of, _, _):
            yield from calls(of)
        case Element(of, index, _):
            yield from calls(of)
            yield from calls(index)


def _resources(template: JsonObject, scope: Scope) -> Iterator[PlannedResource]:
    declared: JsonObject | list[JsonObject] = template["resources"]
    items = (
        [(symbol, f"resources.{symbol}", body) for symbol, body in declared.items()]
        if isinstance(declared, dict)
        else [(f"resources[{index}]", f"resources[{index}]", body) for index, body in enumerate(declared)]
    )
    for symbol, place, body in items:
        yield from _expanded(symbol, place, body, scope, ())


def _expanded(
    symbol: str, place: str, body: JsonObject, scope: Scope, parents: tuple[str, ...]
) -> Iterator[PlannedResource]:
    """The resource once, or as often as its `copy` says, with the resources nested in it."""
    if not isinstance(body, dict) or not isinstance(body.get("type"), str):
        raise invalid_template("A resource needs a 'type'", place)
    loop = body.get("copy")
    if not isinstance(loop, dict):
        yield from _one(symbol, place, body, scope, parents)
        return
    count = evaluate(loop.get("count"), scope, f"{place}.copy.count")
    if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= 800:  # noqa: PLR2004
        raise invalid_template("The copy count must be an integer from 0 to 800", place)
    for index in range(count):
        inner = replace(
            scope,
            copy_indexes={**scope.copy_indexes, str(loop.get("name", symbol)): index},
            current_copy=index,
        )
        yield from _one(f"{symbol}[{index}]", place, body, inner, parents)


def _one(
    symbol: str, place: str, body: JsonObject, scope: Scope, parents: tuple[str, ...]
) -> Iterator[PlannedResource]:
    condition = evaluate(body.get("condition", True), scope, f"{place}.condition")
    if not isinstance(condition, bool):
        raise invalid_template("A condition must be true or false", f"{place}.condition")
    if not condition:
        return
    identifier = _identifier(body, scope, place, parents)
    version = body.get("apiVersion")
    if not isinstance(version, str):
        raise invalid_template("A resource needs an 'apiVersion'", place)
    rest = {key: value for key, value in body.items() if key not in NOT_IN_BODY}
    yield PlannedResource(
        symbol,
        identifier,
        str(evaluate(version, scope, place)),
        rest,
        place,
        scope,
        bool(body.get("existing")),
    )
    nested = body.get("resources") or []
    for index, child in enumerate(nested if isinstance(nested, list) else nested.values()):
        qualified = {
            **child,
            "type": child["type"] if "." in child["type"].split("/")[0] else f"{body['type']}/{child['type']}",
        }
        yield from _expanded(
            f"{symbol}.resources[{index}]",
            f"{place}.resources[{index}]",
            qualified,
            scope,
            identifier.names,
        )


def _identifier(body: JsonObject, scope: Scope, place: str, parents: tuple[str, ...]) -> ResourceId:
    name = evaluate(body.get("name"), scope, f"{place}.name")
    if not isinstance(name, str) or not name:
        raise invalid_template("A resource needs a 'name' that is text", f"{place}.name")
    if body.get("scope") is not None:
        raise ArmError(
            "NotImplementedByLocalCloud",
            "The local cloud does not emulate extension resources ('scope').",
            status=501,
            target=f"{place}.scope",
        )
    namespace, *kinds = str(body["type"]).split("/")
    names = tuple(name.split("/"))
    if len(names) < len(kinds):
        names = (*parents, *names)
    if not kinds or len(kinds) != len(names):
        raise invalid_template(
            f"Template resource '{name}' of type '{body['type']}' has incorrect segment lengths", place
        )
    subscription = evaluate(body.get("subscriptionId", scope.subscription["subscriptionId"]), scope, place)
    named_group = evaluate(body.get("resourceGroup", (scope.group or {}).get("name")), scope, place)
    return ResourceId(str(subscription), str(named_group), namespace, tuple(kinds), names)


def _with_needs(resources: list[PlannedResource], template: JsonObject) -> Iterator[PlannedResource]:
    """The resources with what each waits for: `dependsOn`, and what its expressions look at."""
    by_name: dict[str, set[str]] = {}
    for resource in resources:
        loop_symbol = resource.symbol.partition("[")[0] if resource.symbol.endswith("]") else resource.symbol
        for name in (
            resource.symbol,
            loop_symbol,
            str(resource.id),
            resource.id.name,
            "/".join(resource.id.names),
        ):
            by_name.setdefault(name.lower(), set()).add(resource.symbol)
    declared = template["resources"]
    known = {name.lower() for name in declared} if isinstance(declared, dict) else set()
    loops = _loop_names(resources, template)
    for resource in resources:
        found: set[str] = set()
        source = _source(template, resource)
        for index, needed in enumerate(source.get("dependsOn") or []):
            place = f"{resource.place}.dependsOn[{index}]"
            name = str(evaluate(needed, resource.scope, place)).lower()
            name = name.removeprefix("[").removesuffix("]") if name not in by_name else name
            if name in by_name:
                found |= by_name[name]
            elif name in loops:
                found |= loops[name]
            elif name not in known and isinstance(declared, dict) and "/" not in name:
                raise invalid_template(f"The resource '{needed}' is not defined in the template", place)
        for name in _looked_at(source, resource):
            found |= by_name.get(name.lower(), set())
        parent = str(resource.id.parent).lower()
        if len(resource.id.types) > 1 and parent in by_name:
            found |= by_name[parent]
        found |= _earlier_batches(source, resource)
        yield replace(resource, needs=frozenset(found - {resource.symbol}))


def _earlier_batches(source: JsonObject, resource: PlannedResource) -> set[str]:
    """The copies that come before this one's batch, where the loop is serial."""
    loop, index = source.get("copy"), resource.scope.current_copy
    if not isinstance(loop, dict) or index is None or str(loop.get("mode", "parallel")).lower() != "serial":
        return set()
    size = evaluate(loop.get("batchSize", 1), resource.scope, f"{resource.place}.copy.batchSize")
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise invalid_template("The batch size of a copy loop must be a positive integer", resource.place)
    return {f"{_loop_symbol(resource)}[{earlier}]" for earlier in range(index // size * size)}


def _loop_symbol(resource: PlannedResource) -> str:
    """The symbol of the loop that the resource is a copy in, which ends in its index."""
    return resource.symbol.rpartition("[")[0]


def _source(template: JsonObject, resource: PlannedResource) -> JsonObject:
    """The resource as the template has it."""
    value: Value = template
    for step in resource.place.replace("[", ".[").split("."):
        value = value[int(step[1:-1])] if step.startswith("[") else value[step]
    found: JsonObject = value
    return found


def _loop_names(resources: list[PlannedResource], template: JsonObject) -> dict[str, set[str]]:
    loops: dict[str, set[str]] = {}
    for resource in resources:
        loop = _source(template, resource).get("copy")
        if isinstance(loop, dict) and "name" in loop:
            loops.setdefault(str(loop["name"]).lower(), set()).add(resource.symbol)
    return loops


def _looked_at(source: JsonObject, resource: PlannedResource) -> Iterator[str]:
    """Names and ids that the body's `reference` and `list…` calls look at."""
    for call, place in _runtime_calls(source, resource.place):
        try:
            target = evaluate_expression(call.arguments[0], resource.scope, place)
        except (NotYetKnownError, ArmError):
            continue  # what it looks at depends on another look, which is found by itself
        if isinstance(target, str):
            yield target


def _runtime_calls(value: Value, place: str) -> Iterator[tuple[Call, str]]:
    if isinstance(value, str) and syntax.is_expression(value):
        for call in calls(parse(value, place)):
            lowered = call.name.lower()
            if call.arguments and (lowered in RUNTIME_FUNCTIONS or lowered.startswith("list")):
                yield call, place
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _runtime_calls(item, f"{place}[{index}]")
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _runtime_calls(item, f"{place}.{key}")


def _check_rings(resources: tuple[PlannedResource, ...]) -> None:
    """Raise ArmError when resources wait for each other."""
    left = {resource.symbol: set(resource.needs) for resource in resources}
    while left:
        ready = {symbol for symbol, needs in left.items() if not needs & left.keys()}
        if not ready:
            ring = ", ".join(sorted(left))
            raise invalid_template(f"Circular dependency detected on resources {ring}", "resources")
        for symbol in ready:
            del left[symbol]
