"""Log Analytics workspaces: they exist and have keys; nothing is sent to them."""

import base64
import json
import re
import secrets
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final

from ai_toolkit.local_cloud.container_apps.bodies import WORKSPACE, WORKSPACE_VERSIONS
from ai_toolkit.local_cloud.core.arm_error import JsonObject, JsonValue
from ai_toolkit.local_cloud.core.resource_id import ResourceId
from ai_toolkit.local_cloud.core.shapes import Table
from ai_toolkit.local_cloud.core.state import LOCAL_KEYS, StoredResource
from ai_toolkit.local_cloud.resource_manager.long_operations import LongOperation, LongOperations, Polled, When
from ai_toolkit.local_cloud.resource_manager.resource_type import Action, ResourceType, properties
from ai_toolkit.local_cloud.resource_manager.subscriptions import normal_location

FEATURES: Final = {"legacy": 0, "searchVersion": 1, "enableLogAccessUsingOnlyResourcePermissions": True}


class Workspaces(ResourceType):
    """Microsoft.OperationalInsights/workspaces."""

    name: ClassVar[str] = "Microsoft.OperationalInsights/workspaces"
    body: ClassVar[Table] = WORKSPACE
    api_versions: ClassVar[frozenset[str]] = WORKSPACE_VERSIONS
    name_pattern: ClassVar[re.Pattern[str]] = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{2,61}[A-Za-z0-9]")
    name_rule: ClassVar[str] = "4 to 63 letters, digits and hyphens, no hyphen first or last"
    working_state: ClassVar[str] = "Creating"
    has_system_data: ClassVar[bool] = False
    long: ClassVar[LongOperations] = LongOperations(
        "operationstatuses",
        "operationresults",
        put=LongOperation(timedelta(seconds=8), Polled.ITSELF, 201, has_body=True, when=When.NEW),
        delete=LongOperation(timedelta(seconds=5), Polled.STATUS | Polled.RESULT, asked_by="force"),
    )

    def merge(self, identifier: ResourceId, body: JsonObject, existing: JsonObject | None) -> JsonObject:
        """What was sent with Azure's defaults; keys and customer id of an existing one stay."""
        del identifier
        before = properties(existing) if existing else {}
        keys = (
            existing[LOCAL_KEYS]
            if existing
            else {
                "primarySharedKey": base64.b64encode(secrets.token_bytes(64)).decode(),
                "secondarySharedKey": base64.b64encode(secrets.token_bytes(64)).decode(),
            }
        )
        defaults: dict[str, Any] = {
            "sku": {"name": "PerGB2018"},
            "retentionInDays": 30,
            "publicNetworkAccessForIngestion": "Enabled",
            "publicNetworkAccessForQuery": "Enabled",
            "workspaceCapping": {"dailyQuotaGb": -1.0, "dataIngestionStatus": "RespectQuota"},
        }
        customer = before.get("customerId", str(uuid.uuid4()))
        now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}0Z"
        created = before.get("createdDate", now)
        given = properties(body)
        sku = {**(given.get("sku") or defaults["sku"]), "lastSkuUpdate": created}
        capping = {**defaults["workspaceCapping"], **(given.get("workspaceCapping") or {}), "quotaNextResetTime": now}
        features = {**(given.get("features") or {}), **FEATURES}
        features["enableLogAccessUsingOnlyResourcePermissions"] = (given.get("features") or {}).get(
            "enableLogAccessUsingOnlyResourcePermissions", True
        )
        dates = {"createdDate": created, "modifiedDate": now}
        return {
            **body,
            LOCAL_KEYS: keys,
            "properties": {
                **defaults,
                **{name: value for name, value in given.items() if value is not None},
                **dates,
                "sku": sku,
                "workspaceCapping": capping,
                "features": features,
                "customerId": customer,
            },
        }

    def shown_location(self, location: str) -> str:
        """`westus3`, whatever was sent."""
        return normal_location(location)

    def view(self, resource: StoredResource) -> JsonObject:
        """The workspace without its keys."""
        body = super().view(resource)
        del body[LOCAL_KEYS]
        return {**body, "etag": f'"{uuid.uuid5(uuid.NAMESPACE_OID, json.dumps(resource.body, sort_keys=True))}"'}

    def actions(self) -> Mapping[str, Action]:
        """Reading the shared keys."""
        return {"sharedkeys": self._shared_keys, "listkeys": self._shared_keys}

    def secrets(self) -> Mapping[str, Callable[[StoredResource], JsonObject]]:
        """`listKeys()` of templates."""
        return {"listkeys": lambda workspace: dict(workspace.body[LOCAL_KEYS])}

    async def _shared_keys(self, workspace: StoredResource, _body: JsonObject) -> JsonValue:
        return workspace.body[LOCAL_KEYS]
