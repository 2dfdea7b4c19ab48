"""Values of template expressions: what functions see of the template and of the cloud."""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

from ai_toolkit.local_cloud.arm_error import ArmError, JsonObject
from ai_toolkit.local_cloud.resource_manager.resource_id import SUBSCRIPTION, TENANT
from ai_toolkit.local_cloud.template import syntax
from ai_toolkit.local_cloud.template.syntax import Call, Element, Expression, Member, Number, Text
from ai_toolkit.local_cloud.template.text_functions import (
    TEXT_FUNCTIONS,
    FunctionError,
    integer,
    kind,
    text,
    utc_now,
)
from ai_toolkit.local_cloud.template.value_functions import (
    VALUE_FUNCTIONS,
    array_of,
    boolean,
    object_of,
    try_get,
)

Value = Any  # a JSON value
DEEPEST: Final = 200  # evaluations within evaluations: variables that need each other


class NotYetKnownError(Exception):
    """The value exists only once the deployment has run (`reference`, `listKeys`)."""


@dataclass(frozen=True)
class LoopVariable:
    """A variable that is an array made by a loop."""

    loop: JsonObject


class Surroundings(Protocol):
    """What an expression can ask beyond its own template: a deployment, or a validation of one."""

    def reference(self, name: str, api_version: str | None, *, full: bool) -> Value:
        """The runtime state of a resource, by symbolic name, name or id."""

    def list_secrets(self, function: str, resource: str, api_version: str, body: JsonObject) -> Value:
        """What a `list…` function returns."""

    def resource_id_of(self, symbol: str) -> str | None:
        """The id of the resource of that symbolic name."""


@dataclass(frozen=True)
class Scope:
    """Everything that names in an expression can mean, at one place of a template."""

    parameters: Mapping[str, Value]
    variables: Mapping[str, Value]  # raw: evaluated when asked for
    functions: Mapping[str, JsonObject]
    group: JsonObject
    subscription: JsonObject
    deployment: JsonObject
    surroundings: Surroundings
    copy_indexes: Mapping[str, int] = field(default_factory=dict)
    current_copy: int | None = None
    lambda_variables: Mapping[str, Value] = field(default_factory=dict)
    in_parameter_default: bool = False
    depth: int = 0


def invalid_template(message: str, place: str) -> ArmError:
    """InvalidTemplate, naming the place in the template."""
    return ArmError(
        "InvalidTemplate",
        f"Deployment template validation failed: '{message} (at {place})'.",
        target=place,
    )


def evaluate(value: Value, scope: Scope, place: str) -> Value:
    """A JSON value of a template with every expression in it evaluated, property copies included.

    Raises ArmError `InvalidTemplate` with the place, or NotYetKnownError.
    """
    if isinstance(value, str):
        if not syntax.is_expression(value):
            return syntax.unescape(value)
        return evaluate_expression(parse(value, place), scope, place)
    if isinstance(value, list):
        return [evaluate(item, scope, f"{place}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, dict):
        return _evaluate_object(value, scope, place)
    return value


def _evaluate_object(value: JsonObject, scope: Scope, place: str) -> JsonObject:
    evaluated: JsonObject = {}
    for key, item in value.items():
        if key == "copy" and is_property_copy(item):
            for number, loop in enumerate(item):
                evaluated[loop["name"]] = expand_copy(loop, scope, f"{place}.copy[{number}]")
            continue
        name = evaluate(key, scope, f"{place}.{key}") if syntax.is_expression(key) else syntax.unescape(key)
        evaluated[text(name, "property name")] = evaluate(item, scope, f"{place}.{key}")
    return evaluated


def is_property_copy(value: Value) -> bool:
    """Whether a `copy` property is a loop and not a property that happens to be called so."""
    return isinstance(value, list) and all(
        isinstance(item, dict) and {"name", "count", "input"} <= item.keys() for item in value
    )


def expand_copy(loop: JsonObject, scope: Scope, place: str) -> list[Value]:
    """The array that a loop of a variable, property or output makes."""
    count = evaluate(loop["count"], scope, f"{place}.count")
    if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= 800:  # noqa: PLR2004
        raise invalid_template("The copy count must be an integer from 0 to 800", place)
    return [
        evaluate(
            loop["input"],
            replace(scope, copy_indexes={**scope.copy_indexes, loop["name"]: index}),
            f"{place}.input",
        )
        for index in range(count)
    ]


def parse(value: str, place: str) -> Expression:
    """The expression in a JSON string; ArmError naming the place and the position for bad syntax."""
    try:
        return syntax.parse(value)
    except syntax.ExpressionSyntaxError as error:
        raise invalid_template(
            f"Unable to parse language expression '{error.text}': {error.message} at position {error.position}",
            place,
        ) from error


def evaluate_expression(expression: Expression, scope: Scope, place: str) -> Value:
    """The value of one expression."""
    if scope.depth > DEEPEST:
        raise invalid_template("Circular or too deeply nested variables and functions", place)
    match expression:
        case Text(value) | Number(value):
            return value
        case Call(name, arguments):
            try:
                return _call(name, arguments, scope, place)
            except FunctionError as error:
                raise invalid_template(f"Unable to evaluate '{name}': {error}", place) from error
        case Member(of, name, safe):
            return _member(evaluate_expression(of, scope, place), name, safe=safe, place=place)
        case Element(of, index, safe):
            found = evaluate_expression(of, scope, place)
            return _element(found, evaluate_expression(index, scope, place), safe=safe, place=place)


def _member(of: Value, name: str, *, safe: bool, place: str) -> Value:
    if safe and of is None:
        return None
    if isinstance(of, dict):
        for key, item in of.items():
            if key.lower() == name.lower():
                return item
        if safe:
            return None
        known = ", ".join(of) or "none"
        raise invalid_template(
            f"The language expression property '{name}' doesn't exist, available properties are '{known}'",
            place,
        )
    raise invalid_template(f"The property '{name}' cannot be selected of {kind(of)}", place)


def _element(of: Value, index: Value, *, safe: bool, place: str) -> Value:
    if isinstance(index, str):
        return _member(of, index, safe=safe, place=place)
    if safe:
        return try_get(of, index)
    if isinstance(of, list) and isinstance(index, int) and not isinstance(index, bool):
        if 0 <= index < len(of):
            return of[index]
        raise invalid_template(f"The array index '{index}' is out of bounds (the array has {len(of)})", place)
    raise invalid_template(f"{kind(index)} cannot select from {kind(of)}", place)


def _call(name: str, arguments: tuple[Expression, ...], scope: Scope, place: str) -> Value:
    lowered = name.lower()
    if lowered in LAZY_FUNCTIONS:
        function, fewest, most = LAZY_FUNCTIONS[lowered]
        check_count(name, len(arguments), fewest, most, place)
        return function(arguments, scope, place)
    if (custom := scope.functions.get(lowered)) is not None:
        return _call_custom(name, custom, arguments, scope, place)
    values = [evaluate_expression(argument, scope, place) for argument in arguments]
    if lowered in SCOPE_FUNCTIONS:
        scoped, fewest, most = SCOPE_FUNCTIONS[lowered]
        check_count(name, len(values), fewest, most, place)
        return scoped(scope, values, place)
    plain = TEXT_FUNCTIONS.get(lowered) or VALUE_FUNCTIONS.get(lowered)
    if plain is not None:
        check_count(name, len(values), plain[1], plain[2], place)
        return plain[0](*values)
    if lowered.startswith("list") and values:
        version = values[1] if len(values) > 1 else ""
        body = values[2] if len(values) > 2 else {}  # noqa: PLR2004  # list*(resource, version, body)
        return scope.surroundings.list_secrets(name, text(values[0], name), str(version), body)
    raise invalid_template(f"The template function '{name}' is not valid", place)


def check_count(name: str, count: int, fewest: int, most: int | None, place: str) -> None:
    """Raise ArmError unless a function has as many arguments as it needs."""
    if count < fewest or (most is not None and count > most):
        wanted = str(fewest) if most == fewest else f"{fewest} to {'many' if most is None else most}"
        raise invalid_template(f"The template function '{name}' has {count} arguments but takes {wanted}", place)


def is_known_function(name: str, custom: Mapping[str, JsonObject]) -> bool:
    """Whether a template may call it."""
    lowered = name.lower()
    return (
        lowered in LAZY_FUNCTIONS
        or lowered in SCOPE_FUNCTIONS
        or lowered in TEXT_FUNCTIONS
        or lowered in VALUE_FUNCTIONS
        or lowered in custom
        or (lowered.startswith("list") and "." not in lowered)
    )


def _call_custom(name: str, function: JsonObject, arguments: tuple[Expression, ...], scope: Scope, place: str) -> Value:
    parameters = function.get("parameters") or []
    check_count(name, len(arguments), len(parameters), len(parameters), place)
    values = {
        parameter["name"].lower(): evaluate_expression(argument, scope, place)
        for parameter, argument in zip(parameters, arguments, strict=True)
    }
    inner = replace(scope, parameters=values, variables={}, lambda_variables={}, depth=scope.depth + 1)
    return evaluate(function["output"]["value"], inner, place)


# Functions that do not evaluate all their arguments, or evaluate them with names of their own.


def _if(arguments: tuple[Expression, ...], scope: Scope, place: str) -> Value:
    condition = boolean(evaluate_expression(arguments[0], scope, place), "if")
    return evaluate_expression(arguments[1 if condition else 2], scope, place)


def _and(arguments: tuple[Expression, ...], scope: Scope, place: str) -> Value:
    return all(boolean(evaluate_expression(argument, scope, place), "and") for argument in arguments)


def _or(arguments: tuple[Expression, ...], scope: Scope, place: str) -> Value:
    return any(boolean(evaluate_expression(argument, scope, place), "or") for argument in arguments)


def _coalesce(arguments: tuple[Expression, ...], scope: Scope, place: str) -> Value:
    for argument in arguments:
        value = evaluate_expression(argument, scope, place)
        if value is not None:
            return value
    return None


def _apply(function: Expression, scope: Scope, place: str) -> Callable[..., Value]:
    """A lambda as a Python function."""
    if not isinstance(function, Call) or function.name.lower() != "lambda" or not function.arguments:
        raise invalid_template("A lambda is expected as argument", place)
    names = []
    for argument in function.arguments[:-1]:
        if not isinstance(argument, Text):
            raise invalid_template("A lambda's variables are named by strings", place)
        names.append(argument.value.lower())

    def call(*values: Value) -> Value:
        bound = {**scope.lambda_variables, **dict(zip(names, values, strict=False))}
        inner = replace(scope, lambda_variables=bound, depth=scope.depth + 1)
        return evaluate_expression(function.arguments[-1], inner, place)

    call.__dict__["takes"] = len(names)
    return call


def _items(arguments: tuple[Expression, ...], scope: Scope, place: str, name: str) -> list[Value]:
    return array_of(evaluate_expression(arguments[0], scope, place), name)


def _map(arguments: tuple[Expression, ...], scope: Scope, place: str) -> Value:
    function = _apply(arguments[1], scope, place)
    return [function(item, index) for index, item in enumerate(_items(arguments, scope, place, "map"))]


def _filter(arguments: tuple[Expression, ...], scope: Scope, place: str) -> Value:
    function = _apply(arguments[1], scope, place)
    items = _items(arguments, scope, place, "filter")
    return [item for index, item in enumerate(items) if boolean(function(item, index), "filter")]


def _reduce(arguments: tuple[Expression, ...], scope: Scope, place: str) -> Value:
    function = _apply(arguments[2], scope, place)
    result = evaluate_expression(arguments[1], scope, place)
    for index, item in enumerate(_items(arguments, scope, place, "reduce")):
        result = function(result, item, index)
    return result


def _sort(arguments: tuple[Expression, ...], scope: Scope, place: str) -> Value:
    before = _apply(arguments[1], scope, place)
    ordered: list[Value] = []
    for item in _items(arguments, scope, place, "sort"):
        at = next((index for index, other in enumerate(ordered) if not before(other, item)), len(ordered))
        while at < len(ordered) and not before(item, ordered[at]):
            at += 1  # equal ones keep their order
        ordered.insert(at, item)
    return ordered


def _to_object(arguments: tuple[Expression, ...], scope: Scope, place: str) -> Value:
    key = _apply(arguments[1], scope, place)
    value = _apply(arguments[2], scope, place) if len(arguments) > 2 else None  # noqa: PLR2004
    return {
        text(key(item), "toObject"): value(item) if value else item
        for item in _items(arguments, scope, place, "toObject")
    }


def _group_by(arguments: tuple[Expression, ...], scope: Scope, place: str) -> Value:
    key = _apply(arguments[1], scope, place)
    groups: dict[str, list[Value]] = {}
    for item in _items(arguments, scope, place, "groupBy"):
        groups.setdefault(text(key(item), "groupBy"), []).append(item)
    return groups


def _map_values(arguments: tuple[Expression, ...], scope: Scope, place: str) -> Value:
    function = _apply(arguments[1], scope, place)
    found = object_of(evaluate_expression(arguments[0], scope, place), "mapValues")
    return {key: function(item) for key, item in found.items()}


LazyFunction = Callable[[tuple[Expression, ...], Scope, str], Value]
LAZY_FUNCTIONS: dict[str, tuple[LazyFunction, int, int | None]] = {
    "if": (_if, 3, 3),
    "and": (_and, 2, None),
    "or": (_or, 2, None),
    "coalesce": (_coalesce, 1, None),
    "map": (_map, 2, 2),
    "filter": (_filter, 2, 2),
    "reduce": (_reduce, 3, 3),
    "sort": (_sort, 2, 2),
    "toobject": (_to_object, 2, 3),
    "groupby": (_group_by, 2, 2),
    "mapvalues": (_map_values, 2, 2),
}


# Functions that look at the template or at the cloud.


def _parameters(scope: Scope, values: list[Value], place: str) -> Value:
    name = text(values[0], "parameters")
    if name.lower() not in scope.parameters:
        raise invalid_template(f"The template parameter '{name}' is not found", place)
    return scope.parameters[name.lower()]


def _variables(scope: Scope, values: list[Value], place: str) -> Value:
    name = text(values[0], "variables")
    if name.lower() not in scope.variables:
        raise invalid_template(f"The template variable '{name}' is not found", place)
    inner = replace(scope, depth=scope.depth + 1, copy_indexes={}, current_copy=None, lambda_variables={})
    raw = scope.variables[name.lower()]
    if isinstance(raw, LoopVariable):
        return expand_copy(raw.loop, inner, f"variables.{name}")
    return evaluate(raw, inner, f"variables.{name}")


def _lambda_variables(scope: Scope, values: list[Value], place: str) -> Value:
    name = text(values[0], "lambdaVariables")
    if name.lower() not in scope.lambda_variables:
        raise invalid_template(f"The lambda variable '{name}' is not found", place)
    return scope.lambda_variables[name.lower()]


def _copy_index(scope: Scope, values: list[Value], place: str) -> int:
    loop = values[0] if values and isinstance(values[0], str) else None
    offset = integer(values[-1], "copyIndex") if values and not isinstance(values[-1], str) else 0
    if loop is not None:
        if loop not in scope.copy_indexes:
            raise invalid_template(f"There is no copy loop '{loop}' here", place)
        return scope.copy_indexes[loop] + offset
    if scope.current_copy is None:
        raise invalid_template("The template function 'copyIndex' is not expected outside of a copy loop", place)
    return scope.current_copy + offset


def _resource_id(scope: Scope, values: list[Value], place: str) -> str:
    parts = [text(value, "resourceId") for value in values]
    at = next((index for index, part in enumerate(parts) if "/" in part), None)
    if at is None or at > 2:  # noqa: PLR2004  # at most a subscription and a group come before the type
        raise invalid_template("The function 'resourceId' needs a fully qualified resource type", place)
    names = parts[at + 1 :]
    namespace, *kinds = parts[at].split("/")
    if len(kinds) != len(names):
        raise invalid_template(
            f"The function 'resourceId' has {len(names)} names for the {len(kinds)} segments of '{parts[at]}'",
            place,
        )
    subscription = parts[0] if at == 2 else scope.subscription["subscriptionId"]  # noqa: PLR2004
    group = parts[at - 1] if at else scope.group["name"]
    pairs = "/".join(f"{one}/{name}" for one, name in zip(kinds, names, strict=True))
    return f"/subscriptions/{subscription}/resourceGroups/{group}/providers/{namespace}/{pairs}"


def _extension_resource_id(_scope: Scope, values: list[Value], place: str) -> str:
    target, resource_type, *names = [text(value, "extensionResourceId") for value in values]
    namespace, *kinds = resource_type.split("/")
    if len(kinds) != len(names):
        raise invalid_template("The function 'extensionResourceId' needs one name for each type", place)
    pairs = "/".join(f"{one}/{name}" for one, name in zip(kinds, names, strict=True))
    return f"{target.rstrip('/')}/providers/{namespace}/{pairs}"


def _subscription_resource_id(scope: Scope, values: list[Value], place: str) -> str:
    parts = [text(value, "subscriptionResourceId") for value in values]
    at = 0 if "/" in parts[0] else 1
    subscription = parts[0] if at else scope.subscription["subscriptionId"]
    return _extension_resource_id(scope, [f"/subscriptions/{subscription}", *parts[at:]], place)


def _reference(scope: Scope, values: list[Value], _place: str) -> Value:
    version = text(values[1], "reference") if len(values) > 1 and values[1] else None
    full = len(values) > 2 and str(values[2]).lower() == "full"  # noqa: PLR2004  # the third argument
    return scope.surroundings.reference(text(values[0], "reference"), version, full=full)


def _resource_info(scope: Scope, values: list[Value], place: str) -> JsonObject:
    symbol = text(values[0], "resourceInfo")
    identifier = scope.surroundings.resource_id_of(symbol)
    if identifier is None:
        raise invalid_template(f"There is no resource '{symbol}' in the template", place)
    return {"id": identifier, "name": identifier.rpartition("/")[2]}


def _only_in_default(name: str, make: Callable[..., Value]) -> "ScopeFunction":
    def call(scope: Scope, values: list[Value], place: str) -> Value:
        if not scope.in_parameter_default:
            raise invalid_template(
                f"The template function '{name}' is only valid in a parameter's default value", place
            )
        return make(*values)

    return call


def _environment(_scope: Scope, _values: list[Value], _place: str) -> JsonObject:
    return {
        "name": "LocalCloud",
        "portal": "",
        "suffixes": {"storage": "local.invalid", "acrLoginServer": "", "keyvaultDns": ""},
        "authentication": {"tenant": TENANT},
    }


ScopeFunction = Callable[[Scope, list[Value], str], Value]
SCOPE_FUNCTIONS: dict[str, tuple[ScopeFunction, int, int | None]] = {
    "parameters": (_parameters, 1, 1),
    "variables": (_variables, 1, 1),
    "lambdavariables": (_lambda_variables, 1, 1),
    "copyindex": (_copy_index, 0, 2),
    "resourceid": (_resource_id, 2, None),
    "extensionresourceid": (_extension_resource_id, 3, None),
    "subscriptionresourceid": (_subscription_resource_id, 2, None),
    "tenantresourceid": (lambda s, v, p: _extension_resource_id(s, ["", *v], p), 2, None),
    "reference": (_reference, 1, 3),
    "resourceinfo": (_resource_info, 1, 1),
    "resourcegroup": (lambda scope, _values, _place: scope.group, 0, 0),
    "subscription": (lambda scope, _values, _place: scope.subscription, 0, 0),
    "deployment": (lambda scope, _values, _place: scope.deployment, 0, 0),
    "deployer": (lambda _scope, _values, _place: {"objectId": SUBSCRIPTION, "tenantId": TENANT}, 0, 0),
    "tenant": (lambda _scope, _values, _place: {"tenantId": TENANT, "countryCode": "NO"}, 0, 0),
    "environment": (_environment, 0, 0),
    "newguid": (_only_in_default("newGuid", lambda: str(uuid.uuid4())), 0, 0),
    "utcnow": (_only_in_default("utcNow", utc_now), 0, 1),
}
