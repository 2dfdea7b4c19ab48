"""Functions that look at the template around them, or at the cloud."""

import uuid
from collections.abc import Callable
from typing import Final

from ai_toolkit.local_cloud.core.arm_error import ArmError, JsonObject
from ai_toolkit.local_cloud.core.resource_id import GROUP_TYPE, SUBSCRIPTION, TENANT
from ai_toolkit.local_cloud.template.functions.dates import utc_now
from ai_toolkit.local_cloud.template.functions.values import FunctionError, integer, text
from ai_toolkit.local_cloud.template.scope import NotYetKnownError, Scope, Unknown, Value, invalid_template

_GROUP_PATH: Final = f"/providers/{GROUP_TYPE}/".lower()  # what a group's id would be if it were like others'


def _parameters(scope: Scope, values: list[Value], place: str) -> Value:
    name = text(values[0], "parameters")
    if name.lower() not in scope.parameters:
        raise invalid_template(f"The template parameter '{name}' is not found", place)
    value = scope.parameters[name.lower()]
    if isinstance(value, Unknown) or (scope.is_preview and name.lower() in {*scope.secure, *scope.made_anew}):
        raise NotYetKnownError(name)
    return value


def _lambda_variables(scope: Scope, values: list[Value], place: str) -> Value:
    name = text(values[0], "lambdaVariables")
    if name.lower() not in scope.lambda_variables:
        raise invalid_template(f"The lambda variable '{name}' is not found", place)
    return scope.lambda_variables[name.lower()]


def _copy_index(scope: Scope, values: list[Value], place: str) -> int:
    loop = values[0] if values and isinstance(values[0], str) else None
    offset = integer(values[-1], "copyIndex") if values and not isinstance(values[-1], str) else 0
    if loop is not None:
        if loop.lower() not in scope.copy_indexes:
            raise invalid_template(f"There is no copy loop '{loop}' here", place)
        return scope.copy_indexes[loop.lower()] + offset
    if scope.current_copy is None:
        raise invalid_template("The template function 'copyIndex' is not expected outside of a copy loop", place)
    return scope.current_copy + offset


def _typed(function: str, values: list[Value], most_before: int) -> tuple[list[str], str]:
    """What stands before the resource type, and the path below `providers` that type and names make."""
    parts = [text(value, function, position) for position, value in enumerate(values, 1)]
    types = [index for index, part in enumerate(parts) if "/" in part]
    if len(types) != 1 or types[0] > most_before:
        raise FunctionError(
            f"The function '{function}' needs exactly one resource type with its provider, such as "
            f"'Microsoft.App/containerApps'; it was given '{', '.join(parts)}'."
        )
    at = types[0]
    namespace, *kinds = parts[at].split("/")
    names = parts[at + 1 :]
    if len(kinds) != len(names):
        raise FunctionError(
            f"The function '{function}' needs {len(kinds)} names for the type '{parts[at]}', and has {len(names)}."
        )
    pairs = "".join(f"/{one}/{name}" for one, name in zip(kinds, names, strict=True))
    return parts[:at], f"/providers/{namespace}{pairs}"


def _resource_id(scope: Scope, values: list[Value], _place: str) -> str:
    before, path = _typed("resourceId", values, 2)
    if scope.group is None and not before:
        return f"{scope.subscription['id']}{path}"
    group = before[-1] if before else (scope.group or {})["name"]
    subscription = before[0] if len(before) > 1 else scope.subscription["subscriptionId"]
    return f"/subscriptions/{subscription}/resourceGroups/{group}{path}"


def _extension_resource_id(_scope: Scope, values: list[Value], _place: str) -> str:
    target = text(values[0], "extensionResourceId")
    _, path = _typed("extensionResourceId", values[1:], 0)
    return f"{target.rstrip('/')}{path}"


def _subscription_resource_id(scope: Scope, values: list[Value], _place: str) -> str:
    before, path = _typed("subscriptionResourceId", values, 1)
    if path.lower().startswith(_GROUP_PATH):
        path = f"/resourceGroups/{path[len(_GROUP_PATH) :]}"
    return f"/subscriptions/{before[0] if before else scope.subscription['subscriptionId']}{path}"


def _tenant_resource_id(_scope: Scope, values: list[Value], _place: str) -> str:
    return _typed("tenantResourceId", values, 0)[1]


def _management_group_resource_id(_scope: Scope, values: list[Value], _place: str) -> str:
    before, path = _typed("managementGroupResourceId", values, 1)
    if not before:
        raise FunctionError("The function 'managementGroupResourceId' needs the name of a management group here.")
    return f"/providers/Microsoft.Management/managementGroups/{before[0]}{path}"


def _resource_group(scope: Scope, values: list[Value], place: str) -> JsonObject:
    """The group of the deployment, or what is known of another: its id and name."""
    if values:
        *subscription, name = (text(value, "resourceGroup", position) for position, value in enumerate(values, 1))
        of = subscription[0] if subscription else scope.subscription["subscriptionId"]
        return {"id": f"/subscriptions/{of}/resourceGroups/{name}", "name": name, "type": GROUP_TYPE}
    if scope.group is None:
        raise invalid_template(
            "The template function 'resourceGroup' is not valid here: the deployment is to a subscription", place
        )
    return {**scope.group, "tags": scope.group.get("tags") or {}, "managedBy": scope.group.get("managedBy")}


def _subscription(scope: Scope, values: list[Value], _place: str) -> JsonObject:
    """The subscription of the deployment, or what is known of another."""
    if not values:
        return scope.subscription
    identifier = text(values[0], "subscription")
    return {"id": f"/subscriptions/{identifier}", "subscriptionId": identifier}


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


def _fail(_scope: Scope, values: list[Value], place: str) -> Value:
    """Never a value: the template refuses itself, in its own words."""
    raise ArmError("InvalidTemplate", text(values[0], "fail"), target=place)


def _only_in_default(name: str, make: Callable[..., Value]) -> "ScopeFunction":
    def call(scope: Scope, values: list[Value], place: str) -> Value:
        if not scope.in_parameter_default:
            raise invalid_template(
                f"The template function '{name}' is only valid in a parameter's default value", place
            )
        if scope.is_preview:
            raise NotYetKnownError(name)
        return make(*values)

    return call


def _environment(_scope: Scope, _values: list[Value], _place: str) -> JsonObject:
    """Azure's own, so that a template's values come out as there; nothing here listens at these addresses.

    Source: https://learn.microsoft.com/azure/azure-resource-manager/templates/template-functions-deployment#environment
    """
    return {
        "name": "AzureCloud",
        "gallery": "https://gallery.azure.com/",
        "graph": "https://graph.windows.net/",
        "portal": "https://portal.azure.com",
        "graphAudience": "https://graph.windows.net/",
        "activeDirectoryDataLake": "https://datalake.azure.net/",
        "batch": "https://batch.core.windows.net/",
        "media": "https://rest.media.azure.net",
        "sqlManagement": "https://management.core.windows.net:8443/",
        "vmImageAliasDoc": (
            "https://raw.githubusercontent.com/Azure/azure-rest-api-specs/master/arm-compute/quickstart-templates/"
            "aliases.json"
        ),
        "resourceManager": "https://management.azure.com/",
        "authentication": {
            "loginEndpoint": "https://login.microsoftonline.com/",
            "audiences": ["https://management.core.windows.net/", "https://management.azure.com/"],
            "tenant": "common",
            "identityProvider": "AAD",
        },
        "suffixes": {
            "acrLoginServer": ".azurecr.io",
            "azureDatalakeAnalyticsCatalogAndJob": "azuredatalakeanalytics.net",
            "azureDatalakeStore": "azuredatalakestore.net",
            "azureFrontDoorEndpointSuffix": "azurefd.net",
            "keyvaultDns": ".vault.azure.net",
            "sqlServerHostname": ".database.windows.net",
            "storage": "core.windows.net",
        },
    }


ScopeFunction = Callable[[Scope, list[Value], str], Value]
SCOPE_FUNCTIONS: dict[str, tuple[ScopeFunction, int, int | None]] = {
    "parameters": (_parameters, 1, 1),
    "lambdavariables": (_lambda_variables, 1, 1),
    "copyindex": (_copy_index, 0, 2),
    "resourceid": (_resource_id, 2, None),
    "extensionresourceid": (_extension_resource_id, 3, None),
    "subscriptionresourceid": (_subscription_resource_id, 2, None),
    "tenantresourceid": (_tenant_resource_id, 2, None),
    "managementgroupresourceid": (_management_group_resource_id, 3, None),
    "reference": (_reference, 1, 3),
    "references": (_references, 1, 2),
    "resourceinfo": (_resource_info, 1, 1),
    "resourcegroup": (_resource_group, 0, 2),
    "subscription": (_subscription, 0, 1),
    "deployment": (lambda scope, _values, _place: scope.deployment, 0, 0),
    "deployer": (lambda _scope, _values, _place: {"objectId": SUBSCRIPTION, "tenantId": TENANT}, 0, 0),
    "tenant": (lambda _scope, _values, _place: {"tenantId": TENANT, "countryCode": "NO"}, 0, 0),
    "environment": (_environment, 0, 0),
    "fail": (_fail, 1, 1),
    "newguid": (_only_in_default("newGuid", lambda: str(uuid.uuid4())), 0, 0),
    "utcnow": (_only_in_default("utcNow", utc_now), 0, 1),
}
