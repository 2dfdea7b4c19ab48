"""The running model over HTTP: its readiness, what it loaded, an answer, the link that signs a browser in."""

import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Final

import aiohttp

from ai_toolkit.azure import network
from ai_toolkit.errors import EndpointRefused

_LOOK_LIMIT: Final = aiohttp.ClientTimeout(total=15)
_ANSWER_LIMIT: Final = aiohttp.ClientTimeout(total=240)
_STREAM_LIMIT: Final = aiohttp.ClientTimeout(total=None, sock_connect=15, sock_read=240)
"""A streamed answer may take its time, as long as something comes: the platform's ingress waits no longer either."""
# In the words of the platform's ingress; Azure's own were not asked for.
_FORBIDDEN_ADDRESS: Final = "RBAC: access denied"
_WHOLE: Final = {"application/json", "application/octet-stream"}
"""What an answer is that does not stream; the second where a server names no type."""
_NO_APP: Final = "Container App"
_NO_MODEL: Final = "model_not_found"
_LINK_VALID: Final = timedelta(minutes=5)


class Stage(StrEnum):
    """How far a replica is; the values below `NO_ANSWER` are those of `/ready`, of every version of the app."""

    NO_ANSWER = "no answer"
    FOREIGN = "foreign"
    OTHER = "other"
    NOTHING_DEPLOYED = "nothing deployed"
    PREPARING = "preparing"
    INSTALLING = "installing"
    LOADING_WEIGHTS = "loading weights"
    ADAPTER = "adapter"
    WARMING = "warming"
    READY = "ready"
    FAILED = "failed"

    @classmethod
    def _missing_(cls, value: object) -> "Stage":  # noqa: ARG003  (the name that enum calls it by)
        """A stage of a later version of the app."""
        return cls.OTHER


_SAID: Final[Mapping[Stage, str]] = {
    Stage.NO_ANSWER: "starting the replica",
    Stage.FOREIGN: "answers",
    Stage.OTHER: "starting",
    Stage.NOTHING_DEPLOYED: "nothing is deployed",
    Stage.PREPARING: "preparing",
    Stage.INSTALLING: "installing packages",
    Stage.LOADING_WEIGHTS: "loading weights",
    Stage.ADAPTER: "loading the adapter",
    Stage.WARMING: "warming up",
    Stage.READY: "ready",
    Stage.FAILED: "failed",
}


@dataclass(frozen=True)
class Readiness:
    """What `/ready` says: `done` of `total` where the stage counts, and sentences about what is not as it should be.

    An app that is not ours has no such page: it is at the stage FOREIGN, and ready once it answers at all.
    """

    ready: bool
    stage: Stage
    detail: str = ""
    reason: str | None = None
    done: int | None = None
    total: int | None = None
    warnings: tuple[str, ...] = ()

    @property
    def foreign(self) -> bool:
        return self.stage is Stage.FOREIGN

    @property
    def failed(self) -> bool:
        return self.stage is Stage.FAILED

    @property
    def said(self) -> str:
        """The stage for a person."""
        return _SAID[self.stage]

    def in_words(self) -> str:
        """Stage, count and detail for a person."""
        counted = f" {self.done} of {self.total}" if self.total else ""
        detail = f": {self.detail}" if self.detail and self.detail != self.said else ""
        return f"{self.said}{counted}{detail}"


NO_ANSWER: Final = Readiness(ready=False, stage=Stage.NO_ANSWER)
_FOREIGN: Final = Readiness(ready=True, stage=Stage.FOREIGN, detail="it has no page /ready")


def signed_link(url: str, key: str) -> str:
    """The endpoint's URL with a fragment that signs a browser in during the next five minutes."""
    expiry = str(int(time.time() + _LINK_VALID.total_seconds()))
    signature = hmac.new(key.encode(), b"aitk-link:" + expiry.encode(), hashlib.sha256).hexdigest()
    return f"{url}/#aitk={expiry}.{signature}"


class Endpoint:
    """An inference endpoint and its key (None when it has none)."""

    def __init__(self, session: aiohttp.ClientSession, url: str, key: str | None) -> None:
        self._session = session
        self.url = url
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, key: str | None) -> "AsyncIterator[Endpoint]":
        # Without cookies: with sticky sessions they would lead to one replica only.
        async with network.session(url, cookie_jar=aiohttp.DummyCookieJar()) as session:
            yield cls(session, url, key)

    async def readiness(self) -> Readiness:
        """How far the replica is. Reaches the app, so it wakes a sleeping one: ask only when that is wanted.

        Raises EndpointRefused where the ingress lets this computer's address not through, NetworkProblem where a proxy
        or a certificate does not let this computer through to the ingress.
        """
        try:
            async with self._session.get(f"{self.url}/ready", timeout=_LOOK_LIMIT) as answer:
                text = await answer.text(errors="replace")
                status = answer.status
        except (aiohttp.ClientError, TimeoutError) as error:
            network.raise_if_blocked(error, self.url)
            return NO_ANSWER
        body = _json(text)
        if isinstance(body, Mapping) and "stage" in body:
            return _told(body)
        if status == HTTPStatus.FORBIDDEN and _FORBIDDEN_ADDRESS in text:
            raise EndpointRefused(self.url, status, "its allowedIpRanges do not include this computer's address")
        # The ingress of a stopped app answers 404 too, in words of its own.
        is_from_app = status < HTTPStatus.INTERNAL_SERVER_ERROR and _NO_APP not in text
        return _FOREIGN if is_from_app else NO_ANSWER

    async def version(self) -> Mapping[str, Any] | None:
        """The hashes of what one replica loaded; None when the app is not ours and has no such page.

        Raises EndpointRefused while it is not ready, or when the key is not the app's.
        """
        try:
            async with self._session.get(f"{self.url}/version", headers=self._headers, timeout=_LOOK_LIMIT) as answer:
                text, status = await answer.text(errors="replace"), answer.status
        except (aiohttp.ClientError, TimeoutError) as error:
            network.raise_if_blocked(error, self.url)
            raise EndpointRefused(self.url, 0, f"no answer ({type(error).__name__})") from error
        body = _json(text)
        if status == HTTPStatus.OK:
            return body if isinstance(body, Mapping) and "code" in body else None
        if status == HTTPStatus.NOT_FOUND and _NO_APP not in text:
            return None
        raise EndpointRefused(self.url, status, _reason(body))

    async def models(self) -> list[Mapping[str, Any]]:
        """The entries of `/v1/models`; an adapter's `parent` is its base model. Raises EndpointRefused."""
        body = await self._ask("GET", "/v1/models", None)
        return list(body.get("data") or ())

    async def chat(self, message: str, model: str | None = None, max_tokens: int = 128) -> str:
        """The model's greedy answer to one message. Raises EndpointRefused."""
        request: dict[str, Any] = {
            "messages": [{"role": "user", "content": message}],
            "max_tokens": max_tokens,
            "temperature": 0,
        }
        if model is not None:
            request["model"] = model
        body = await self._ask("POST", "/v1/chat/completions", request)
        try:
            return str(body["choices"][0]["message"]["content"] or "")
        except (KeyError, IndexError, TypeError) as error:
            raise EndpointRefused(self.url, 200, "no completion in the answer") from error

    async def answer(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """The body of the answer to a chat request, whole. Raises EndpointRefused."""
        return await self._ask("POST", "/v1/chat/completions", request)

    async def tokens(self, request: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """What `/tokenize` says of a conversation; None of an app without such a page. Raises EndpointRefused."""
        try:
            return await self._ask("POST", "/tokenize", request)
        except EndpointRefused as error:
            if error.status in {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED} and error.reason_code != _NO_MODEL:
                return None
            raise

    async def logprobs(self, model: str | None, tokens: Sequence[int]) -> Sequence[tuple[str, float | None]]:
        """Each token's text, and how probable the model finds it after those before (natural logarithm).

        The first has no probability. Raises EndpointRefused.
        """
        request = {"model": model, "prompt": list(tokens), "max_tokens": 0, "echo": True, "logprobs": 0}
        body = await self._ask("POST", "/v1/completions", request)
        try:
            found = body["choices"][0]["logprobs"]
            return list(zip(found["tokens"], found["token_logprobs"], strict=True))
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise EndpointRefused(self.url, 200, "no log-probabilities in the answer") from error

    async def unload_adapter(self, name: str) -> None:
        """Serves the adapter of that name no longer. Raises EndpointRefused."""
        await self._ask("POST", "/v1/unload_lora_adapter", {"lora_name": name})

    async def events(self, path: str, request: Mapping[str, Any]) -> AsyncIterator[Mapping[str, Any]]:
        """The events of a streamed answer, as JSON; an app that does not stream answers with one.

        Raises EndpointRefused, also where it breaks off.
        """
        try:
            async with self._session.post(
                self.url + path, json=request, headers=self._headers, timeout=_STREAM_LIMIT
            ) as answer:
                if answer.status >= HTTPStatus.BAD_REQUEST:
                    raise EndpointRefused(self.url, answer.status, _reason(_json(await answer.text(errors="replace"))))
                if answer.content_type in _WHOLE:
                    whole = _json(await answer.text(errors="replace"))
                    if not isinstance(whole, Mapping):
                        raise EndpointRefused(self.url, answer.status, "not JSON")
                    yield whole
                    return
                async for line in _lines(answer.content):
                    data = line.removeprefix("data:").strip()
                    if not line.startswith("data:") or not data:
                        continue
                    if data == "[DONE]":
                        return
                    event = _json(data)
                    if not isinstance(event, Mapping):
                        raise EndpointRefused(self.url, answer.status, "an event that is not JSON")
                    if event.get("error"):
                        raise EndpointRefused(self.url, answer.status, _reason(event))
                    yield event
        except (aiohttp.ClientError, TimeoutError) as error:
            raise EndpointRefused(self.url, 0, f"no whole answer ({type(error).__name__})") from error
        raise EndpointRefused(self.url, 0, "no whole answer: it broke off")

    async def load_adapter(self, name: str, path: str) -> Mapping[str, str]:
        """Replaces the adapter of that name by what is now in `path` below models/. Raises EndpointRefused.

        Returns the SHA-256 of the files that were loaded, by their names.
        """
        answer = await self._ask("POST", "/v1/load_lora_adapter", {"lora_name": name, "lora_path": path})
        files: Mapping[str, str] = answer.get("files") or {}
        return files

    async def _ask(self, method: str, path: str, request: Mapping[str, Any] | None) -> Mapping[str, Any]:
        try:
            async with self._session.request(
                method, self.url + path, json=request, headers=self._headers, timeout=_ANSWER_LIMIT
            ) as answer:
                text = await answer.text()
                status = answer.status
        except (aiohttp.ClientError, TimeoutError) as error:
            network.raise_if_blocked(error, self.url)
            raise EndpointRefused(self.url, 0, f"no answer ({type(error).__name__})") from error
        body = _json(text)
        if body is None:
            raise EndpointRefused(self.url, status, "not JSON")
        if status >= 400 or not isinstance(body, Mapping):  # noqa: PLR2004  (HTTP: client and server errors)
            raise EndpointRefused(self.url, status, _reason(body), _code(body))
        return body


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[str]:
    """The lines of a stream; of any length, unlike aiohttp's own."""
    rest = b""
    async for chunk in content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.decode(errors="replace").rstrip("\r")
    if rest:
        yield rest.decode(errors="replace")


def _told(body: Mapping[str, Any]) -> Readiness:
    progress = body.get("progress")
    progress = progress if isinstance(progress, Mapping) else {}
    return Readiness(
        ready=bool(body.get("ready")),
        stage=Stage(str(body["stage"])),
        detail=str(body.get("detail") or ""),
        reason=body.get("reason"),
        done=progress.get("done"),
        total=progress.get("total"),
        warnings=tuple(str(one) for one in body.get("warnings") or ()),
    )


def _json(text: str) -> Any:  # noqa: ANN401  (any JSON; None for what is none)
    try:
        return json.loads(text)
    except ValueError:
        return None


def _code(body: object) -> str:
    """The error's code in OpenAI's shape; empty where there is none."""
    error = body.get("error") if isinstance(body, Mapping) else None
    return str(error.get("code") or "") if isinstance(error, Mapping) else ""


def _reason(body: object) -> str:
    """What an error's body says: OpenAI's shape, or FastAPI's `detail` in an app that is not ours."""
    if not isinstance(body, Mapping):
        return "no reason given"
    error = body.get("error") or body.get("detail")
    return str((error.get("message") if isinstance(error, Mapping) else error) or "no reason given")
