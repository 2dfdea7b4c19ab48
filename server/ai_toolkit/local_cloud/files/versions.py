"""The api-versions of Microsoft.Storage, and by whose types bodies are checked."""

from typing import Final

from ai_toolkit.local_cloud.core.shapes import InVersions, Shape, Typed

STORAGE_VERSIONS: Final = frozenset({
    "2015-05-01-preview", "2015-06-15", "2016-01-01", "2016-05-01", "2016-12-01", "2017-06-01", "2017-10-01",
    "2018-02-01", "2018-03-01-preview", "2018-07-01", "2018-11-01", "2019-04-01", "2019-06-01", "2020-08-01-preview",
    "2021-01-01", "2021-02-01", "2021-04-01", "2021-06-01", "2021-08-01", "2021-09-01", "2022-05-01", "2022-09-01",
    "2023-01-01", "2023-04-01", "2023-05-01", "2024-01-01", "2025-01-01", "2025-06-01", "2025-08-01", "2026-04-01",
    "2026-06-01", "2026-09-01",
})  # fmt: skip

STORAGE_TYPES: Final = Typed(("2023-01-01", "2025-08-01"))


def since_2025(shape: Shape) -> InVersions:
    """A property that Microsoft.Storage has since the versions of 2025."""
    return InVersions(shape, STORAGE_TYPES, frozenset({"2025-08-01"}))
