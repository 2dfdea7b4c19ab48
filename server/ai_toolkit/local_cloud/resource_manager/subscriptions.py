"""The one subscription of this computer, its tenant and locations."""

from aiohttp import web

from ai_toolkit.local_cloud.arm_error import ArmError, JsonObject
from ai_toolkit.local_cloud.resource_manager.resource_id import SUBSCRIPTION, TENANT
from ai_toolkit.local_cloud.resource_manager.routes import ArmRequest, Routes

NAME = "This computer"
LOCATIONS = {
    "westus3": ("West US 3", "US", "33.448376", "-112.074036"),
    "eastus": ("East US", "US", "37.3719", "-79.8164"),
    "eastus2": ("East US 2", "US", "36.6681", "-78.3889"),
    "northeurope": ("North Europe", "Europe", "53.3478", "-6.2597"),
    "norwayeast": ("Norway East", "Europe", "59.913868", "10.752245"),
    "swedencentral": ("Sweden Central", "Europe", "60.67488", "17.14127"),
    "westeurope": ("West Europe", "Europe", "52.3667", "4.9"),
    "australiaeast": ("Australia East", "Asia Pacific", "-33.86", "151.2094"),
}


def add_routes(routes: Routes) -> None:
    """Add what can be asked about the subscription."""
    routes.add("GET", "/tenants", _tenants)
    routes.add("GET", "/subscriptions", _subscriptions)
    routes.add("GET", "/subscriptions/{subscription}", _subscription)
    routes.add("GET", "/subscriptions/{subscription}/locations", _locations)


def check_subscription(subscription: str) -> None:
    """Raise 404 for any other subscription than this computer's."""
    if subscription.lower() != SUBSCRIPTION:
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


def subscription_document() -> JsonObject:
    """The subscription that this computer is."""
    return {
        "id": f"/subscriptions/{SUBSCRIPTION}",
        "subscriptionId": SUBSCRIPTION,
        "tenantId": TENANT,
        "displayName": NAME,
        "state": "Enabled",
        "authorizationSource": "RoleBased",
        "subscriptionPolicies": {
            "locationPlacementId": "Public_2014-09-01",
            "quotaId": "LocalCloud_2014-09-01",
            "spendingLimit": "Off",
        },
        "managedByTenants": [],
    }


async def _tenants(_request: ArmRequest) -> web.Response:
    tenant = {
        "id": f"/tenants/{TENANT}",
        "tenantId": TENANT,
        "displayName": NAME,
        "defaultDomain": "local.invalid",
        "domains": ["local.invalid"],
        "tenantCategory": "Home",
        "tenantType": "AAD",
        "countryCode": "NO",
    }
    return web.json_response({"value": [tenant]})


async def _subscriptions(_request: ArmRequest) -> web.Response:
    return web.json_response({"value": [subscription_document()], "count": {"type": "Total", "value": 1}})


async def _subscription(request: ArmRequest) -> web.Response:
    check_subscription(request.names["subscription"])
    return web.json_response(subscription_document())


async def _locations(request: ArmRequest) -> web.Response:
    check_subscription(request.names["subscription"])
    value = [
        {
            "id": f"/subscriptions/{SUBSCRIPTION}/locations/{name}",
            "name": name,
            "type": "Region",
            "displayName": display,
            "regionalDisplayName": f"({geography}) {display}",
            "metadata": {
                "regionType": "Physical",
                "regionCategory": "Recommended",
                "geography": geography,
                "geographyGroup": geography,
                "latitude": latitude,
                "longitude": longitude,
            },
        }
        for name, (display, geography, latitude, longitude) in LOCATIONS.items()
    ]
    return web.json_response({"value": value})
