"""Downloads a base model from a hub into `model-cache/`, once: with progress, and going on where it was broken off.

huggingface_hub lists, authenticates, follows redirects and tries again; its own downloads begin a broken file anew, so
the part that is there already is kept here.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO, cast
from urllib.parse import quote

from huggingface_hub import HfApi, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.file_download import http_get
from huggingface_hub.utils import build_hf_headers, disable_progress_bars  # type: ignore[attr-defined]

from aitk_app.engine.adapter_files import ModelError
from aitk_app.incidents import log_says
from aitk_app.loading.base_models import BaseModel, check_readable
from aitk_app.loading.folders import wanted_weights
from aitk_app.readiness import Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aitk_app.loading.base_models import HubModel
    from aitk_app.readiness import Readiness

logger = logging.getLogger(__name__)

# Weights as safetensors only, the tokenizer, the configuration, and the licence.
_WANTED = re.compile(r"[^/]+\.(safetensors|safetensors\.index\.json|json|model|txt|jinja|md)|LICENSE[^/]*|[^/]+\.py")
_MEGABYTE = 10**6
_PIECE_BYTES = 4 << 20
_TAKES_NO_FILES = {errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOSPC, errno.EDQUOT}


@dataclass(frozen=True)
class _File:
    name: str
    size: int
    sha256: str | None  # of large files; the hub does not say it of others


class _Hub:
    """One revision of one model on a hub; without a token nothing is sent in its place."""

    def __init__(self, wanted: HubModel, environment: Mapping[str, str]) -> None:
        self.endpoint = environment.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
        self.has_token = bool(environment.get("HF_TOKEN"))
        self._wanted = wanted
        self._token: str | bool = environment.get("HF_TOKEN") or False

    def files(self) -> list[_File]:
        """What is to be downloaded, the weights last. Raises `ModelError`, HfHubHTTPError."""
        api = HfApi(endpoint=self.endpoint, token=self._token)
        found = []
        info = api.model_info(self._wanted.id, revision=self._wanted.revision, files_metadata=True)
        for entry in info.siblings or ():
            name = entry.rfilename
            if _WANTED.fullmatch(name) and ".." not in PurePosixPath(name).parts:
                found.append(_File(name, int(entry.size or 0), entry.lfs.sha256 if entry.lfs else None))
        weights = wanted_weights(file.name for file in found if file.name.endswith(".safetensors"))
        if not weights:
            raise ModelError(
                f"The base model {self._wanted.id} has no safetensors weights on the hub; nothing else is loaded."
            )
        found = [file for file in found if file.name in weights or not file.name.endswith(".safetensors")]
        return sorted(found, key=lambda file: (file.name.endswith(".safetensors"), file.name))

    def read(self, file: _File, stream: _Counting, there: int) -> None:
        """Writes what comes after the first `there` bytes. Raises HfHubHTTPError, OSError."""
        url = hf_hub_url(self._wanted.id, file.name, revision=self._wanted.revision, endpoint=self.endpoint)
        headers = build_hf_headers(token=self._token)
        http_get(url, cast("BinaryIO", stream), resume_size=there, headers=headers, expected_size=file.size)


class _Counting:
    """A binary file that tells how far it was written."""

    def __init__(self, stream: BinaryIO, tell: Callable[[int], None]) -> None:
        self._stream = stream
        self._tell = tell

    def write(self, piece: bytes) -> int:
        written = self._stream.write(piece)
        self._tell(self._stream.tell())
        return written

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever else a file can do
        return getattr(self._stream, name)


class _NotTakenError(ModelError):
    """The folder that was to hold the model takes no files, or not as many."""


def download(
    wanted: HubModel, cache: Path, environment: Mapping[str, str], readiness: Readiness, instead: Path | None = None
) -> Path:
    """The folder below `cache` that holds the model, whole. Raises `ModelError`.

    Where `cache` is read-only or full it lies below `instead`, if that is given, and a warning says so.
    """
    try:
        return _download(wanted, cache, environment, readiness)
    except _NotTakenError as refused:
        if instead is None:
            raise
        readiness.warn(
            f"{refused} It is downloaded to the replica's own disk, anew at every start. Put it into model-cache/, "
            "or make room on the share and mount it so that it can be written."
        )
        logger.warning("%s It goes to the replica's own disk.", refused)
        try:
            return _download(wanted, instead, environment, readiness)
        except ModelError as error:
            raise ModelError(f"{refused} {error}") from error


def _download(wanted: HubModel, cache: Path, environment: Mapping[str, str], readiness: Readiness) -> Path:
    target = cache / wanted.id
    # Beside it, so that nobody takes a part for the whole; kept when broken off.
    beside = cache / ".aitk-downloads" / f"{wanted.id.replace('/', '--')}@{quote(wanted.revision, safe='')}"
    _trust_as_pip_does(environment)
    hub = _Hub(wanted, environment)
    disable_progress_bars()  # the replica's log is no terminal; /ready tells
    try:
        files = hub.files()
        done, total = 0, sum(each.size for each in files)
        _check_room(cache, wanted, total)

        def tell(here: int) -> None:
            megabytes = ((done + here) // _MEGABYTE, total // _MEGABYTE)
            readiness.report(Stage.LOADING_WEIGHTS, f"Downloading {wanted.id} (MB).", progress=megabytes)

        for file in files:
            if file.name.endswith(".safetensors"):
                check_readable(BaseModel(wanted.id, beside))  # before gigabytes come that nothing here can read
            _fetch(hub, file, beside / file.name, wanted.id, tell)
            done += file.size
        target.parent.mkdir(parents=True, exist_ok=True)
        if not (target / "config.json").exists():
            beside.rename(target)
    except HfHubHTTPError as error:
        status = error.response.status_code
        raise ModelError(_refusal(wanted, hub.endpoint, status, token=hub.has_token)) from error
    except ModelError:
        raise
    except Exception as error:  # the client's transport has its own exceptions, which are no public ones
        if isinstance(error, OSError) and error.errno in _TAKES_NO_FILES:
            raise _NotTakenError(f"The base model {wanted.id} cannot be kept in {cache}: {error.strerror}.") from error
        what = f"The base model {wanted.id} is not in {cache} and could not be downloaded from {hub.endpoint}"
        raise ModelError(
            f"{what}. {log_says(error, what)} Put it there, or try again: the download goes on where it stopped."
        ) from error
    return target


def _trust_as_pip_does(environment: Mapping[str, str]) -> None:
    """The hub's client knows only the last of the three variables that name a company's authority to pip and others."""
    named = environment.get("REQUESTS_CA_BUNDLE") or environment.get("CURL_CA_BUNDLE")
    if named and not environment.get("SSL_CERT_FILE"):
        os.environ["SSL_CERT_FILE"] = named


def _fetch(hub: _Hub, file: _File, target: Path, name: str, tell: Callable[[int], None]) -> None:
    """`file` whole at `target`; what is there of it already is not asked for again."""
    if target.is_file():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    with part.open("ab") as stream:
        hub.read(file, _Counting(stream, tell), stream.tell())
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
        raise _NotTakenError(
            f"The base model {wanted.id} has {size // _MEGABYTE} MB; {cache} has room for {free // _MEGABYTE} MB."
        )


def _refusal(wanted: HubModel, endpoint: str, status: int, *, token: bool) -> str:
    if status in {401, 403}:
        how = "HF_TOKEN may not read it" if token else "set the environment variable HF_TOKEN"
        return f"The base model {wanted.id} is not free to read on {endpoint}: {how}."
    if status == 404:  # noqa: PLR2004 - HTTP's number
        return f"There is no base model {wanted.id} at revision {wanted.revision} on {endpoint}."
    return f"The base model {wanted.id} could not be downloaded: {endpoint} answered {status}. Start again."
