"""Loads an adapter beside those that serve, from a folder of ours on the share, and takes both away again."""

import hashlib
import logging
import re
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from azure.core.exceptions import AzureError

from ai_toolkit.deploy.local_files import LocalFile
from ai_toolkit.deploy.manifest import CANDIDATES, Manifest
from ai_toolkit.deploy.sync import REPLACED
from ai_toolkit.endpoint.client import Endpoint
from ai_toolkit.errors import AiToolkitError, EndpointRefused, FileChanged
from ai_toolkit.evaluation.asking import patiently
from ai_toolkit.evaluation.errors import CannotEvaluate

if TYPE_CHECKING:
    from ai_toolkit.azure.file_share import FileShare
    from ai_toolkit.endpoint.address import OwnApp

log = logging.getLogger(__name__)

_FORGOTTEN: Final = timedelta(hours=6)
_FORM: Final = "%Y%m%dT%H%M%SZ"
_TOKEN: Final = re.compile(r"(\d{8}T\d{6}Z)-[0-9a-f]{8}")
_MARK: Final = "@candidate-"
NOT_LOADED: Final = "model_not_found"
"""The app's code for a model that the replica which was asked has not loaded."""


@dataclass(frozen=True)
class Beside:
    """An adapter that was loaded beside the others: its name in requests, its folder on the share."""

    name: str
    folder: PurePosixPath


@asynccontextmanager
async def loaded_beside(
    endpoint: Endpoint, share: "FileShare", adapter: str, contents: Mapping[str, LocalFile | PurePosixPath]
) -> AsyncIterator[Beside]:
    """The adapter while this lasts. `contents`: by file name, a file here or the place of one on the share.

    Raises EndpointRefused where the app does not load it, FileChanged.
    """
    name = candidate_name(adapter)
    beside = Beside(name, CANDIDATES / name.rpartition(_MARK)[2])
    try:
        wanted = {name: await _put(share, source, beside.folder / name) for name, source in contents.items()}
        loaded = await patiently(lambda: endpoint.load_adapter(beside.name, str(beside.folder)))
        if any(wanted.get(name, sha256) != sha256 for name, sha256 in loaded.items()):
            raise EndpointRefused(endpoint.url, 0, "another adapter than was sent")
        yield beside
    finally:
        await _take_away(endpoint, share, beside.name, beside.folder)


async def why_not_beside(own: "OwnApp", version: Mapping[str, Any]) -> str:
    """Why no adapter can be loaded beside those that serve, by what a replica says of itself; empty where one can."""
    if not version:
        return "the app that runs is not one that loads adapters"
    replicas = [one for each in own.app.serving for one in await own.apps.replicas(own.app.name, each.name)]
    if len(replicas) > 1 and own.app.max_replicas > 1:  # else one of the two is on its way out
        return "several replicas run, of which any may answer"
    if not all(each.get("replaceable", True) for each in version.get("adapters") or ()):
        return "the adapter that serves has become the base model (serve_base = false)"
    return ""


async def tidy(endpoint: Endpoint, share: "FileShare") -> None:
    """Takes away what evaluations that were killed left there, hours ago."""
    for name in await share.list_directory(CANDIDATES):
        if _forgotten(name):
            await _take_away(endpoint, share, None, CANDIDATES / name)
    for name in [str(entry.get("id")) for entry in await endpoint.models()]:
        if is_candidate(name) and _forgotten(name.partition(_MARK)[2]):
            with suppress(EndpointRefused):
                await endpoint.unload_adapter(name)


def candidate_name(adapter: str) -> str:
    """A name of its own for an adapter that is only evaluated; it tells since when."""
    return f"{adapter}{_MARK}{datetime.now(UTC).strftime(_FORM)}-{uuid.uuid4().hex[:8]}"


def is_candidate(model: str) -> bool:
    """Whether a served model is one that is only being evaluated."""
    return _MARK in model


def previous_contents(manifest: Manifest, folder: str, there: Mapping[str, object]) -> dict[str, PurePosixPath]:
    """Where on the share each file of the adapter is as it was before the last deploy. `there` are its files now.

    Raises CannotEvaluate where the last deploy changed nothing of it.
    """
    undone = {path: entry for path, entry in manifest.undo.items() if path.startswith(f"{folder}/")}
    if not undone or all(entry is None for entry in undone.values()):
        raise CannotEvaluate(
            f"The share keeps no earlier {folder}: the last deploy did not replace it.",
            "Leave out previous, or name another model.",
        )
    contents = {name: PurePosixPath(folder) / name for name, found in there.items() if found is not None}
    for path, entry in undone.items():
        name = path.removeprefix(f"{folder}/")
        if entry is None:
            contents.pop(name, None)
        elif not entry.sha256:
            raise CannotEvaluate(f"The share did not keep {path} as it was before.", "Leave out previous.")
        else:
            contents[name] = REPLACED / entry.sha256
    return contents


async def _put(share: "FileShare", source: LocalFile | PurePosixPath, target: PurePosixPath) -> str:
    """Puts a file of an adapter at `target`; returns the SHA-256 of its content."""
    if isinstance(source, LocalFile):
        await share.upload(source.source, target, source.entry.size, lambda _: None)
        if not source.unchanged:
            raise FileChanged(source.source)
        return source.entry.sha256
    content = await share.read(source)
    if content is None:
        raise CannotEvaluate(f"{source} is not on the share any more.", "Leave out previous.")
    await share.write(target, content)
    return hashlib.sha256(content).hexdigest()


async def _take_away(endpoint: Endpoint, share: "FileShare", name: str | None, folder: PurePosixPath) -> None:
    """What cannot be taken away is no reason to fail: the next evaluation tries again."""
    if name is not None:
        with suppress(AiToolkitError):  # it was not loaded, or the replica is gone
            await endpoint.unload_adapter(name)
    try:
        for file in await share.list_directory(folder):
            await share.delete(folder / file)
        await share.remove_directory(folder)
        await share.remove_directory(CANDIDATES)
    except AzureError as error:
        log.warning("%s stays on the share: %s", folder, type(error).__name__)


def _forgotten(token: str) -> bool:
    found = _TOKEN.fullmatch(token)
    if found is None:
        return False
    begun = datetime.strptime(found[1], _FORM).replace(tzinfo=UTC)
    return datetime.now(UTC) - begun > _FORGOTTEN
