"""Container apps of one resource group: the app, its key, its revision, its replicas and their log."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.mgmt.appcontainers.aio import ContainerAppsAPIClient

from ai_toolkit.azure.busy import when_free
from ai_toolkit.azure.connection import APP_API_VERSION, Connection
from ai_toolkit.azure.container_app import ContainerApp, Revision
from ai_toolkit.azure.json_value import value_at
from ai_toolkit.azure.network import raise_if_blocked, session
from ai_toolkit.azure.quota import Quota, gpu_quota, is_dedicated_gpu, least, node_quota, read_usages
from ai_toolkit.errors import CloudUnreachable, ResourceMissing

KEY_SECRET: Final = "api-key"  # noqa: S105  (the secret's name)
_EVENTS: Final = 100  # as many as a start has, with those of the revision before
_LOG_TIMEOUT: Final = aiohttp.ClientTimeout(total=20)
_FOLLOW_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, connect=20)


@dataclass(frozen=True)
class Replica:
    name: str
    state: str
    reason: str
    restarts: int
    created: datetime | None
    log_stream: str


@dataclass(frozen=True)
class ManagedEnvironment:
    """An environment: its workload profiles as (name, type), its storage definitions as name → (account, share)."""

    name: str
    group: str
    location: str
    workload_profiles: tuple[tuple[str, str], ...]
    storages: Mapping[str, tuple[str, str]]

    def profile_type(self, name: str) -> str:
        """The type of the profile of that name in any case, as an app's may be; empty where there is none."""
        return next((kind for known, kind in self.workload_profiles if known.lower() == name.lower()), "")


class ContainerApps:
    """The container apps and environments of one resource group, seen from the management plane."""

    def __init__(self, client: ContainerAppsAPIClient, group: str) -> None:
        self._client = client
        self._group = group

    @classmethod
    @asynccontextmanager
    async def open(cls, connection: Connection, subscription: str, group: str) -> "AsyncIterator[ContainerApps]":
        async with connection.client(ContainerAppsAPIClient, subscription, api_version=APP_API_VERSION) as client:
            yield cls(client, group)

    async def app(self, name: str) -> ContainerApp:
        """Raises ResourceMissing."""
        try:
            found = await self._client.container_apps.get(self._group, name)
        except ResourceNotFoundError as error:
            raise ResourceMissing("container app", name, self._group) from error
        listed = self._client.container_apps_revisions.list_revisions(self._group, name)
        return ContainerApp.read(name, found.as_dict(), [one.as_dict() async for one in listed])

    async def key(self, app: str) -> str | None:
        """The endpoint's key; None when the app has no such secret, or when there is no such app."""
        try:
            secrets = await self._client.container_apps.list_secrets(self._group, app)
        except ResourceNotFoundError:
            return None
        for secret in secrets.as_dict().get("value") or ():
            if secret.get("name") == KEY_SECRET:
                return str(secret["value"])
        return None

    async def secret_values(self, app: str) -> dict[str, str]:
        """The values of the app's secrets by name; one of a key vault has none here."""
        secrets = await self._client.container_apps.list_secrets(self._group, app)
        return {
            str(one["name"]): str(one["value"])
            for one in secrets.as_dict().get("value") or ()
            if one.get("value") is not None
        }

    async def with_secret(self, app: ContainerApp, secret: str, value: str, variable: str) -> dict[str, Any]:
        """The properties that give the app the secret, or a new value of it, as the containers' variable."""
        listed = await self._client.container_apps.list_secrets(self._group, app.name)
        secrets = [one for one in listed.as_dict().get("value") or () if one.get("name") != secret]
        containers = []
        for container in app.template.get("containers") or ():
            others = [one for one in container.get("env") or () if one.get("name") != variable]
            containers.append({**container, "env": [*others, {"name": variable, "secretRef": secret}]})
        # A list is replaced as a whole, so each is sent whole.
        return {
            "configuration": {"secrets": [*secrets, {"name": secret, "value": value}]},
            "template": {"containers": containers},
        }

    async def update(self, app: ContainerApp, properties: Mapping[str, Any]) -> None:
        """Merges the properties into the app's by PATCH; returns when Azure has done it. Raises HttpResponseError.

        An earlier change that Azure still carries out is waited for.
        """
        body = json.dumps({"location": app.location, "properties": properties})
        apps = self._client.container_apps
        poller = await when_free(lambda: apps.begin_update(self._group, app.name, io.BytesIO(body.encode())))
        await poller.result()

    async def gpus_left(self, app: ContainerApp) -> int | None:
        """How many more replicas of the app its environment has GPUs for now; None when that is not known."""
        group = self._group_of(app)
        environment = await self.environment(app.environment_id.rpartition("/")[2], group)
        if environment is None:
            return None
        kind = environment.profile_type(app.workload_profile)
        if kind == "Consumption":
            return app.max_replicas  # which needs none
        own, nodes = await asyncio.gather(self.quotas(environment), self.nodes(environment, app.workload_profile))
        quota = least(gpu_quota(kind, own) or gpu_quota(kind, await self._region_quotas(environment)), nodes)
        return quota.left if quota else None

    async def profile_type(self, app: ContainerApp) -> str:
        """The type of the workload profile that the app runs on; empty where that is not known."""
        environment = await self.environment(app.environment_id.rpartition("/")[2], self._group_of(app))
        return environment.profile_type(app.workload_profile) if environment is not None else ""

    def _group_of(self, app: ContainerApp) -> str:
        """The resource group of the app's environment."""
        return app.environment_id.split("/")[4] if app.environment_id.count("/") > 4 else self._group  # noqa: PLR2004

    async def quotas(self, environment: ManagedEnvironment) -> list[Quota] | None:
        """What is left of each of the environment's own quotas; None when Azure does not tell."""
        try:
            listed = self._client.managed_environment_usages.list(environment.group, environment.name)
            return read_usages([one.as_dict() async for one in listed])
        except HttpResponseError:
            return None

    async def _region_quotas(self, environment: ManagedEnvironment) -> list[Quota] | None:
        """What is left of the subscription's quotas where the environment is; None when Azure does not tell."""
        try:
            listed = self._client.usages.list(environment.location.replace(" ", "").lower())
            return read_usages([one.as_dict() async for one in listed])
        except HttpResponseError:
            return None

    async def nodes(self, environment: ManagedEnvironment, profile: str) -> Quota | None:
        """The GPUs of a dedicated profile's nodes; None for one that has no nodes, or when Azure does not tell."""
        kind = environment.profile_type(profile)
        if not is_dedicated_gpu(kind):
            return None
        try:
            listed = self._client.managed_environments.list_workload_profile_states(environment.group, environment.name)
            return node_quota(profile, kind, [one.as_dict() async for one in listed])
        except HttpResponseError:
            return None

    async def deactivate(self, app: str, revision: str) -> None:
        """Ends the revision's replicas, which gives their GPUs back."""
        await self._client.container_apps_revisions.deactivate_revision(self._group, app, revision)

    async def start(self, app: str) -> None:
        """Lets an app run again that was stopped; returns when Azure has done it."""
        poller = await when_free(lambda: self._client.container_apps.begin_start(self._group, app))
        await poller.result()

    async def activate(self, app: str, revision: str) -> None:
        """Lets a revision run again that was deactivated."""
        await self._client.container_apps_revisions.activate_revision(self._group, app, revision)

    async def restart(self, app: str, revision: str) -> None:
        await self._client.container_apps_revisions.restart_revision(self._group, app, revision)

    async def revision(self, app: str, revision: str) -> Revision:
        found = await self._client.container_apps_revisions.get_revision(self._group, app, revision)
        return Revision.read(found.as_dict())

    async def has_replica(self, app: str, revision: Revision) -> bool:
        """Whether the revision has a replica, listed or not: Azure's list may be empty while one serves."""
        return revision.runs or bool(await self.replicas(app, revision.name))

    async def replicas(self, app: str, revision: str) -> list[Replica]:
        found = await self._client.container_apps_revision_replicas.list_replicas(self._group, app, revision)
        replicas = []
        for item in found.as_dict().get("value") or ():
            body = item.get("properties") or {}
            container: Mapping[str, Any] = next(iter(body.get("containers") or ()), {})
            replicas.append(
                Replica(
                    name=str(item.get("name")),
                    state=str(body.get("runningState") or "Unknown"),
                    reason=str(body.get("runningStateDetails") or ""),
                    restarts=int(container.get("restartCount") or 0),
                    created=_moment(body.get("createdTime")),
                    log_stream=str(container.get("logStreamEndpoint") or ""),
                )
            )
        return replicas

    def unlisted(self, app: ContainerApp, revision: str, name: str) -> Replica:
        """A replica that serves and is not listed; its log is where the Azure CLI looks for it, beside the events."""
        container: Mapping[str, Any] = next(iter(app.template.get("containers") or ()), {})
        base = app.event_stream.removesuffix("/eventstream")
        log_stream = f"{base}/revisions/{revision}/replicas/{name}/containers/{container.get('name')}/logstream"
        return Replica(name, "Unknown", "", 0, None, log_stream if base else "")

    async def log_tail(self, app: ContainerApp, replica: Replica, lines: int = 20) -> list[str]:
        """The last lines (at most 300) of the replica's log; empty when they cannot be had. Raises NetworkProblem."""
        if not replica.log_stream:
            return []
        try:
            async with self._log(app, replica, lines, follow=False) as answer:
                text = await answer.text(errors="replace") if answer.ok else ""
        except (aiohttp.ClientError, TimeoutError) as error:
            raise_if_blocked(error, replica.log_stream)
            return []
        return text.splitlines()[-lines:]

    async def events(self, app: ContainerApp) -> list[str]:
        """The last lines of the app's event stream, each JSON; empty when they cannot be had. Raises NetworkProblem."""
        if not app.event_stream:
            return []
        try:
            async with self._stream(app, app.event_stream, f"follow=false&output=json&tailLines={_EVENTS}") as answer:
                text = await answer.text(errors="replace") if answer.ok else ""
        except (aiohttp.ClientError, TimeoutError) as error:
            raise_if_blocked(error, app.event_stream)
            return []
        return text.splitlines()

    async def stop(self, app: str) -> None:
        """Ends the app's replicas, which are not billed then, until it is started; returns when Azure has done it."""
        poller = await when_free(lambda: self._client.container_apps.begin_stop(self._group, app))
        await poller.result()

    async def follow_log(self, app: ContainerApp, replica: Replica, lines: int = 100) -> AsyncIterator[str]:
        """The last lines of the replica's log and every new one, until the replica ends.

        Raises CloudUnreachable, NetworkProblem.
        """
        try:
            async with self._log(app, replica, lines, follow=True) as answer:
                answer.raise_for_status()
                async for line in answer.content:
                    yield line.decode(errors="replace").rstrip()
        except aiohttp.ClientError as error:
            raise_if_blocked(error, replica.log_stream)
            raise CloudUnreachable("The log stream", str(error) or type(error).__name__) from error

    @asynccontextmanager
    async def _log(
        self, app: ContainerApp, replica: Replica, lines: int, *, follow: bool
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        query = f"follow={str(follow).lower()}&tailLines={lines}&output=text"
        timeout = _FOLLOW_TIMEOUT if follow else _LOG_TIMEOUT
        async with self._stream(app, replica.log_stream, query, timeout) as answer:
            yield answer

    @asynccontextmanager
    async def _stream(
        self, app: ContainerApp, endpoint: str, query: str, limit: aiohttp.ClientTimeout = _LOG_TIMEOUT
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        token = await self._client.container_apps.get_auth_token(self._group, app.name)
        bearer = value_at(token.as_dict(), "properties", "token") or ""
        url = f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{query}"
        async with (
            session(url, timeout=limit) as asked,
            asked.get(url, headers={"Authorization": f"Bearer {bearer}"}) as answer,
        ):
            yield answer

    async def environment(self, name: str, group: str | None = None) -> ManagedEnvironment | None:
        """The environment with its profiles and storage definitions, or None when it does not exist.

        `group` is that of the environment, where it is not the apps'.
        """
        where = group or self._group
        try:
            found, listed = await asyncio.gather(
                self._client.managed_environments.get(where, name),
                self._client.managed_environments_storages.list(where, name),
            )
        except ResourceNotFoundError:
            return None
        body = found.as_dict()
        profiles = value_at(body, "properties", "workloadProfiles") or ()
        storages = {}
        for item in listed.as_dict().get("value") or ():
            file = value_at(item, "properties", "azureFile") or {}
            storages[str(item["name"])] = (str(file.get("accountName")), str(file.get("shareName")))
        return ManagedEnvironment(
            name=name,
            group=where,
            location=str(body.get("location")),
            workload_profiles=tuple((str(p["name"]), str(p["workloadProfileType"])) for p in profiles),
            storages=storages,
        )

    async def renew_storage_key(self, environment_id: str, storage: str, account: str, key: str) -> bool:
        """Puts an environment's storage definition again with a key of its account; everything else of it stays.

        False, and nothing is put, where there is none of that account's, or its key comes from a key vault. Raises
        HttpResponseError.
        """
        group, environment = environment_id.split("/")[4], environment_id.rpartition("/")[2]
        try:
            found = (await self._client.managed_environments_storages.get(group, environment, storage)).as_dict()
        except ResourceNotFoundError:
            return False
        file = value_at(found, "properties", "azureFile") or {}
        if str(file.get("accountName")).lower() != account.lower() or file.get("accountKeyVaultProperties"):
            return False
        await self._put_storage(group, environment, storage, {**file, "accountKey": key})
        return True

    async def put_storage(
        self, environment: ManagedEnvironment, storage: str, account: str, key: str, share: str
    ) -> None:
        """Makes a storage definition of the environment, which apps mount by its name. Raises HttpResponseError."""
        file = {"accountName": account, "accountKey": key, "shareName": share, "accessMode": "ReadWrite"}
        await self._put_storage(environment.group, environment.name, storage, file)

    async def replace_storage(self, storage_id: str, file: Mapping[str, Any]) -> None:
        """Puts a storage definition, by its id, with an account's key. Raises HttpResponseError."""
        parts = storage_id.split("/")
        await self._put_storage(parts[4], parts[-3], parts[-1], file)

    async def _put_storage(self, group: str, environment: str, storage: str, file: Mapping[str, Any]) -> None:
        body = json.dumps({"properties": {"azureFile": file}})
        await self._client.managed_environments_storages.create_or_update(
            group, environment, storage, io.BytesIO(body.encode())
        )

    async def add_workload_profile(self, environment: ManagedEnvironment, name: str, kind: str) -> None:
        """Adds a serverless profile to an existing environment by PATCH; everything else stays as it is."""
        found = (await self._client.managed_environments.get(environment.group, environment.name)).as_dict()
        # The list is replaced as a whole: what is there goes back as it came, with its counts.
        profiles = [*(value_at(found, "properties", "workloadProfiles") or ())]
        profiles.append({"name": name, "workloadProfileType": kind})
        body = json.dumps({"location": environment.location, "properties": {"workloadProfiles": profiles}})
        environments = self._client.managed_environments
        poller = await when_free(
            lambda: environments.begin_update(environment.group, environment.name, io.BytesIO(body.encode()))
        )
        await poller.result()


def _moment(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
