"""The HTTP exchanges with Azure that others have recorded (AZURE_RECORDINGS), one by one."""

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tests.support import outside_data

needs_recordings = outside_data.needs("AZURE_RECORDINGS")
SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"


@dataclass(frozen=True)
class Exchange:
    """One exchange: `place` is its file and line."""

    place: str
    line: dict[str, Any]

    @property
    def topic(self) -> str:
        return self.place.partition(".")[0]

    @property
    def method(self) -> str:
        return str(self.line["method"])

    @property
    def target(self) -> str:
        """Path and query."""
        return str(self.line["path"])

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def status(self) -> int:
        return int(self.line["status"])

    @property
    def body(self) -> Any:
        return self.line["responseBody"]

    @property
    def headers(self) -> dict[str, str]:
        return dict(self.line["responseHeaders"])

    @property
    def is_management(self) -> bool:
        return str(self.line["host"]).startswith("management.azure.com")

    def __str__(self) -> str:
        return f"{self.place} {self.method} {self.path} {self.status}"


def exchanges() -> list[Exchange]:
    """All of them, in the order of files and lines; only for a test that `needs_recordings`."""
    found = []
    for path in sorted(outside_data.folder("AZURE_RECORDINGS").glob("*.jsonl")):
        for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            found.append(Exchange(f"{path.stem}.{number}", json.loads(text)))
    return found
