"""Whether a request names an api-version that Azure knows."""

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Final

from ai_toolkit.local_cloud.container_apps import environment_resource as managed_environments
from ai_toolkit.local_cloud.container_apps.log_workspace_resource import Workspaces
from ai_toolkit.local_cloud.core.arm_error import ArmError
from ai_toolkit.local_cloud.files import account_resource as storage_accounts

OF_PROVIDERS: Final[Mapping[str, frozenset[str]]] = {
    "microsoft.app": managed_environments.API_VERSIONS,
    "microsoft.storage": storage_accounts.API_VERSIONS,
    "microsoft.operationalinsights": Workspaces.api_versions,
}
# The Resource Manager itself has had too many to list: what is none is refused, and what is to come.
OF_THE_RESOURCE_MANAGER: Final = re.compile(r"20(1[4-9]|2[0-6])-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])(-preview)?")


def check_api_version(segments: Sequence[str], version: str) -> None:
    """Raise ArmError for a version that is none of those of the path's resource provider."""
    lowered = [segment.lower() for segment in segments]
    after = [name for before, name in itertools.pairwise(lowered) if before == "providers"]
    namespace = after[-1] if after else ""
    is_of_the_manager = lowered[-1] in {namespace, "register", "unregister"}  # the provider itself
    known = None if is_of_the_manager else OF_PROVIDERS.get(namespace)
    if known is not None and version not in known:
        raise ArmError(
            "NoRegisteredProviderFound",
            f"No registered resource provider found for API version '{version}' in '{namespace}'. "
            f"The supported api-versions are '{', '.join(sorted(known))}'.",
        )
    if known is None and not OF_THE_RESOURCE_MANAGER.fullmatch(version):
        raise ArmError("InvalidApiVersionParameter", f"The api-version '{version}' is invalid.")
