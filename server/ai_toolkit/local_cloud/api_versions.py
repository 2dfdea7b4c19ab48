"""Whether a request names an api-version that Azure knows."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Final

from ai_toolkit.local_cloud.container_apps.bodies import APP_VERSIONS, WORKSPACE_VERSIONS
from ai_toolkit.local_cloud.core.arm_error import ArmError
from ai_toolkit.local_cloud.files.bodies import STORAGE_VERSIONS
from ai_toolkit.local_cloud.resource_manager.resource_type import ANY_VERSION

OF_PROVIDERS: Final[Mapping[str, frozenset[str]]] = {
    "microsoft.app": APP_VERSIONS,
    "microsoft.storage": STORAGE_VERSIONS,
    "microsoft.operationalinsights": WORKSPACE_VERSIONS,
}


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
    if known is None and not ANY_VERSION.fullmatch(version):
        raise ArmError("InvalidApiVersionParameter", f"The api-version '{version}' is invalid.")
