"""The API's description as one page of HTML, without scripts from anywhere (FastAPI's own page loads its script)."""

from __future__ import annotations

from html import escape
from typing import Any

_STYLE = """:root { color-scheme: light dark; background: Canvas; color: CanvasText } a { color: LinkText }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 56rem; margin: 2rem auto; padding: 0 1rem }
 h2 { margin-top: 2rem; font-size: 1.05rem } code, pre { font-family: ui-monospace, monospace }
table { border-collapse: collapse; width: 100% } td, th { text-align: left; border-top: 1px solid #8884;
 padding: .25rem .5rem; vertical-align: top } pre { background: #8882; padding: .75rem; overflow-x: auto }"""


def openapi_page(described: dict[str, Any]) -> str:
    """HTML for an OpenAPI description."""
    schemas = described.get("components", {}).get("schemas", {})
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(described['info']['title'])}: API</title><style>{_STYLE}</style></head><body>",
        f"<h1>{escape(described['info']['title'])}: API</h1>",
        f"<pre tabindex='0'>{escape(described['info'].get('description', ''))}</pre>",
        '<p>For programs: <a href="openapi.json">openapi.json</a></p>',
    ]
    for path, methods in described["paths"].items():
        for method, route in methods.items():
            parts.append(
                f"<h2><code>{method.upper()} {escape(path)}</code></h2><p>{escape(route.get('summary', ''))}</p>"
            )
            parts.extend(_parameters(route, schemas))
    return "".join([*parts, "</body></html>"])


def _parameters(route: dict[str, Any], schemas: dict[str, Any]) -> list[str]:
    body = route.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    schema = schemas.get(body.get("$ref", "").rpartition("/")[2])
    if not schema:
        return []
    needed = schema.get("required", [])
    rows = [
        f"<tr><td><code>{escape(name)}</code>{' (required)' if name in needed else ''}</td>"
        f"<td><code>{escape(_kind(each))}</code></td></tr>"
        for name, each in schema["properties"].items()
    ]
    return ["<table><tr><th>Parameter</th><th>Values</th></tr>", *rows, "</table>"]


def _kind(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_kind(each) for each in schema["anyOf"] if each.get("type") != "null")
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if "const" in schema:
        return repr(schema["const"])
    if "enum" in schema:
        return " or ".join(repr(each) for each in schema["enum"])
    words = {"minimum": "from {}", "exclusiveMinimum": "above {}", "maximum": "to {}", "exclusiveMaximum": "below {}"}
    bounds = " ".join(text.format(schema[key]) for key, text in words.items() if key in schema)
    kind = str(schema.get("type", "anything"))
    if kind == "array":
        kind = f"list of {_kind(schema.get('items', {}))}"
    return f"{kind} {bounds}".strip()
