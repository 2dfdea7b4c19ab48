"""The files of a user's workspace that the commands read and write."""

import json
import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from ai_toolkit.errors import FileMalformed, FileMissing, ValueImpossible, WorkspaceError
from ai_toolkit.two_faces import worded
from ai_toolkit.workspace.json_positions import members
from ai_toolkit.workspace.located import Located
from ai_toolkit.workspace.text_file import read_text

CODE: Final = "inference"
ADAPTERS: Final = "models"
BASE_MODELS: Final = "model-cache"
MODELS: Final = (f"{ADAPTERS}/", f"{BASE_MODELS}/")
LOCAL_SUBSCRIPTION: Final = "00000000-0000-0000-0000-000000000000"
TARGET_KEYS: Final = {
    "subscription": "SUBSCRIPTION_ID",
    "resource_group": "RESOURCE_GROUP_NAME",
    "storage_account": "STORAGE_ACCOUNT_NAME",
    "file_share": "FILE_SHARE_NAME",
    "app": "ACA_APP_NAME",
    "endpoint": "ACA_APP_ENDPOINT",
}
_FINETUNING_KEYS: Final = (
    "SUBSCRIPTION_ID",
    "RESOURCE_GROUP_NAME",
    "STORAGE_ACCOUNT_NAME",
    "FILE_SHARE_NAME",
    "ACA_JOB_NAME",
    "ACA_ENVIRONMENT_NAME",
    "ACA_ENVIRONMENT_STORAGE_NAME",
    "ACA_LOG_ANALYTICS_NAME",
    "LOG_ANALYTICS_NAME",
    "LOCATION",
)


GUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_PORTS: Final = {"https": 443, "http": 80}
_OWN_PATHS: Final = frozenset({"", "/v1"})
_SECRETS: Final = re.compile(r"[?#].*|(?<=//)[^/]*@|^[^/]*@", re.DOTALL)
"""What of a URL may be a password or a signature."""
"""What people copy with the address: the second is where its API begins."""


@dataclass(frozen=True)
class Target:
    """What `infra/inference.config.json` names; `endpoint` is a full URL without a trailing slash."""

    subscription: str
    resource_group: str
    storage_account: str
    file_share: str
    app: str
    endpoint: str

    @property
    def local(self) -> bool:
        return self.subscription == LOCAL_SUBSCRIPTION

    @property
    def account(self) -> Located:
        """The storage account, which may be named by its id."""
        return Located.of(self.storage_account, self.subscription, self.resource_group)


class KeyVaultReference(dict[str, Any]):
    """A parameter's value that Resource Manager itself reads from a key vault: the vault's id and the secret's name."""

    def __str__(self) -> str:
        vault = str((self.get("keyVault") or {}).get("id")).rpartition("/")[2]
        return f"the secret {self.get('secretName')} of the key vault {vault}"


@dataclass(frozen=True)
class Parameters:
    """The values that a parameters file gives; a null is not one."""

    path: Path
    values: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    places: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def spelled_as(self, declared: Iterable[str]) -> "Parameters":
        """The same by the template's names: Azure does not look at their case. Raises ValueImpossible for a second."""
        spelled = {name.lower(): name for name in declared}
        seen: set[str] = set()
        for name in self.values:
            if name.lower() in seen:
                raise self.wrong(name, "it is given twice, in another case")
            seen.add(name.lower())

        def by_template(found: Mapping[str, Any]) -> dict[str, Any]:
            return {spelled.get(name.lower(), name): value for name, value in found.items()}

        return replace(
            self,
            values=by_template(self.values),
            places={**self.places, **by_template(self.places)},
        )

    def wrong(self, name: str, problem: str) -> ValueImpossible:
        """The error for a parameter, with its line and column where the file has it."""
        return ValueImpossible(self.path, name, problem, self.places.get(name))


@dataclass(frozen=True)
class Workspace:
    """A user's folder."""

    folder: Path

    @property
    def uri(self) -> str:
        """The folder as editors name it."""
        return self.folder.as_uri()

    @property
    def target_path(self) -> Path:
        return self.folder / "infra" / "inference.config.json"

    @property
    def provision_folder(self) -> Path:
        return self.folder / "infra" / "provision"

    @property
    def bicep_parameters(self) -> Path | None:
        """The `.bicepparam` file that gives the parameters, at either documented place; None where there is none."""
        places = (self.provision_folder, self.folder / "infra")
        return next((path for place in places if (path := place / "inference.bicepparam").is_file()), None)

    def target(self) -> Target:
        """The provisioned target. Raises FileMissing, FileMalformed, ValueImpossible."""
        path = self.target_path
        if not path.exists():
            raise FileMissing(path, worded(_PROVISION_FIRST))
        document = _read_object(path)
        values: dict[str, str] = {}
        missing: list[str] = []
        for name, key in TARGET_KEYS.items():
            value = document.get(key)
            if value is None or value == "":
                missing.append(key)
            elif not isinstance(value, str):
                raise ValueImpossible(path, key, "a string is expected")
            else:
                values[name] = value
        if missing == list(TARGET_KEYS.values()):
            raise ValueImpossible(path, ", ".join(missing), "nothing is provisioned yet. " + worded(_PROVISION_FIRST))
        if missing:
            raise ValueImpossible(path, ", ".join(missing), "missing; every one of the six names is needed to deploy")
        values["endpoint"] = _endpoint_url(path, values["endpoint"])
        return _target(path, values)

    def target_without_endpoint(self) -> Target | None:
        """The target of a file that names everything but its endpoint, with an empty one; None for any other file."""
        document = _read_object(self.target_path) if self.target_path.exists() else {}
        values = {name: document.get(key) for name, key in TARGET_KEYS.items()}
        named = {name: value for name, value in values.items() if isinstance(value, str) and value}
        if TARGET_KEYS.keys() - named.keys() != {"endpoint"}:
            return None
        return _target(self.target_path, {**named, "endpoint": ""})

    def named_target(self) -> Target:
        """The target, its endpoint empty where the file names everything else. Raises as `target` does."""
        return self.target_without_endpoint() or self.target()

    def target_or_none(self) -> Target | None:
        """The target as `named_target` has it, or None where nothing is provisioned. Raises as that does."""
        if not self.target_path.exists():
            return None
        document = _read_object(self.target_path)
        return self.named_target() if any(document.get(key) for key in TARGET_KEYS.values()) else None

    def write_target(self, target: Target) -> None:
        """Writes the six keys; unknown keys that are in the file stay. Atomic: the old file or the new one."""
        path = self.target_path
        document = _read_object(path) if path.exists() else {}
        document.update({key: getattr(target, name) for name, key in TARGET_KEYS.items()})
        write_atomically(path, json.dumps(document, indent=2) + "\n")

    def forget_target(self) -> None:
        """Writes null to the six keys: nothing is provisioned. Unknown keys stay; without a file none is made."""
        path = self.target_path
        if path.exists():
            document = _read_object(path) | dict.fromkeys(TARGET_KEYS.values())
            write_atomically(path, json.dumps(document, indent=2) + "\n")

    def raise_if_read_only(self) -> None:
        """Returns where the config file could be written. Raises WorkspaceError, before anything is made for it."""
        folder = self.target_path.parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            advice = "Make it writable: what is provisioned is written there. Nothing was changed."
            raise WorkspaceError(f"{folder} cannot be written: {error.strerror}.", advice) from error

    @property
    def finetuning_path(self) -> Path:
        """Fine-tuning's config file, in whichever of the two folders it left one."""
        usual, other = (folder / "finetuning.config.json" for folder in (self.folder / "infra", self.provision_folder))
        return other if other.exists() and not usual.exists() else usual

    def finetuning(self) -> Mapping[str, str]:
        """The names in fine-tuning's config file that are given; empty when fine-tuning left no file."""
        path = self.finetuning_path
        document = _read_object(path) if path.exists() else {}
        return {key: document[key] for key in _FINETUNING_KEYS if isinstance(document.get(key), str)}

    def parameters(self) -> Parameters:
        """The parameters of the JSON file, from either documented path.

        Raises FileMissing, FileMalformed, ValueImpossible.
        """
        usual = self.provision_folder / "inference.parameters.json"
        other = self.folder / "infra" / "inference.parameters.json"
        path = usual if usual.exists() or not other.exists() else other
        if not path.exists():
            raise FileMissing(path, worded(INIT_FIRST))
        warnings = (f"{other} is not read, because {usual} exists too.",) if path == usual and other.exists() else ()
        return replace(read_parameters(path), warnings=warnings)


def read_parameters(path: Path) -> Parameters:
    """The values that a parameters file of Azure's form gives. Raises FileMalformed, ValueImpossible."""
    document, text = _read_object_and_text(path)
    places = _places(text)
    entries = document.get("parameters")
    if not isinstance(entries, dict):
        raise ValueImpossible(path, "parameters", "an object of parameters is expected", places.get("parameters"))
    values: dict[str, Any] = {}
    for name, entry in entries.items():
        if not isinstance(entry, dict) or set(entry) - {"value", "reference", "metadata"}:
            raise ValueImpossible(path, name, '{"value": …} is expected', places.get(name))
        reference = entry.get("reference")
        if reference is not None:
            if not _is_reference(reference) or entry.get("value") is not None:
                problem = '{"reference": {"keyVault": {"id": "…"}, "secretName": "…"}} and no value is expected'
                raise ValueImpossible(path, name, problem, places.get(name))
            values[name] = KeyVaultReference(reference)
        elif entry.get("value") is not None:
            values[name] = entry["value"]
    return Parameters(path, values, places=places)


def _is_reference(reference: object) -> bool:
    vault = reference.get("keyVault") if isinstance(reference, dict) else None
    named = isinstance(reference, dict) and isinstance(reference.get("secretName"), str)
    return named and isinstance(vault, dict) and str(vault.get("id", "")).lower().startswith("/subscriptions/")


INIT_FIRST: Final = "Run {CREATE_PROJECT} to add the infra and inference folders."
"""For `worded`."""
_PROVISION_FIRST: Final = "Run {PROVISION}, or write the six names by hand."


def write_atomically(path: Path, text: str) -> None:
    """Replaces the file's content in one step, so that a reader sees the old text or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _read_object(path: Path) -> dict[str, Any]:
    return _read_object_and_text(path)[0]


def _read_object_and_text(path: Path) -> tuple[dict[str, Any], str]:
    """A file's JSON object, in whatever Unicode it was saved; comments are refused."""
    text = read_text(path)
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        comment = text[error.pos : error.pos + 2] in {"//", "/*"} or text[error.pos : error.pos + 1] == "#"
        problem = "JSON has no comments; remove this one." if comment else f"this is not JSON: {error.msg}."
        raise FileMalformed(path, problem, line=error.lineno, column=error.colno) from error
    if not isinstance(document, dict):
        raise FileMalformed(path, "a JSON object is expected.", line=1, column=1)
    return document, text


def _places(text: str) -> dict[str, tuple[int, int]]:
    """Line and column, from 1, of each parameter, and of the key that holds them."""
    found = {path[-1]: member.key.start for path, member in members(text).items() if path[:-1] == ("parameters",)}
    found |= {path[0]: member.key.start for path, member in members(text).items() if path == ("parameters",)}
    return {
        name: (text.count("\n", 0, start) + 1, start - (text.rfind("\n", 0, start) + 1) + 1)
        for name, start in found.items()
    }


def _target(path: Path, values: Mapping[str, str]) -> Target:
    """The target that the values name; Azure writes accounts and shares in lower case only."""
    subscription = values["subscription"].strip()
    if not GUID.fullmatch(subscription):
        problem = f'"{subscription}" is no id, such as {LOCAL_SUBSCRIPTION}; az account list shows that of a name'
        raise ValueImpossible(path, TARGET_KEYS["subscription"], problem)
    lower = {name: values[name].strip().lower() for name in ("storage_account", "file_share")}
    return Target(**{**values, **lower, "subscription": subscription.lower()})


def _endpoint_url(path: Path, value: str) -> str:
    """The endpoint as a URL: a bare host means https; case, a default port and a dot at the end say nothing."""
    harmless = _SECRETS.sub("", value)
    problem = f"{harmless} is neither a host name nor an http(s) URL without user name, query and fragment"
    try:
        parts = urlsplit(value.strip() if "://" in value else f"https://{value.strip()}")
        plain = parts.scheme in _PORTS and not (parts.query or parts.fragment or "@" in parts.netloc)
        host, port = (parts.hostname or "").rstrip("."), parts.port
        possible = plain and port != 0 and re.fullmatch(r"[A-Za-z0-9._:-]+", host)
    except ValueError as error:  # a port that is no number, a bracket that stays open
        raise ValueImpossible(path, "ACA_APP_ENDPOINT", problem) from error
    if not possible:
        raise ValueImpossible(path, "ACA_APP_ENDPOINT", problem)
    shown = f"[{host}]" if ":" in host else host
    url = f"{parts.scheme}://{shown}" + ("" if port in {None, _PORTS[parts.scheme]} else f":{port}")
    if parts.path.rstrip("/") not in _OWN_PATHS:
        raise ValueImpossible(
            path, "ACA_APP_ENDPOINT", f"{harmless} has a path, which an app's address has not: write {url}"
        )
    return url
