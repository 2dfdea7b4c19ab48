"""The subscriptions that a caller sees, their tenants and locations."""

from aiohttp import web

from ai_toolkit.local_cloud.core.arm_error import ArmError, JsonObject
from ai_toolkit.local_cloud.core.resource_id import SUBSCRIPTION
from ai_toolkit.local_cloud.identity.directory import CALLER, THIS_COMPUTER, Subscription
from ai_toolkit.local_cloud.resource_manager.routes import ArmRequest, Routes

LOCATIONS = {
    "westus3": ("West US 3", "United States", "US", "33.448376", "-112.074036"),
    "eastus": ("East US", "United States", "US", "37.3719", "-79.8164"),
    "eastus2": ("East US 2", "United States", "US", "36.6681", "-78.3889"),
    "northeurope": ("North Europe", "Europe", "Europe", "53.3478", "-6.2597"),
    "norwayeast": ("Norway East", "Norway", "Europe", "59.913868", "10.752245"),
    "swedencentral": ("Sweden Central", "Sweden", "Europe", "60.67488", "17.14127"),
    "westeurope": ("West Europe", "Europe", "Europe", "52.3667", "4.9"),
    "australiaeast": ("Australia East", "Australia", "Asia Pacific", "-33.86", "151.2094"),
}


def add_routes(routes: Routes) -> None:
    """Add what can be asked about the subscription."""
    routes.add("GET", "/tenants", _tenants)
    routes.add("GET", "/subscriptions", _subscriptions)
    routes.add("GET", "/subscriptions/{subscription}", _subscription)
    routes.add("GET", "/subscriptions/{subscription}/locations", _locations)


def check_subscription(subscription: str) -> None:
    """Raise 404 for a subscription that the caller does not see."""
    caller = CALLER.get()
    if caller is not None and caller.subscription(subscription) is None:
        raise ArmError("SubscriptionNotFound", f"The subscription '{subscription}' could not be found.", status=404)


def check_location(location: str) -> None:
    """Raise ArmError for a location that is not one of ours."""
    if normal_location(location) not in LOCATIONS:
        known = ",".join(LOCATIONS)
        raise ArmError(
            "LocationNotAvailableForResourceType",
            f"The provided location '{location}' is not available. List of available regions is '{known}'.",
        )


def normal_location(location: str) -> str:
    """`West US 3` and `westus3` are the same place."""
    return location.replace(" ", "").lower()


def display_location(location: str) -> str:
    """`West US 3`, as Container Apps names a region in its answers whatever a request called it."""
    known = LOCATIONS.get(normal_location(location))
    return known[0] if known else location


def subscription_document(identifier: str = SUBSCRIPTION) -> JsonObject:
    """A subscription as a GET returns it."""
    caller = CALLER.get()
    found = caller.subscription(identifier) if caller else None
    return _document(found or THIS_COMPUTER.subscriptions[0])


def _document(subscription: Subscription) -> JsonObject:
    return {
        "id": f"/subscriptions/{subscription.id}",
        "subscriptionId": subscription.id,
        "tenantId": subscription.tenant,
        "displayName": subscription.name,
        "state": subscription.state,
        "authorizationSource": "RoleBased",
        "subscriptionPolicies": {
            "locationPlacementId": "Public_2014-09-01",
            "quotaId": "LocalCloud_2014-09-01",
            "spendingLimit": "Off",
        },
        "managedByTenants": [],
    }


async def _tenants(_request: ArmRequest) -> web.Response:
    caller = CALLER.get()
    tenants = [
        {
            "id": f"/tenants/{tenant.id}",
            "tenantId": tenant.id,
            "displayName": tenant.name,
            "defaultDomain": tenant.domain,
            "domains": [tenant.domain],
            "tenantCategory": "Home",
            "tenantType": "AAD",
            "countryCode": "NO",
        }
        for tenant in (caller.tenants if caller else (THIS_COMPUTER,))
    ]
    return web.json_response({"value": tenants})


async def _subscriptions(_request: ArmRequest) -> web.Response:
    caller = CALLER.get()
    seen = [_document(one) for one in (caller.subscriptions if caller else THIS_COMPUTER.subscriptions)]
    return web.json_response({"value": seen, "count": {"type": "Total", "value": len(seen)}})


async def _subscription(request: ArmRequest) -> web.Response:
    check_subscription(request.names["subscription"])
    return web.json_response(subscription_document(request.names["subscription"]))


async def _locations(request: ArmRequest) -> web.Response:
    check_subscription(request.names["subscription"])
    value = [
        {
            "id": f"/subscriptions/{request.names['subscription']}/locations/{name}",
            "name": name,
            "type": "Region",
            "displayName": display,
            "regionalDisplayName": f"({group}) {display}",
            "metadata": {
                "regionType": "Physical",
                "regionCategory": "Recommended",
                "geography": geography,
                "geographyGroup": group,
                "latitude": latitude,
                "longitude": longitude,
            },
        }
        for name, (display, geography, group, latitude, longitude) in LOCATIONS.items()
    ]
    return web.json_response({"value": value})
