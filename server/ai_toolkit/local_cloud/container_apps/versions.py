"""The api-versions of Microsoft.App and Microsoft.OperationalInsights, and by whose types bodies are checked."""

from typing import Final

from ai_toolkit.local_cloud.core.shapes import InVersions, Shape, Typed

APP_VERSIONS: Final = frozenset({
    "2022-01-01-preview", "2022-03-01", "2022-06-01-preview", "2022-10-01", "2022-11-01-preview",
    "2023-04-01-preview", "2023-05-01", "2023-05-02-preview", "2023-08-01-preview", "2023-11-02-preview",
    "2024-02-02-preview", "2024-03-01", "2024-08-02-preview", "2024-10-02-preview", "2025-01-01",
    "2025-02-02-preview", "2025-07-01", "2025-10-02-preview", "2026-01-01", "2026-03-02-preview", "2026-07-01",
})  # fmt: skip
JOB_VERSIONS: Final = APP_VERSIONS - {"2022-01-01-preview", "2022-03-01", "2022-06-01-preview", "2022-10-01"}
WORKSPACE_VERSIONS: Final = frozenset({
    "2015-11-01-preview", "2020-03-01-preview", "2020-08-01", "2020-10-01", "2021-06-01", "2021-12-01-preview",
    "2022-10-01", "2023-09-01", "2025-02-01", "2025-07-01", "2026-03-01",
})  # fmt: skip

APP_TYPES: Final = Typed(("2023-11-02-preview", "2025-07-01", "2026-01-01"))
WORKSPACE_TYPES: Final = Typed(("2022-10-01", "2025-02-01", "2025-07-01"))


def since_2025(shape: Shape) -> InVersions:
    """A property that Microsoft.App has since the versions of 2025."""
    return InVersions(shape, APP_TYPES, frozenset({"2025-07-01", "2026-01-01"}))


def until_2024(shape: Shape) -> InVersions:
    """A property that only the preview of 2023 has."""
    return InVersions(shape, APP_TYPES, frozenset({"2023-11-02-preview"}))


def of_new_workspaces(shape: Shape) -> InVersions:
    """A property that workspaces have since 2025."""
    return InVersions(shape, WORKSPACE_TYPES, frozenset({"2025-02-01", "2025-07-01"}))
