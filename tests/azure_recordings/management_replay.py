"""The recorded requests to Resource Manager, asked of a local group that holds what they found."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import aiohttp
from tests.support.recordings import SUBSCRIPTION as RECORDED
from tests.support.recordings import Exchange

from ai_toolkit.polling import poll

LOCAL = "00000000-0000-0000-0000-000000000000"
SUBSCRIPTION = f"/subscriptions/{LOCAL}"
REGION = "westus3"
CONSUMPTION = {"name": "Consumption", "workloadProfileType": "Consumption"}
VERSIONS = {
    "microsoft.app": "2025-07-01",
    "microsoft.storage": "2025-08-01",
    "microsoft.operationalinsights": "2025-07-01",
}
# What a recorded request found cannot be made here: a caller without rights, a token that ended, a lock in a group.
NOT_STAGED = {"AuthorizationFailed", "ExpiredAuthenticationToken", "ScopeLocked"}
OK_UNTIL, THERE, CREATED, GONE, MISSING = 400, 200, 201, 204, 404
LIMIT_SECONDS = 30
WORKING = {"Waiting", "Creating"}
INSIDE = 2  # a type and a name; what is longer is inside of that
SERVED = (
    r"/subscriptions",
    r"/tenants",
    r"/subscriptions/\{s\}(/locations|/resources|/resourcegroups|/providers/microsoft\.(app|operationalinsights))?",
    r"{g}(/resources)?",
    r"{s}/providers/microsoft\.storage/checknameavailability",
    r"{s}/providers/microsoft\.app/locations/[^/]+/(usages|availablemanagedenvironmentsworkloadprofiletypes)",
    r"{g}/providers/microsoft\.app/containerapps(/[^/]+(/listsecrets|/getauthtoken|/revisions)?)?",
    r"{g}/providers/microsoft\.app/managedenvironments(/[^/]+(/storages(/[^/]+)?|/usages|/workloadprofilestates)?)?",
    r"{g}/providers/microsoft\.operationalinsights/workspaces(/[^/]+(/sharedkeys)?)?",
    r"{g}/providers/microsoft\.storage/storageaccounts(/[^/]+(/listkeys|/regeneratekey)?)?",
    r"{g}/providers/microsoft\.storage/storageaccounts/[^/]+/fileservices(/default(/shares(/[^/]+)?)?)?",
)
SERVED_PATHS = re.compile(
    "|".join(
        one.replace("{g}", r"{s}/resourcegroups/\{g\}").replace("{s}/", r"/subscriptions/\{s\}/") for one in SERVED
    )
)


def kind_of(exchange: Exchange) -> str | None:
    """Method and path with names taken out; None for what the local cloud does not serve, or is polled."""
    path = re.sub(r"(?i)/subscriptions/[^/]+", "/subscriptions/{s}", exchange.path)
    path = re.sub(r"(?i)/resourcegroups/[^/]+", "/resourceGroups/{g}", path).rstrip("/")
    if isinstance(exchange.body, dict) and _code(exchange.body) in NOT_STAGED:
        return None
    if not exchange.is_management or not SERVED_PATHS.fullmatch(path.lower()):
        return None
    head, separator, rest = path.rpartition("/providers/")
    parts = rest.split("/")
    if separator and len(parts) > 2:  # a provider, a type, a name
        parts[2::2] = ["{}" if one.lower() != "default" else "default" for one in parts[2::2]]
    return f"{exchange.method} {head}{separator}{'/'.join(parts)}"


@dataclass
class Manager:
    """The local Resource Manager."""

    session: aiohttp.ClientSession
    url: str

    async def ask(self, method: str, target: str, body: Any = None) -> tuple[int, Any]:
        status, found, _ = await self.asked(method, f"{self.url}{target}", body)
        return status, found

    async def asked(self, method: str, url: str, body: Any = None) -> tuple[int, Any, Mapping[str, str]]:
        async with self.session.request(method, url, json=body) as answer:
            found = await answer.json(content_type=None) if answer.content_length != 0 else None
            return answer.status, found, answer.headers

    async def put(self, path: str, body: Any) -> None:
        namespace = path.rpartition("/providers/")[2].partition("/")[0].lower()
        version = VERSIONS.get(namespace, "2021-04-01") if "/providers/" in path else "2021-04-01"
        status, answer, _ = await self.asked("PUT", f"{self.url}{path}?api-version={version}", body)
        assert status in {200, 201, 202}, (path, answer)
        is_app = "/containerapps/" in path.lower()  # which becomes ready only where something runs

        async def is_made() -> bool | None:
            return is_app or await self.state(f"{path}?api-version={version}") not in WORKING or None

        await poll(is_made, every=timedelta(milliseconds=5), limit=timedelta(seconds=LIMIT_SECONDS))

    async def state(self, target: str) -> str:
        _, found = await self.ask("GET", target)
        return str(((found or {}).get("properties") or {}).get("provisioningState"))


async def replay(manager: Manager, exchange: Exchange) -> list[str]:
    """In what the local answer differs from the recorded one; each difference in words that stay the same."""
    number = exchange.place.rpartition(".")[2]
    names = Names(exchange, f"{exchange.topic[:3]}{number}")
    await prepare(manager, exchange, names)
    status, answer = await manager.ask(exchange.method, names.adapt(exchange.target), names.body())
    differences: list[str] = []
    if status != exchange.status:
        differences.append(f"status {status} where Azure answers {exchange.status}")
        if status >= OK_UNTIL > exchange.status:
            return differences
    if exchange.status >= OK_UNTIL:
        code, wanted = (_code(one) for one in (answer, exchange.body))
        return [*differences, f"code {code} where Azure's is {wanted}"] if code != wanted else differences
    missing = _paths(exchange.body) - _paths(answer)
    tops = {one for one in missing if not any(one.startswith((f"{other}.", f"{other}[")) for other in missing)}
    return differences + [f"no {name}" for name in sorted(tops)]


def _code(answer: Any) -> str:
    return str(((answer or {}).get("error") or {}).get("code"))


def _paths(value: Any, above: str = "") -> set[str]:
    """The paths of what an answer says; of a list, of all its items together. Names that people gave are left out."""
    if above.rpartition(".")[2] in {"tags", "daprAIInstrumentationKey", "userAssignedIdentities"}:
        return set()
    if isinstance(value, list):
        return set[str]().union(*(_paths(one, f"{above}[]") for one in value))
    if not isinstance(value, dict):
        return set()
    return {f"{above}.{key}".lstrip(".") for key in value if key != "provisioningError"}.union(
        *(_paths(item, f"{above}.{key}".lstrip(".")) for key, item in value.items())
    )


class Names:
    """The recorded names, and those that stand for them here."""

    def __init__(self, exchange: Exchange, own: str) -> None:
        self._exchange = exchange
        path = exchange.path
        group = re.search(r"(?i)/resourcegroups/([^/]+)", path)
        account = re.search(r"(?i)/storageAccounts/([^/]+)", path)
        self._swaps = {RECORDED: LOCAL, "AZURE_SUBSCRIPTION_ID": LOCAL}
        if group:
            self._swaps[group[1]] = f"replay-{own}"
        if account:
            self._swaps[account[1]] = f"replay{own}"

    def adapt(self, text: str) -> str:
        for old, new in self._swaps.items():
            text = text.replace(old, new)
        return re.sub(r"(?i)/locations/[^/]+/", f"/locations/{REGION}/", text)

    def body(self) -> Any:
        given = self._exchange.line["requestBody"]
        if not isinstance(given, dict):
            return given
        body = dict(given)
        if body.get("location"):
            body["location"] = REGION
        properties = body.get("properties")
        if isinstance(properties, dict) and properties.get("environmentId"):
            group = self.adapt(self._exchange.path).partition("/providers/")[0]
            properties = {**properties, "environmentId": f"{group}/providers/Microsoft.App/managedEnvironments/env"}
            if properties.get("workloadProfileName"):
                properties["workloadProfileName"] = "Consumption"
            body["properties"] = properties
        return body


async def prepare(manager: Manager, exchange: Exchange, names: Names) -> None:
    """The group and what is in it, without what the recorded request makes or does not find."""
    path = names.adapt(exchange.path)
    group = re.match(r"(?i)(/subscriptions/[^/]+/resourcegroups/[^/]+)", path)
    if not group:
        return
    is_made = exchange.method == "PUT" and path == group[1] and exchange.status == CREATED
    is_missing = exchange.method == "HEAD" and exchange.status == MISSING
    if (
        is_made
        or is_missing
        or _code(exchange.body if exchange.status >= OK_UNTIL else None) == "ResourceGroupNotFound"
    ):
        return
    await manager.put(group[1], {"location": REGION, "tags": {"a": "b"}})
    rest = path[len(group[1]) :].lower()
    stage = Stage(manager, exchange, group[1], path[len(group[1]) :].strip("/").split("/")[2:])
    if "/microsoft.app/" in rest:
        await stage.apps()
    elif "/microsoft.operationalinsights/" in rest:
        await stage.workspaces()
    elif "/microsoft.storage/" in rest or rest == "/resources":
        await stage.storage()


@dataclass
class Stage:
    """What a group holds before a recorded request: `parts` are the types and names behind the provider."""

    manager: Manager
    exchange: Exchange
    group: str
    parts: list[str]

    @property
    def _makes(self) -> bool:
        return self.exchange.method == "PUT"

    @property
    def _is_missing(self) -> bool:
        return self.exchange.status in {MISSING, GONE} or (self._makes and self.exchange.status >= OK_UNTIL)

    async def apps(self) -> None:
        provider, name = f"{self.group}/providers/Microsoft.App", [*self.parts, "one"][1]
        is_app, is_inside = self.parts[0].lower() == "containerapps", len(self.parts) > INSIDE
        makes = self._makes and not is_inside and self.exchange.status == CREATED
        if is_app or is_inside or not (makes or self._is_missing):
            environment = {"location": REGION, "properties": {"workloadProfiles": [CONSUMPTION]}}
            await self.manager.put(f"{provider}/managedEnvironments/{'env' if is_app else name}", environment)
        if is_app and not (makes or self._is_missing):
            app = {
                "environmentId": f"{provider}/managedEnvironments/env",
                "configuration": {"ingress": {"targetPort": 80, "external": True}},
                "template": {"containers": [{"name": "one", "image": "image"}]},
            }
            await self.manager.put(f"{provider}/containerApps/{name}", {"location": REGION, "properties": app})
            await self._settle(f"{provider}/containerApps/{name}")
        if "storages" in self.parts[2:3] and self.parts[3:] and not (self._makes or self._is_missing):
            file = {"accountName": "acc", "accountKey": "a2V5", "shareName": "files", "accessMode": "ReadWrite"}
            storage = f"{provider}/managedEnvironments/{name}/storages/{self.parts[3]}"
            await self.manager.put(storage, {"properties": {"azureFile": file}})

    async def _settle(self, app: str) -> None:
        """The app is made: its image is none, so its revision is ended for that, and active again."""
        version = f"?api-version={VERSIONS['microsoft.app']}"
        revision = ""
        async with asyncio.timeout(LIMIT_SECONDS):
            while await self.manager.state(f"{app}{version}") == "InProgress":
                _, found = await self.manager.ask("GET", f"{app}/revisions{version}")
                if found["value"] and not revision:
                    revision = found["value"][0]["name"]
                    await self.manager.ask("POST", f"{app}/revisions/{revision}/deactivate{version}")
                await asyncio.sleep(0.01)
        await self.manager.ask("POST", f"{app}/revisions/{revision}/activate{version}")

    async def workspaces(self) -> None:
        if not self._is_missing and (not self._makes or self.exchange.status == THERE):
            name = [*self.parts, "work"][1]
            body = {"location": REGION, "properties": {"sku": {"name": "PerGB2018"}}}
            await self.manager.put(f"{self.group}/providers/Microsoft.OperationalInsights/workspaces/{name}", body)

    async def storage(self) -> None:
        name = [*self.parts, "", f"replay{re.sub('[^0-9]', '', self.exchange.place)}all"][1 if self.parts[1:] else -1]
        path, is_inside = f"{self.group}/providers/Microsoft.Storage/storageAccounts/{name}", len(self.parts) > INSIDE
        was_there = self._makes and self.exchange.status == THERE
        if is_inside or was_there or not (self._makes or self._is_missing):
            body = {"location": REGION, "kind": "StorageV2", "sku": {"name": "Standard_LRS"}}
            await self.manager.put(path, body)
        if "shares" in self.parts and not self._makes and not self._is_missing:
            share = self.parts[5] if len(self.parts) > 5 else "files"  # the share's own name
            await self.manager.put(f"{path}/fileServices/default/shares/{share}", {"properties": {}})
