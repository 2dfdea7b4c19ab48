"""Functions that look at the template around them, or at the cloud."""

import uuid
from collections.abc import Callable

from ai_toolkit.local_cloud.core.arm_error import JsonObject
from ai_toolkit.local_cloud.core.resource_id import SUBSCRIPTION, TENANT
from ai_toolkit.local_cloud.template.date_functions import utc_now
from ai_toolkit.local_cloud.template.scope import Scope, Value, invalid_template
from ai_toolkit.local_cloud.template.text_functions import integer, text


def _parameters(scope: Scope, values: list[Value], place: str) -> Value:
    name = text(values[0], "parameters")
    if name.lower() not in scope.parameters:
        raise invalid_template(f"The template parameter '{name}' is not found", place)
    return scope.parameters[name.lower()]


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


def _references(scope: Scope, values: list[Value], place: str) -> list[Value]:
    which = text(values[1], "references").lower() if len(values) > 1 else "properties"
    if which not in {"full", "properties"}:
        raise invalid_template("The function 'references' takes 'Full' or 'Properties' as second argument", place)
    return scope.surroundings.references(text(values[0], "references"), full=which == "full")


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
    "lambdavariables": (_lambda_variables, 1, 1),
    "copyindex": (_copy_index, 0, 2),
    "resourceid": (_resource_id, 2, None),
    "extensionresourceid": (_extension_resource_id, 3, None),
    "subscriptionresourceid": (_subscription_resource_id, 2, None),
    "tenantresourceid": (lambda s, v, p: _extension_resource_id(s, ["", *v], p), 2, None),
    "reference": (_reference, 1, 3),
    "references": (_references, 1, 2),
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
