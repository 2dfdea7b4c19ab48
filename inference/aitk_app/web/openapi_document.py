"""The API's description for programs: what FastAPI makes of the routes, with what it cannot know of them.

FastAPI sees bodies and paths. It does not see the key, the streams, that a body which cannot be taken is a 400 here,
and what the gate answers before a route is reached.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

_API = "/v1/"
_ERROR = {
    "title": "Error",
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"enum": ["invalid_request_error", "rate_limit_error", "server_error"]},
                "param": {"type": ["string", "null"], "description": "The parameter at fault"},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}
_ANYWHERE = {
    400: "The request cannot be taken; the message says what is wrong, and where",
    401: "The key is missing or wrong",
    403: "Without a key set, another computer or another page asks",
    404: "There is no such model or route",
    405: "The route takes another method; Allow says which",
    413: "The body is too large",
    415: "The body is encoded",
    500: "The server failed on this request",
    503: "It starts; Retry-After says when to ask again",
}
_WHERE_ANSWERS_ARE_MADE = {
    429: "Too many requests wait; Retry-After says when to ask again",
    504: "The answer was not complete in time; stream it",
}
_TRY_AGAIN = frozenset({429, 503})
_RETRY = {"Retry-After": {"description": "Seconds", "schema": {"type": "integer"}}}
_STREAMS = frozenset({"/v1/chat/completions", "/v1/completions", "/v1/responses"})
_FOR_PEOPLE = frozenset({401, 503})  # a page, where a browser asks
_KINDS = {"/metrics": "text/plain", "/docs": "text/html"}
_OPEN = {
    "/health": ("Whether the process runs", {200: "It runs"}),
    "/ready": ("How far the start is", {200: "Ready", 503: "Not yet, or it failed; `stage` says"}),
}


class DescribedApi(FastAPI):
    """FastAPI with a description that tells all of it, for which slashes too many do not matter."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; an address that was put together with a slash at its end is meant as it would be without."""
        path = scope.get("path", "")
        if path.startswith(_API) and (path.endswith("/") or "//" in path):
            scope = {**scope, "path": "/".join(["", *filter(None, path.split("/"))])}
        await super().__call__(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        """In OpenAPI 3.1; made once."""
        if self.openapi_schema is None:
            made = get_openapi(title=self.title, version=self.version, description=self.description, routes=self.routes)
            parts = made.setdefault("components", {})
            parts["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer", "description": "`aitk key`"}}
            made["security"] = [{"key": []}]
            schemas = parts.setdefault("schemas", {})
            for name in ("HTTPValidationError", "ValidationError"):
                schemas.pop(name, None)
            schemas["Error"] = _ERROR
            for path, methods in made["paths"].items():
                for route in methods.values():
                    _complete(path, route)
            made["paths"] |= {path: {"get": _open(path, *told)} for path, told in _OPEN.items()}
            self.openapi_schema = made
        return self.openapi_schema


def _complete(path: str, route: dict[str, Any]) -> None:
    """What this route answers."""
    answers = route["responses"]
    answers.pop("422", None)
    streams = path in _STREAMS
    if path in _KINDS:
        answers["200"]["content"] = {_KINDS[path]: {"schema": {"type": "string"}}}
    if streams:
        answers["200"]["content"] = {
            "application/json": {"schema": {"type": "object"}},
            "text/event-stream": {},
        }
    told = _ANYWHERE | (_WHERE_ANSWERS_ARE_MADE if streams else {})
    for status, why in sorted(told.items()):
        content: dict[str, Any] = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
        if status in _FOR_PEOPLE:
            content["text/html"] = {"schema": {"type": "string"}}
        answers[str(status)] = {"description": why, "content": content}
        if status in _TRY_AGAIN:
            answers[str(status)]["headers"] = _RETRY


def _open(path: str, summary: str, statuses: dict[int, str]) -> dict[str, Any]:
    """A route of the gate, which needs no key."""
    content = {"application/json": {"schema": {"type": "object"}}}
    answers = {str(status): {"description": why, "content": content} for status, why in statuses.items()}
    return {"summary": summary, "operationId": path.strip("/"), "security": [], "responses": answers}
