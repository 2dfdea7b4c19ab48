"""What is remembered of a workspace's template, in the user's cache folder; losing it costs only a question."""

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import platformdirs

from ai_toolkit.workspace.workspace import write_atomically

log = logging.getLogger(__name__)

_MOST: Final = 20


def remember_place(folder: Path, subscription: str, group: str) -> None:
    """Where a Provision begins: what it leaves when it is cut off has no config file that names the place."""
    try:
        write_atomically(_place_path(folder), json.dumps({"subscription": subscription, "group": group}))
    except OSError as error:
        log.debug("not remembered: %s", error)


def remembered_place(folder: Path) -> tuple[str, str] | None:
    """Subscription and resource group of the last Provision of that folder; None where none is remembered."""
    try:
        found = json.loads(_place_path(folder).read_text(encoding="utf-8"))
        return str(found["subscription"]), str(found["group"])
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _place_path(folder: Path) -> Path:
    return platformdirs.user_cache_path("ai-toolkit") / "places" / f"{_name_of(folder)}.json"


def _name_of(folder: Path) -> str:
    return hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:24]


class Remembered:
    """Which template with which parameters the app had when it was last looked at, and what was answered since.

    By the first it is known who changed something: as long as template and parameters are those, somebody else did.
    """

    def __init__(self, folder: Path, template_sha256: str, given: Mapping[str, Any]) -> None:
        self._path = platformdirs.user_cache_path("ai-toolkit") / "wanted" / f"{_name_of(folder)}.json"
        self._wanted = _hash([template_sha256, dict(given)])

    @property
    def was_so(self) -> bool:
        """Whether the app last had what this template and these parameters want."""
        return bool(self._read().get("wanted") == self._wanted)

    def is_so(self) -> None:
        """The app has what they want."""
        self._write({**self._read(), "wanted": self._wanted})

    def will_be_so(self) -> None:
        """The app is being changed; what it has is known at the next look."""
        self._write({**self._read(), "wanted": ""})

    def is_answered(self, app: object) -> bool:
        """Whether nothing was to be done for an app like this (any JSON), or it was to be left as it is."""
        return _hash([self._wanted, app]) in (self._read().get("answers") or ())

    def answer(self, app: object) -> None:
        """Nothing is to be done for an app like this until it, the template or the parameters change."""
        found = self._read()
        self._write({**found, "answers": [*(found.get("answers") or ()), _hash([self._wanted, app])][-_MOST:]})

    def _read(self) -> dict[str, Any]:
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _write(self, document: Mapping[str, Any]) -> None:
        try:
            write_atomically(self._path, json.dumps(document))
        except OSError as error:
            log.debug("not remembered: %s", error)


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
