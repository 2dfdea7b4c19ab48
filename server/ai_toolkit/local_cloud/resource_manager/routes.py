"""A request to the Resource Manager, and the table that finds its handler without regard to case."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from urllib.parse import unquote

from aiohttp import web

from ai_toolkit.local_cloud.core.arm_error import ArmError, JsonObject, not_emulated
from ai_toolkit.local_cloud.core.relaxed_json import read_json

PAGE_LENGTH = 100


@dataclass(frozen=True)
class ArmRequest:
    """One management request: its path's names, its query without case, its JSON body if any."""

    method: str
    path: str
    segments: tuple[str, ...]
    names: dict[str, str]
    query: dict[str, str]
    body: JsonObject | None
    http: web.Request

    def with_names(self, names: dict[str, str]) -> "ArmRequest":
        """The same request with the names that its route found in the path."""
        return replace(self, names=names)

    @property
    def origin(self) -> str:
        """The base URL under which the caller reached us."""
        return f"{self.http.scheme}://{self.http.host}"

    @property
    def api_version(self) -> str:
        """The `api-version` of the query, which is there (checked on arrival)."""
        return self.query["api-version"]

    def require_body(self) -> JsonObject:
        """The body, or 400 when there is none."""
        if self.body is None:
            raise ArmError("InvalidRequestContent", "The request content was invalid: a JSON object is expected.")
        return self.body


Handler = Callable[[ArmRequest], Awaitable[web.StreamResponse]]


class Routes:
    """Patterns such as `/subscriptions/{subscription}/locations`, compared without case."""

    def __init__(self) -> None:
        self._routes: list[tuple[str, tuple[str, ...], Handler]] = []

    def add(self, method: str, pattern: str, handler: Handler) -> None:
        """Send requests of this method and path to a handler; the first match wins."""
        self._routes.append((method, tuple(pattern.strip("/").split("/")), handler))

    def find(self, method: str, segments: tuple[str, ...]) -> tuple[Handler, dict[str, str]] | None:
        """The handler with the names it is to be called with."""
        for route_method, pattern, handler in self._routes:
            if route_method == method and (names := _match(pattern, segments)) is not None:
                return handler, names
        return None


def _match(pattern: tuple[str, ...], segments: tuple[str, ...]) -> dict[str, str] | None:
    if len(pattern) != len(segments):
        return None
    names = {}
    for expected, actual in zip(pattern, segments, strict=True):
        if expected.startswith("{"):
            names[expected[1:-1]] = actual
        elif expected.lower() != actual.lower():
            return None
    return names


async def read_request(http: web.Request) -> ArmRequest:
    """The request, or ArmError for a body that is no JSON object or an api-version that is missing."""
    query = {name.lower(): value for name, value in http.query.items()}
    raw_path = http.raw_path.partition("?")[0]
    segments = tuple(unquote(part) for part in raw_path.strip("/").split("/"))
    if "api-version" not in query and not _is_log_stream(segments):
        raise ArmError(
            "MissingApiVersionParameter",
            "The api-version query parameter (?api-version=) is required for all requests.",
        )
    body: JsonObject | None = None
    content = await http.read() if http.can_read_body else b""
    if content.strip():
        try:
            body = read_json(content)
        except ValueError as error:
            raise ArmError(
                "InvalidRequestContent",
                f"The request content was invalid and could not be deserialized: '{error}'.",
            ) from error
        if body is not None and not isinstance(body, dict):
            raise ArmError("InvalidRequestContent", "The request content was invalid: a JSON object is expected.")
    return ArmRequest(http.method, raw_path, segments, {}, query, body, http)


def paged(request: ArmRequest, values: list[JsonObject]) -> web.Response:
    """A list's answer: so many values at a time, and the URL of the rest."""
    top, start = request.query.get("$top", str(PAGE_LENGTH)), request.query.get("$skiptoken", "0")
    if not top.isdigit() or int(top) < 1 or not start.isdigit():
        raise ArmError("InvalidQueryParameter", "$top is a number from 1 on, and $skiptoken one of ours.")
    length = min(int(top), PAGE_LENGTH)
    body: JsonObject = {"value": values[int(start) : int(start) + length]}
    if int(start) + length < len(values):
        rest = request.http.url.update_query({"$skiptoken": str(int(start) + length)})
        body["nextLink"] = str(rest)
    return web.json_response(body)


def _is_log_stream(segments: tuple[str, ...]) -> bool:
    """Azure's log and event streams are no management API: they have no api-version."""
    return segments[-1].lower() in {"logstream", "eventstream"}


def refuse_unknown(request: ArmRequest) -> ArmError:
    """501 naming what was asked."""
    return not_emulated(request.method, request.path)
