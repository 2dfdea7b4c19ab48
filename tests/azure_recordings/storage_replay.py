"""The recorded requests to Azure Files, asked of a local account that is in the state that they found."""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree as ET

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy
from tests.support.recordings import Exchange
from yarl import URL

from ai_toolkit.local_cloud.files.shared_key import string_to_sign

LEASE = "11111111-2222-4333-8444-555555555555"
FILE_BYTES = 1 << 19
UNTOLD = {"content-length", "transfer-encoding", "content-type", "x-ms-request-id", "x-ms-version"}


@dataclass
class Account:
    """A local storage account, asked as its owner."""

    session: aiohttp.ClientSession
    url: str
    name: str
    key: str

    async def ask(self, method: str, target: str, headers: dict[str, str], body: bytes = b"") -> tuple[int, Any, str]:
        sent = CIMultiDict({"x-ms-version": "2024-11-04", **headers, "x-ms-date": formatdate(usegmt=True)})
        if body or method == "PUT":
            sent["Content-Length"] = str(len(body))
        sent.setdefault("Content-Type", "application/octet-stream")
        raw = f"/{self.name}{target}"
        text = string_to_sign(method, raw, CIMultiDictProxy(sent), self.name).encode()
        digest = hmac.digest(base64.b64decode(self.key), text, hashlib.sha256)
        sent["Authorization"] = f"SharedKey {self.name}:{base64.b64encode(digest).decode()}"
        url = URL(f"{self.url}{target}", encoded=True)
        async with self.session.request(method, url, headers=sent, data=body or None) as answer:
            return answer.status, answer.headers, (await answer.read()).decode("utf-8-sig", "replace")


def kind_of(exchange: Exchange) -> str:
    """The operation, as Azure's documentation groups them: method, kind of resource, comp."""
    query = dict(one.partition("=")[::2] for one in exchange.target.partition("?")[2].split("&"))
    share, _, path = exchange.path.lstrip("/").partition("/")
    what = query.get("restype") or ("file" if path else "share" if share else "service")
    comp = query.get("comp", "")
    if "x-ms-copy-source" in exchange.line["requestHeaders"]:
        comp = f"{comp} from a URL".strip()
    snapshot = " of a snapshot" if "sharesnapshot" in query else ""
    return f"files {exchange.method} {what} {comp}".strip() + snapshot


async def replay(account: Account, exchange: Exchange) -> list[str]:
    """In what the local answer differs from the recorded one; each difference in words that stay the same."""
    stage = Stage(account, exchange)
    await stage.prepare()
    status, headers, text = await account.ask(exchange.method, stage.target, stage.headers, stage.body)
    differences = []
    if status != exchange.status:
        differences.append(f"status {status} where Azure answers {exchange.status}")
    code, wanted = headers.get("x-ms-error-code"), exchange.headers.get("x-ms-error-code")
    if code != wanted:
        differences.append(f"code {code} where Azure's is {wanted}")
    missing = _names(exchange.headers) - _names(headers) - UNTOLD
    differences += [f"no header {name}" for name in sorted(missing)]
    if isinstance(exchange.body, str) and exchange.body.lstrip("\ufeff").startswith("<?xml"):
        theirs, ours = (_shape(one) for one in (exchange.body, text))
        differences += [f"no element {name}" for name in sorted(theirs - ours)]
    return differences


def _names(headers: Iterable[str]) -> set[str]:
    """Names in lower case; metadata is one name, whatever it is called."""
    return {"x-ms-meta-*" if name.lower().startswith("x-ms-meta-") else name.lower() for name in headers}


def _shape(text: str) -> set[str]:
    """The paths of a document's elements."""
    try:
        root = ET.fromstring(text.lstrip("\ufeff"))
    except ET.ParseError:
        return set()

    def walk(element: ET.Element, above: str) -> set[str]:
        path = f"{above}/{'*' if above.endswith('/Metadata') else element.tag}".lstrip("/")
        return {path}.union(*(walk(one, path) for one in element))

    return walk(root, "")


class Stage:
    """The share, directories, files, snapshots and leases that a recorded request found; its share has its own name."""

    def __init__(self, account: Account, exchange: Exchange) -> None:
        self._account, self._exchange = account, exchange
        self._code = exchange.headers.get("x-ms-error-code", "")
        recorded, _, self._inner = exchange.path.lstrip("/").partition("/")
        own = f"replayed-{exchange.place.rpartition('.')[2]}"
        self._share = own if self._code != "InvalidResourceName" else recorded
        self.target = exchange.target.replace(f"/{recorded}", f"/{self._share}", 1) if recorded else exchange.target
        self._path, _, self._query = self.target.partition("?")
        sent = exchange.line["requestHeaders"].items()
        self.headers = {name.lower(): value for name, value in sent if name.lower().startswith("x-ms-")}
        for name in {"x-ms-lease-id", "x-ms-proposed-lease-id"} & self.headers.keys():
            self.headers[name] = LEASE
        for name in {"x-ms-copy-source", "x-ms-file-rename-source"} & self.headers.keys():
            inside = re.sub("^https?://[^/]+/[^/]+", "", self.headers[name]).partition("?")[0]
            self.headers[name] = f"{account.url}/{self._share}{inside}"
        body = exchange.line["requestBody"] or ""
        self.body = (body if isinstance(body, str) else json.dumps(body)).encode()

    async def prepare(self) -> None:
        if not self._inner and "comp=list" in self._query and "restype" not in self._query:
            await self._prepare_service()
        elif self._exists():
            await self._put(f"/{self._share}?restype=share", {"x-ms-meta-hello": "world"})
            await self._prepare_inside()
            await self._lease()
            await self._snapshot()
            await self._complete()

    def _exists(self) -> bool:
        is_new = self._exchange.method == "PUT" and self._query == "restype=share" and self._exchange.status == 201
        return not is_new and (self._code != "ShareNotFound" or "sharesnapshot" in self._query) and bool(self._share)

    async def _prepare_service(self) -> None:
        for name in ("listshare0", "listshare1"):
            await self._put(f"/{name}?restype=share", {"x-ms-meta-hello": "world"})
        await self._put("/listshare0?restype=share&comp=snapshot")
        self.target = re.sub(r"prefix=[^&]*", "prefix=listshare", self.target)
        self.target = re.sub(r"marker=[^&]*", f"marker=%2F{self._account.name}%2Flistshare0", self.target)
        if "maxresults=2" in self.target and "marker" not in self.target:
            self.target = self.target.replace("maxresults=2", "maxresults=1")

    async def _prepare_inside(self) -> None:
        """The file or directory, unless it is what Azure said is missing, or what is made."""
        is_directory, makes = "restype=directory" in self._query, self._exchange.method == "PUT"
        if self._code != "ParentNotFound":
            await self._make_parents(self._path)
        for name in ("x-ms-copy-source", "x-ms-file-rename-source"):
            if name in self.headers and self._code != "ResourceNotFound":
                size = 1024 if self._code == "CannotVerifyCopySource" else FILE_BYTES
                await self._make_file(self.headers[name].removeprefix(self._account.url), size)
        is_missing = self._code in {"ResourceNotFound", "ParentNotFound"} or "comp=rename" in self._query
        if makes and "comp=" not in self._query:
            is_missing = self._code not in {"ResourceAlreadyExists", "LeaseIdMissing"}
        if self._inner and not is_missing:
            await (self._put(f"{self._path}?restype=directory", {**self._dots(), "x-ms-meta-a": "b"}) if is_directory
                   else self._make_file(self._path))  # fmt: skip
        if is_directory and "comp=list" in self._query:
            await self._put(f"{self._path}/pref_dir?restype=directory")
            await self._make_file(f"{self._path}/pref_file")
            self.target = re.sub(r"marker=[^&]*", "marker=YQ%3D%3D", self.target)

    async def _make_parents(self, path: str) -> None:
        _, share, *parents = path.split("/")
        parents = parents[:-1]
        for depth in range(len(parents)):
            await self._put(f"/{share}/{'/'.join(parents[: depth + 1])}?restype=directory")

    async def _make_file(self, path: str, size: int = FILE_BYTES) -> None:
        await self._make_parents(path)
        dots = self._dots()
        made = {"x-ms-type": "file", "x-ms-content-length": str(size), "x-ms-meta-hello": "world", **dots}
        await self._put(path, made)
        written = {"x-ms-range": "bytes=0-1023", "x-ms-write": "update", **dots}
        await self._account.ask("PUT", f"{path}?comp=range", written, bytes(1024))

    def _dots(self) -> dict[str, str]:
        return {"x-ms-allow-trailing-dot": self.headers.get("x-ms-allow-trailing-dot", "false")}

    async def _put(self, target: str, headers: dict[str, str] | None = None) -> None:
        await self._account.ask("PUT", target, headers or {})

    async def _lease(self) -> None:
        is_leased = "Lease" in self._code or "x-ms-lease-id" in self.headers
        if is_leased or self._exchange.headers.get("x-ms-lease-state") == "leased":
            await self._make_file(self._path)
            held = {"x-ms-lease-action": "acquire", "x-ms-lease-duration": "-1", "x-ms-proposed-lease-id": LEASE}
            await self._put(f"{self._path}?comp=lease", held)
        if self._code.startswith("LeaseIdMismatch"):
            self.headers["x-ms-lease-id"] = LEASE.replace("1", "2")

    async def _snapshot(self) -> None:
        if self._code == "ShareHasSnapshots":
            await self._put(f"/{self._share}?restype=share&comp=snapshot")
        if "sharesnapshot" in self._query and self._code != "ShareNotFound":
            _, headers, _ = await self._account.ask("PUT", f"/{self._share}?restype=share&comp=snapshot", {})
            made = quote(headers["x-ms-snapshot"], safe="")
            self.target = re.sub(r"sharesnapshot=[^&]*", lambda _found: f"sharesnapshot={made}", self.target)

    async def _complete(self) -> None:
        """The body of a range, which the recordings shortened, and the key of a permission that is known here."""
        if "comp=filepermission" in self._query and self._exchange.method == "GET":
            permission = b'{"permission": "O:SYG:SYD:(A;;FA;;;SY)"}'
            _, made, _ = await self._account.ask("PUT", self.target, {}, permission)
            self.headers["x-ms-file-permission-key"] = made["x-ms-file-permission-key"]
        if "comp=range" in self._query.split("&") and "x-ms-copy-source" not in self.headers:
            first, last = map(int, re.findall(r"\d+", self.headers["x-ms-range"]))
            self.body = b"" if self.headers.get("x-ms-write") == "clear" else bytes(last - first + 1)
