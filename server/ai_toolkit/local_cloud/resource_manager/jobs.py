"""Jobs of Container Apps: fine-tuning made them, and this product only reads them."""

from typing import ClassVar

from ai_toolkit.local_cloud.arm_error import JsonObject
from ai_toolkit.local_cloud.resource_manager.managed_environments import API_VERSIONS
from ai_toolkit.local_cloud.resource_manager.resource_type import ResourceType
from ai_toolkit.local_cloud.state import StoredResource


class Jobs(ResourceType):
    """Microsoft.App/jobs: kept and read; nothing runs."""

    name: ClassVar[str] = "Microsoft.App/jobs"
    api_versions: ClassVar[frozenset[str]] = API_VERSIONS

    def view(self, resource: StoredResource) -> JsonObject:
        """The job without its secrets' values."""
        body = super().view(resource)
        configuration = dict(body["properties"].get("configuration") or {})
        if "secrets" in configuration:
            configuration["secrets"] = [{"name": secret.get("name")} for secret in configuration["secrets"] or []]
        return {**body, "properties": {**body["properties"], "configuration": configuration}}
