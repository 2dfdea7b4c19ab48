"""Text files as people save them: with a byte-order mark, with CRLF, as UTF-16. Standard library only."""

from __future__ import annotations

import codecs

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def text_of(content: bytes) -> str:
    """The text, without a mark and with LF line ends. Raises UnicodeDecodeError for what is neither."""
    mark, encoding = next(((mark, name) for mark, name in _MARKS if content.startswith(mark)), (b"", "utf-8"))
    return content[len(mark) :].decode(encoding).replace("\r\n", "\n")
