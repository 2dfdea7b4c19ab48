"""A text file of a person's, as editors save it: with a byte-order mark, with CRLF, as UTF-16."""

import codecs
from pathlib import Path
from typing import Final

from ai_toolkit.errors import FileMalformed

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark is its beginning
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def read_text(path: Path) -> str:
    """The file's text with LF line ends and without a byte-order mark. Raises FileMalformed, OSError."""
    return text_of(path, path.read_bytes())


def text_of(path: Path, content: bytes) -> str:
    """The text that the file's content is. Raises FileMalformed for one that is not Unicode, with its line."""
    mark, encoding = next(((mark, name) for mark, name in _MARKS if content.startswith(mark)), (b"", "utf-8"))
    body = content[len(mark) :]
    try:
        text = body.decode(encoding)
    except UnicodeDecodeError as error:
        line = body[: error.start].count(b"\n") + 1
        column = error.start - body.rfind(b"\n", 0, error.start)
        raise FileMalformed(
            path, f"it is not {encoding.upper()} text; save it as UTF-8.", line=line, column=column
        ) from error
    if "\0" in text:  # UTF-16 without its mark is UTF-8 with a NUL beside each letter
        raise FileMalformed(
            path, "it holds NUL characters, as UTF-16 without a mark does; save it as UTF-8.", line=1, column=1
        )
    return text.replace("\r\n", "\n").replace("\r", "\n")
