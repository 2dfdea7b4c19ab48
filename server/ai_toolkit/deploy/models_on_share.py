"""Which models lie on the share, whoever put them there."""

import asyncio
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ai_toolkit.azure.file_share import FileShare

_MARKS: Final = {"models": ("adapter_config.json", "config.json"), "model-cache": ("config.json",)}
"""The folders, and the files that make an adapter or a whole model of a folder below."""
_DEEPEST: Final = 8
"""Folders below those two that are looked into: a share can be large, and each folder is a request."""


async def models_on_share(share: "FileShare") -> frozenset[str]:
    """The paths of the files that mark an adapter or a base model, whoever put them there: fine-tuning does too."""
    found = await asyncio.gather(*(_below(share, PurePosixPath(folder), _MARKS[folder]) for folder in _MARKS))
    return frozenset().union(*found)


async def _below(share: "FileShare", folder: PurePosixPath, marks: tuple[str, ...]) -> frozenset[str]:
    entries = await share.list_directory(folder)
    for mark in marks:
        if mark in entries:
            return frozenset({str(folder / mark)})
    if len(folder.parts) > _DEEPEST:
        return frozenset()
    folders = [folder / name for name, file in entries.items() if file is None]
    found = await asyncio.gather(*(_below(share, one, marks) for one in folders))
    return frozenset().union(*found)
