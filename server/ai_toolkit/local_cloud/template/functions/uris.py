"""URI functions of ARM templates, with yarl's reading of URIs.

Source: https://learn.microsoft.com/azure/azure-resource-manager/templates/template-functions-string#uri
"""

import base64
import re
import urllib.parse
from typing import Final

from yarl import URL

from ai_toolkit.local_cloud.template.functions.json_text import shown
from ai_toolkit.local_cloud.template.functions.strings import decoded
from ai_toolkit.local_cloud.template.functions.values import (
    FunctionError,
    Group,
    Value,
    integer,
    key_of,
    object_of,
    text,
    unexpected,
    utf8,
)

_ABSOLUTE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:.+", re.DOTALL)
_DATA: Final = re.compile(r"data:(?P<type>[^,]*),(?P<data>.*)", re.IGNORECASE | re.DOTALL)
_ESCAPED: Final = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_MEANINGFUL: Final = frozenset("%;/?:@&=+$,#[]!'()*\\\x7f")
_PORTS: Final = {
    "gopher": 70,
    "ldap": 389,
    "mailto": 25,
    "net.tcp": 808,
    "nntp": 119,
    "telnet": 23,
}  # .NET's, beside yarl's
_UTF8: Final = {"utf8", "utf-8"}


def _absolute(value: Value, function: str) -> URL:
    given = text(value, function)
    try:
        found = _read(given) if _ABSOLUTE.fullmatch(given.strip()) else None
        if found is None or (not found.host and found.scheme in {"http", "https"}):
            raise ValueError(given)  # noqa: TRY301  # the same refusal as for any other text
        _ = found.port
    except ValueError as error:
        raise FunctionError(f"The function '{function}' expects an absolute URI, not '{given}'.") from error
    return found


def _read(given: str) -> URL:
    """The URI in a text; a space is %20 everywhere, as .NET escapes it, not a plus sign as in forms."""
    return URL(given.strip().replace(" ", "%20"))


def uri(base: Value, relative: Value) -> str:
    """An absolute URI made of a base and what is relative to it."""
    first, second = _absolute(base, "uri"), text(relative, "uri", 2)
    if not first.raw_authority and not _ABSOLUTE.fullmatch(second.strip()):
        raise FunctionError(f"The function 'uri' cannot join '{base}' and '{relative}': the first has no host.")
    try:
        return _readable(first.join(_read(second)))
    except ValueError as error:
        raise FunctionError(f"The function 'uri' cannot join '{base}' and '{relative}'.") from error


def _readable(found: URL) -> str:
    """As .NET writes it: unescaped where that changes no meaning, without a default port, with a path."""
    if found.is_default_port():
        found = found.with_port(None)
    written = f"{found.scheme}:"
    if found.raw_authority:
        user, at, rest = found.raw_authority.rpartition("@")
        host = rest.replace(found.raw_host or "", found.host or "", 1) if ":" not in (found.host or "") else rest
        written += f"//{user}{at}{host}"
    written += _unescaped(found.raw_path or ("/" if found.raw_authority else ""))
    if found.raw_query_string:
        written += f"?{_unescaped(found.raw_query_string)}"
    return f"{written}#{_unescaped(found.raw_fragment)}" if found.raw_fragment else written


def _unescaped(part: str) -> str:
    """The part with its percent signs read, those that stand for a sign with a meaning left."""

    def read(match: re.Match[str]) -> str:
        pieces = urllib.parse.unquote_to_bytes(match[0]).decode(errors="surrogateescape")
        return "".join(
            urllib.parse.quote(one.encode(errors="surrogateescape"), safe="")
            if one in _MEANINGFUL or one < " " or "\ud800" <= one <= "\udfff"
            else one
            for one in pieces
        )

    return _ESCAPED.sub(read, part)


def parse_uri(value: Value) -> Value:
    """Scheme, host, port, path and query of a URI."""
    found = _absolute(value, "parseUri")
    return {
        "scheme": found.scheme,
        "host": f"[{found.host}]" if ":" in (found.host or "") else found.host or "",
        "port": found.explicit_port or found.port or _PORTS.get(found.scheme, -1),
        "path": found.raw_path,
        "query": f"?{found.raw_query_string}" if found.raw_query_string else "",
    }


def build_uri(value: Value) -> str:
    """The URI that scheme, host, port, path and query make."""
    given = object_of(value, "buildUri")
    parts = {name: _component(given, name) for name in ("scheme", "host", "path", "query")}
    if not parts["scheme"] or not parts["host"]:
        raise FunctionError("The function 'buildUri' needs a 'scheme' and a 'host'.")
    key = key_of(given, "port")
    port = None if key is None or given[key] is None else integer(given[key], "buildUri")
    try:
        place = URL.build(scheme=parts["scheme"], host=parts["host"], port=port)
        query = parts["query"].removeprefix("?")
        path = parts["path"].lstrip("/").replace("?", "%3F").replace("#", "%23")
        return _readable(_read(f"{place}/{path}{query and f'?{query}'}"))
    except ValueError as error:
        raise FunctionError(f"The function 'buildUri' cannot make a URI: {error}.") from error


def _component(given: dict[str, Value], name: str) -> str:
    key = key_of(given, name)
    value = None if key is None else given[key]
    if value is not None and not isinstance(value, str):
        raise FunctionError(f"The function 'buildUri' expects a string as '{name}'.")
    return value or ""


def data_uri_to_string(value: Value) -> str:
    """What a data URI holds, as text."""
    given = text(value, "dataUriToString")
    found = _DATA.fullmatch(given)
    if found is None:
        raise FunctionError(f"The function 'dataUriToString' expects a data URI, not '{given}'.")
    options = [option.strip().lower() for option in found["type"].split(";")]
    charset = next((option.partition("=")[2] for option in options if option.startswith("charset=")), "utf-8")
    data = found["data"]
    content = decoded(data, "dataUriToString") if options[-1] == "base64" else urllib.parse.unquote_to_bytes(data)
    try:
        return content.decode("utf-8" if charset in _UTF8 else charset, errors="replace")
    except LookupError as error:
        raise FunctionError(f"The function 'dataUriToString' knows no encoding '{charset}'.") from error


def _data_uri(value: Value) -> str:
    if value is None:
        raise unexpected("dataUri", 1, "a string", value)

    return "data:text/plain;charset=utf-8;base64," + base64.b64encode(utf8(shown(value))).decode()


URI_FUNCTIONS: Group = {
    "builduri": (build_uri, 1, 1),
    "datauri": (_data_uri, 1, 1),
    "datauritostring": (data_uri_to_string, 1, 1),
    "parseuri": (parse_uri, 1, 1),
    "uri": (uri, 2, 2),
    "uricomponent": (
        lambda value: urllib.parse.quote(utf8(text(value, "uriComponent")), safe="-._~"), 1, 1,
    ),
    "uricomponenttostring": (
        lambda value: urllib.parse.unquote_plus(text(value, "uriComponentToString")), 1, 1,
    ),
}  # fmt: skip
