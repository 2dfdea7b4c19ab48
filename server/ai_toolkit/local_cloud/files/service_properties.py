"""The properties of an account's file service: kept, and nothing here acts upon them."""

from dataclasses import replace
from xml.etree import ElementTree as ET

from aiohttp import web

from ai_toolkit.local_cloud.files.file_request import FileRequest
from ai_toolkit.local_cloud.files.storage_error import StorageError

LARGEST_BODY_BYTES = 64 * 1024
HEAD = '\ufeff<?xml version="1.0" encoding="utf-8"?>'
METRICS = "<Version>1.0</Version><Enabled>{}</Enabled>{}<RetentionPolicy><Enabled>{}</Enabled>{}</RetentionPolicy>"
DEFAULTS = {
    "HourMetrics": METRICS.format("true", "<IncludeAPIs>true</IncludeAPIs>", "true", "<Days>7</Days>"),
    "MinuteMetrics": METRICS.format("false", "", "false", ""),
    "Cors": "",
}


async def read(request: FileRequest) -> web.Response:
    """What was set, and Azure's defaults."""
    given = request.shares.side_data.get(request.account, "", "", 0).settings
    parts = [
        given.get(name) or (f"<{name}>{inner}</{name}>" if inner else f"<{name} />") for name, inner in DEFAULTS.items()
    ]
    parts += [text for name, text in given.items() if name not in DEFAULTS]
    text = f"{HEAD}<StorageServiceProperties>{''.join(parts)}</StorageServiceProperties>"
    return web.Response(text=text, content_type="application/xml")


async def write(request: FileRequest) -> web.Response:
    """202; what the body does not name stays."""
    root = await read_xml(request, "StorageServiceProperties")
    data = request.shares.side_data
    facts = data.get(request.account, "", "", 0)
    given = {part.tag: ET.tostring(part, encoding="unicode") for part in root}
    data.put(request.account, "", "", 0, replace(facts, settings={**facts.settings, **given}))
    return web.Response(status=202)


async def read_xml(request: FileRequest, root: str) -> ET.Element:
    """The body's root element; StorageError where it is not that."""
    data = bytearray()
    async for chunk in request.http.content.iter_chunked(LARGEST_BODY_BYTES):
        data += chunk
        if len(data) > LARGEST_BODY_BYTES:
            raise StorageError("RequestBodyTooLarge")
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise StorageError("InvalidXmlDocument")
    try:
        found = ET.fromstring(bytes(data))  # noqa: S314  # without a document type, which the lines above refuse
    except ET.ParseError as error:
        raise StorageError("InvalidXmlDocument") from error
    if found.tag != root:
        raise StorageError("InvalidXmlDocument")
    return found
