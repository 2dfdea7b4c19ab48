"""Jobs of Container Apps: fine-tuning made them, and this product only reads them."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import ClassVar

from ai_toolkit.local_cloud.container_apps.bodies import JOB, JOB_VERSIONS
from ai_toolkit.local_cloud.container_apps.defaults import (
    DEFAULT_RESOURCES,
    JOB_DEFAULTS,
    shown_containers,
    shown_identity,
    shown_system_data,
    with_defaults,
)
from ai_toolkit.local_cloud.container_apps.environment_resource import require_environment
from ai_toolkit.local_cloud.core.arm_error import JsonObject, JsonValue
from ai_toolkit.local_cloud.core.resource_id import ResourceId
from ai_toolkit.local_cloud.core.shapes import Table
from ai_toolkit.local_cloud.core.state import ResourceStore, StoredResource
from ai_toolkit.local_cloud.resource_manager.long_operations import LongOperation, LongOperations, Polled
from ai_toolkit.local_cloud.resource_manager.resource_type import Action, ResourceType, properties
from ai_toolkit.local_cloud.resource_manager.subscriptions import display_location


class Jobs(ResourceType):
    """Microsoft.App/jobs: kept and read; nothing runs."""

    name: ClassVar[str] = "Microsoft.App/jobs"
    body: ClassVar[Table] = JOB
    api_versions: ClassVar[frozenset[str]] = JOB_VERSIONS
    long: ClassVar[LongOperations] = LongOperations(
        "containerappsjobOperationStatuses",
        "containerappsjobOperationResults",
        put=LongOperation(timedelta(seconds=13), Polled.STATUS, 201, has_body=True),
        patch=LongOperation(timedelta(seconds=14), Polled.RESULT),
        delete=LongOperation(timedelta(seconds=32), Polled.RESULT),
    )

    def __init__(self, store: ResourceStore, origin: Callable[[], str]) -> None:
        super().__init__(store)
        self._origin = origin

    def merge(self, identifier: ResourceId, body: JsonObject, existing: JsonObject | None) -> JsonObject:
        """What was sent; ArmError 404 when its managed environment does not exist."""
        del existing
        given = properties(body)
        environment = require_environment(self.store, given.get("environmentId"), f"job '{identifier.name}'")
        profile = given.get("workloadProfileName") or "Consumption"
        return {
            **body,
            "properties": {**given, "environmentId": str(environment.id), "workloadProfileName": profile},
        }

    def shown_location(self, location: str) -> str:
        """`West US 3`, whatever was sent."""
        return display_location(location)

    def view(self, resource: StoredResource) -> JsonObject:
        """The job without its secrets' values."""
        body = super().view(resource)
        stored = body["properties"]
        configuration = dict(stored.get("configuration") or {})
        secrets = configuration.get("secrets") or []
        configuration["secrets"] = [{"name": secret.get("name")} for secret in secrets] or None
        template = dict(stored.get("template") or {})
        template["containers"] = shown_containers(
            [
                {**one, "resources": one.get("resources") or DEFAULT_RESOURCES}
                for one in template.get("containers") or ()
            ],
            disk=False,
        )
        shown = with_defaults({**stored, "configuration": configuration, "template": template}, JOB_DEFAULTS)
        stream = f"{self._origin()}{resource.id.group_id}/containerApps/{resource.id.name}/eventstream"
        return {
            **body,
            **shown_system_data(body),
            "properties": {**shown, "eventStreamEndpoint": stream},
            "identity": shown_identity(body.get("identity")),
        }

    def actions(self) -> Mapping[str, Action]:
        """Reading the secrets; starting and stopping is not emulated."""
        return {"listsecrets": self._list_secrets}

    def secrets(self) -> Mapping[str, Callable[[StoredResource], JsonObject]]:
        """`listSecrets()` of templates."""
        return {"listsecrets": _secret_values}

    async def _list_secrets(self, job: StoredResource, _body: JsonObject) -> JsonValue:
        return _secret_values(job)


def _secret_values(job: StoredResource) -> JsonObject:
    secrets = (properties(job.body).get("configuration") or {}).get("secrets") or []
    return {"value": [{"name": secret["name"], "value": secret.get("value")} for secret in secrets]}
