"""The recorded requests to Resource Manager, asked of a local group that holds what they found."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import aiohttp
from tests.azure_recordings import values
from tests.support.recordings import SUBSCRIPTION as RECORDED
from tests.support.recordings import Exchange

from ai_toolkit.local_cloud.container_apps.bodies import APP, APP_TEMPLATE, ENVIRONMENT, JOB, WORKSPACE
from ai_toolkit.local_cloud.core.shapes import TEXT, MapOf, writable
from ai_toolkit.local_cloud.files.bodies import ACCOUNT, SHARE
from ai_toolkit.polling import poll

LOCAL = "00000000-0000-0000-0000-000000000000"
SUBSCRIPTION = f"/subscriptions/{LOCAL}"
REGION, REGION_SHOWN = "westus3", "West US 3"
LISTED = {  # of a whole subscription
    "microsoft.containerregistry/registries": {"sku": {"name": TEXT}, "tags": MapOf(TEXT), "location": TEXT},
    "microsoft.storage/storageaccounts": ACCOUNT,
    "microsoft.operationalinsights/workspaces": WORKSPACE,
}
SHARES = "Microsoft.Storage/storageAccounts/fileServices/shares"
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
WORKING = {"Waiting", "Creating", "InProgress"}
# What an app makes of its image: none runs here. tests/local_cloud looks at these of apps that run.
OF_THE_IMAGE = re.compile(r"healthState|runningState|provisioning(State|Error)|latestReadyRevisionName")
INSIDE = 2  # a type and a name; what is longer is inside of that
SERVED = (
    r"/subscriptions",
    r"/tenants",
    r"/subscriptions/\{s\}(/locations|/resources|/resourcegroups|/providers/microsoft\.(app|operationalinsights))?",
    r"{g}(/resources)?",
    r"{s}/providers/microsoft\.storage/(checknameavailability|storageaccounts|locations/[^/]+/usages)",
    r"{s}/providers/microsoft\.operationalinsights/workspaces",
    r"{g}/providers/microsoft\.keyvault/vaults/[^/]+",
    r"{s}/providers/microsoft\.app/locations/[^/]+/(usages|availablemanagedenvironmentsworkloadprofiletypes)",
    r"{g}/providers/microsoft\.app/containerapps(/[^/]+(/listsecrets|/getauthtoken|/revisions)?)?",
    r"{g}/providers/microsoft\.app/managedenvironments(/[^/]+(/storages(/[^/]+)?|/usages|/workloadprofilestates|/checknameavailability)?)?",
    r"{g}/providers/microsoft\.app/jobs(/[^/]+(/listsecrets)?)?",
    r"{g}/providers/microsoft\.operationalinsights/workspaces(/[^/]+(/sharedkeys)?)?",
    r"{g}/providers/microsoft\.storage/storageaccounts(/[^/]+(/listkeys|/regeneratekey)?)?",
    r"{g}/providers/microsoft\.storage/storageaccounts/[^/]+/blobservices/default/containers/[^/]+",
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
    found = [f"no {name}" for name in tops]
    found += values.differences(exchange.body, answer, names.adapted_value) if exchange.body is not None else []
    if exchange.method == "GET" and "/containerapps" in exchange.path.lower():
        found = [one for one in found if not OF_THE_IMAGE.search(one)]
    return differences + sorted(set(found))


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

    def adapted_value(self, text: str) -> str:
        """A recorded value as it would be here: its region, its group, and the environment of an app."""
        if text in self._regions:
            return REGION_SHOWN if " " in text else REGION
        if re.fullmatch(r"(?i)/subscriptions/\S+/managedEnvironments/[^/]+", text) and not self._is_environment:
            return self.environment
        return self.adapt(text)

    @property
    def _regions(self) -> set[str]:
        """The regions that the recorded answer names."""
        body = self._exchange.body if isinstance(self._exchange.body, dict) else {}
        items = [one for one in (body, *(body.get("value") or ())) if isinstance(one, dict)]
        places = [one.get("location") for one in items]
        places += [(one.get("properties") or {}).get("primaryLocation") for one in items]
        return {str(one) for one in places if one}

    @property
    def _is_environment(self) -> bool:
        return "/managedenvironments" in self._exchange.path.lower()

    @property
    def environment(self) -> str:
        """The id of the environment that an app or job is in."""
        group = self.adapt(self._exchange.path).partition("/providers/")[0]
        return f"{group}/providers/Microsoft.App/managedEnvironments/env"

    def body(self) -> Any:
        """The recorded request's body, for here."""
        given = self._exchange.line["requestBody"]
        return self.adapted_body(given) if isinstance(given, dict) else given

    def adapted_body(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """A body in the region, and of an app in the environment, that are here."""
        body = dict(given)
        if body.get("location"):
            body["location"] = REGION
        properties = body.get("properties")
        if isinstance(properties, dict) and (properties.get("environmentId") or properties.get("managedEnvironmentId")):
            properties = {name: value for name, value in properties.items() if name != "managedEnvironmentId"}
            body["properties"] = {**properties, "environmentId": self.environment}
        return body

    def found(self, kind: str, *, also: str = "") -> list[dict[str, Any]]:
        """The resources of a type that the recorded answer to a GET tells, or to the method `also`."""
        body = self._exchange.body
        if self._exchange.method not in {"GET", also} or self._exchange.status != THERE or not isinstance(body, dict):
            return []
        items = body["value"] if isinstance(body.get("value"), list) else [body]
        return [one for one in items if str(one.get("type")).lower() == kind.lower()]


async def prepare(manager: Manager, exchange: Exchange, names: Names) -> None:
    """The group and what is in it, without what the recorded request makes or does not find."""
    path = names.adapt(exchange.path)
    group = re.match(r"(?i)(/subscriptions/[^/]+/resourcegroups/[^/]+)", path)
    if path.lower().endswith("/checknameavailability") and not exchange.body["nameAvailable"]:
        taken = f"{SUBSCRIPTION}/resourceGroups/replay-names"
        await manager.put(taken, {"location": REGION})
        taken += f"/providers/Microsoft.Storage/storageAccounts/{exchange.line['requestBody']['name']}"
        await manager.put(taken, {"location": REGION, "kind": "StorageV2", "sku": {"name": "Standard_LRS"}})
    if not group and exchange.status == THERE and exchange.method == "GET":
        for one in exchange.body.get("value") or ():
            if (table := LISTED.get(str(one.get("type")).lower())) is not None:
                where = names.adapt(one["id"])
                await manager.put(where.partition("/providers/")[0], {"location": REGION})
                await manager.put(where, {**names.adapted_body(writable(table, one)), "tags": one.get("tags")})
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
    stage = Stage(manager, exchange, names, group[1], path[len(group[1]) :].strip("/").split("/")[2:])
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
    names: Names
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
        kind, is_inside = self.parts[0].lower(), len(self.parts) > INSIDE
        is_environment = kind == "managedenvironments"
        makes = self._makes and not is_inside and self.exchange.status == CREATED
        if not is_environment or is_inside or not (makes or self._is_missing):
            await self._environments(provider, name if is_environment else "env")
        if kind == "containerapps" and not (makes or self._is_missing):
            await self._apps(provider, name)
        if kind == "jobs" and not (makes or self._is_missing):
            await self._jobs(provider, name)
        if "storages" in self.parts[2:3] and self.parts[3:] and not (self._makes or self._is_missing):
            file = {"accountName": "acc", "accountKey": "a2V5", "shareName": "files", "accessMode": "ReadWrite"}
            recorded = self.names.found("Microsoft.App/managedEnvironments/storages")
            file |= recorded[0]["properties"]["azureFile"] if recorded else {}
            storage = f"{provider}/managedEnvironments/{name}/storages/{self.parts[3]}"
            await self.manager.put(storage, {"properties": {"azureFile": file}})

    async def _environments(self, provider: str, name: str) -> None:
        """Those that the recorded answer tells, or one; with the profile that an app names."""
        recorded = self.names.found("Microsoft.App/managedEnvironments", also="PUT")
        told = [self.exchange.line["requestBody"], self.exchange.body]
        told += self.names.found("Microsoft.App/containerApps")
        wanted = {
            ((one or {}).get("properties") or {}).get("workloadProfileName") for one in told if one != "mock_body"
        }
        profiles = [CONSUMPTION] + [
            {"name": one, "workloadProfileType": "D4", "minimumCount": 0, "maximumCount": 1}
            for one in sorted(wanted - {None, "Consumption"})
        ]
        if self.names.found("Microsoft.App/containerApps") and wanted <= {None}:
            profiles = []  # an environment of the first kind: its apps have no profile
        plain = {"name": name, "location": REGION, "properties": {"workloadProfiles": profiles or None}}
        states = self.exchange.body.get("value") if self.parts[2:] == ["workloadProfileStates"] else None
        if self.exchange.method == "PATCH":
            profiles = [*profiles, {"name": "d8", "workloadProfileType": "D8", "minimumCount": 0, "maximumCount": 1}]
            plain |= {"properties": {"workloadProfiles": profiles}, "identity": {"type": "SystemAssigned"}}
        if states:
            plain["properties"] = {"workloadProfiles": [_profile(one["properties"]) for one in states]}
        for one in recorded or [plain]:
            body = self.names.adapted_body(writable(ENVIRONMENT, one))
            await self.manager.put(f"{provider}/managedEnvironments/{one['name']}", body)

    async def _apps(self, provider: str, name: str) -> None:
        """Those that the recorded answer tells, or one that has nothing special."""
        template: Any = {"containers": [{"name": "one", "image": "image"}]}
        ingress: Any = {"targetPort": 80, "external": True}
        if revisions := self.names.found("Microsoft.App/containerApps/revisions"):
            template = writable(APP_TEMPLATE, revisions[-1]["properties"]["template"])
        app = {"configuration": {"ingress": ingress}, "template": template, "environmentId": "here"}
        plain = {"name": name, "location": REGION, "properties": app}
        for one in self.names.found("Microsoft.App/containerApps") or [plain]:
            body = self.names.adapted_body(writable(APP, one))
            path = f"{provider}/containerApps/{one['name']}"
            secrets = [{**secret, "value": "secret"} for secret in _secrets(body)]
            if secrets:
                body["properties"]["configuration"]["secrets"] = secrets
            await self.manager.put(path, body)
            await self._settle(path)

    async def _jobs(self, provider: str, name: str) -> None:
        """Those that the recorded answer tells, or one that has nothing special."""
        job = {"configuration": {"triggerType": "Manual", "replicaTimeout": 9}, "environmentId": "here"}
        job["template"] = {"containers": [{"name": "one", "image": "image"}]}
        for one in self.names.found("Microsoft.App/jobs") or [{"name": name, "location": REGION, "properties": job}]:
            body = self.names.adapted_body(writable(JOB, one))
            await self.manager.put(f"{provider}/jobs/{one['name']}", body)

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
            plain = {"name": [*self.parts, "work"][1], "location": REGION, "properties": {"sku": {"name": "PerGB2018"}}}
            for one in self.names.found("Microsoft.OperationalInsights/workspaces") or [plain]:
                body = self.names.adapted_body(writable(WORKSPACE, one))
                path = f"{self.group}/providers/Microsoft.OperationalInsights/workspaces/{one['name']}"
                await self.manager.put(path, body)

    async def storage(self) -> None:
        name = [*self.parts, "", f"replay{re.sub('[^0-9]', '', self.exchange.place)}all"][1 if self.parts[1:] else -1]
        path, is_inside = f"{self.group}/providers/Microsoft.Storage/storageAccounts/{name}", len(self.parts) > INSIDE
        was_there = self._makes and self.exchange.status == THERE
        if is_inside or was_there or not (self._makes or self._is_missing):
            body: Any = {"location": REGION, "kind": "StorageV2", "sku": {"name": "Standard_LRS"}}
            if recorded := self.names.found("Microsoft.Storage/storageAccounts", also="PATCH"):
                body = self.names.adapted_body(writable(ACCOUNT, recorded[0]))
                if self.exchange.method == "PATCH":  # which says these
                    sent = self.names.body()
                    said = (sent.get("properties") or {}) if isinstance(sent, dict) else {}
                    body["properties"] = {name: one for name, one in body["properties"].items() if name not in said}
            await self.manager.put(path, body)
        if "shares" in self.parts and not self._makes and not self._is_missing:
            plain = {"name": self.parts[5] if len(self.parts) > 5 else "files", "properties": {}}
            for one in self.names.found(SHARES) or [plain]:
                share = f"{path}/fileServices/default/shares/{one['name']}"
                await self.manager.put(share, {"properties": writable(SHARE, one).get("properties", {})})


def _profile(state: Mapping[str, Any]) -> dict[str, Any]:
    names = ("name", "workloadProfileType", "minimumCount", "maximumCount")
    return {name: state[name] for name in names if name in state}


def _secrets(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    return list(((body.get("properties") or {}).get("configuration") or {}).get("secrets") or [])
