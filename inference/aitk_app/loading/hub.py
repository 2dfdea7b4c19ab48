"""Downloads a base model from a hub into `model-cache/`, once: with progress, and going on where it was broken off.

Source: https://huggingface.co/docs/hub/api (a repository's files with `?blobs=true`, and `/resolve/`).
"""

from __future__ import annotations

import hashlib
import logging
import re
import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx

from aitk_app.engine.adapter_files import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aitk_app.loading.catalog import HubModel
    from aitk_app.readiness import Readiness

logger = logging.getLogger(__name__)

# Weights as safetensors only, the tokenizer, the configuration, and the licence.
_WANTED = re.compile(r"[^/]+\.(safetensors|safetensors\.index\.json|json|model|txt|jinja|md)|LICENSE[^/]*|[^/]+\.py")
_MEGABYTE = 10**6
_PIECE_BYTES = 4 << 20
_TRIES = 4


@dataclass(frozen=True)
class _File:
    name: str
    size: int
    sha256: str | None  # of large files; the hub does not say it of others


def download(wanted: HubModel, cache: Path, environment: Mapping[str, str], readiness: Readiness) -> Path:
    """The folder below `cache` that holds the model, whole. Raises `ModelError`."""
    target = cache / wanted.id
    # Beside it, so that nobody takes a part for the whole; kept when broken off.
    beside = cache / ".aitk-downloads" / f"{wanted.id.replace('/', '--')}@{quote(wanted.revision, safe='')}"
    endpoint = environment.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    token = environment.get("HF_TOKEN")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        # It leaves the token behind where it is sent on to another host.
        with httpx.Client(headers=headers, follow_redirects=True, timeout=30) as client:
            files = _files(client, endpoint, wanted)
            _check_room(cache, wanted, sum(each.size for each in files))
            done, total = 0, sum(each.size for each in files)
            for file in files:
                url = f"{endpoint}/{wanted.id}/resolve/{quote(wanted.revision, safe='')}/{quote(file.name)}"
                for number in range(_TRIES):
                    try:
                        _fetch(client, url, file, beside / file.name, (readiness, wanted.id, done, total))
                        break
                    except httpx.TransportError:
                        if number == _TRIES - 1:
                            raise
                        logger.warning("%s of %s was broken off; going on", file.name, wanted.id)
                done += file.size
    except httpx.HTTPStatusError as error:
        raise ModelError(_refusal(wanted, endpoint, error.response.status_code, token=bool(token))) from error
    except (httpx.HTTPError, OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"The base model {wanted.id} is not in {cache} and could not be downloaded from {endpoint}: "
            f"{error or type(error).__name__}. Put it there, or try again: the download goes on where it stopped."
        ) from error
    target.parent.mkdir(parents=True, exist_ok=True)
    if not (target / "config.json").exists():
        beside.rename(target)
    return target


def _files(client: httpx.Client, endpoint: str, wanted: HubModel) -> list[_File]:
    answer = client.get(f"{endpoint}/api/models/{wanted.id}/revision/{quote(wanted.revision, safe='')}?blobs=true")
    answer.raise_for_status()
    found = []
    for entry in answer.json()["siblings"]:
        name: str = entry["rfilename"]
        if _WANTED.fullmatch(name) and ".." not in PurePosixPath(name).parts:
            large: dict[str, Any] = entry.get("lfs") or {}
            found.append(_File(name, int(entry["size"]), large.get("sha256")))
    if not any(file.name.endswith(".safetensors") for file in found):
        raise ModelError(f"The base model {wanted.id} has no safetensors weights on the hub; nothing else is loaded.")
    return sorted(found, key=lambda file: (file.name.endswith(".safetensors"), file.name))


def _fetch(
    client: httpx.Client, url: str, file: _File, target: Path, progress: tuple[Readiness, str, int, int]
) -> None:
    """`file` whole at `target`; what is there of it already is not asked for again."""
    readiness, name, before, total = progress
    if target.is_file():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    there = part.stat().st_size if part.is_file() else 0
    if there < file.size or not part.is_file():
        headers = {"Range": f"bytes={there}-"} if there else {}
        with client.stream("GET", url, headers=headers) as answer:
            answer.raise_for_status()
            whole = answer.status_code != 206  # noqa: PLR2004 - a part, as asked
            done = 0 if whole else there
            with part.open("wb" if whole else "ab") as stream:
                for piece in answer.iter_bytes(_PIECE_BYTES):
                    stream.write(piece)
                    done += len(piece)
                    megabytes = ((before + done) // _MEGABYTE, total // _MEGABYTE)
                    readiness.report("loading weights", f"Downloading {name} (MB).", progress=megabytes)
    digest = hashlib.sha256()
    with part.open("rb") as read:
        while piece := read.read(_PIECE_BYTES):
            digest.update(piece)
    if part.stat().st_size != file.size or (file.sha256 and digest.hexdigest() != file.sha256):
        part.unlink()
        raise ModelError(f"{file.name} of {name} did not arrive as the hub has it. Start again to download it anew.")
    part.replace(target)


def _check_room(cache: Path, wanted: HubModel, size: int) -> None:
    cache.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(cache).free
    if free < size:
        raise ModelError(
            f"The base model {wanted.id} has {size // _MEGABYTE} MB; {cache} has room for {free // _MEGABYTE} MB."
        )


def _refusal(wanted: HubModel, endpoint: str, status: int, *, token: bool) -> str:
    if status in {401, 403}:
        how = "HF_TOKEN may not read it" if token else "set the environment variable HF_TOKEN"
        return f"The base model {wanted.id} is not free to read on {endpoint}: {how}."
    if status == 404:  # noqa: PLR2004 - HTTP's number
        return f"There is no base model {wanted.id} at revision {wanted.revision} on {endpoint}."
    return f"The base model {wanted.id} could not be downloaded: {endpoint} answered {status}. Start again."
