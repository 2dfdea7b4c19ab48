"""The manifest on the share: the contract between a deploy, the next one, and the app's start."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from ai_toolkit.deploy.manifest import Entry, Manifest, Origin
from ai_toolkit.errors import ShareError

SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
WRITTEN = "2026-01-01T00:00:00.123+00:00"
MANIFEST = Manifest(
    {"models/a/adapter_config.json": Entry(7, "a" * 64, WRITTEN), "inference/start.py": Entry(0, SHA256)},
    Origin.now("ai-toolkit-server 1", "abc"),
    {"inference/start.py": Entry(3, "b" * 64), "inference/new.py": None},
)


def test_written_manifest_is_read_back():
    """What one deploy writes, the next one reads."""
    assert Manifest.parse(MANIFEST.to_json()) == MANIFEST


def test_manifest_has_the_agreed_form():
    """The app's start reads these keys without our code."""
    now = Origin.now("ai-toolkit-server 1", "abc")
    document = json.loads(replace(MANIFEST, origin=now).to_json())
    deployed = datetime.fromisoformat(document.pop("deployed"))

    assert abs((datetime.now(UTC) - deployed).total_seconds()) < 60
    assert document == {
        "version": 1,
        "tool": "ai-toolkit-server 1",
        "commit": "abc",
        "files": {
            "inference/start.py": {"size": 0, "sha256": SHA256},
            "models/a/adapter_config.json": {"size": 7, "sha256": "a" * 64, "written": WRITTEN},
        },
        "undo": {"inference/start.py": {"size": 3, "sha256": "b" * 64}, "inference/new.py": None},
    }


def test_share_without_manifest_holds_nothing_of_ours():
    """Before the first deploy there is none, which is no error."""
    assert Manifest.parse(None) == Manifest({})


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"{}",
        b'{"version": 1}',
        b'{"version": 1, "files": []}',
        b'{"version": 1, "files": {"a": 5}}',
        b'{"version": 1, "files": {"a": {"size": "many", "sha256": ""}}}',
        b'{"version": 1, "files": {"a": {"size": null, "sha256": ""}}}',
    ],
)
def test_broken_manifest_says_what_to_do(content):
    """A manifest that was cut or edited is an error with a way on, never a traceback."""
    with pytest.raises(ShareError, match="cannot be read") as raised:
        Manifest.parse(content)

    assert "Delete it there" in raised.value.advice


@pytest.mark.parametrize("files", [b"{}", b'["another", "layout"]'])
def test_manifest_of_a_newer_version_is_not_touched(files):
    """A newer program wrote it, perhaps with another layout: the advice is to update, not to delete."""
    with pytest.raises(ShareError, match="newer version") as raised:
        Manifest.parse(b'{"version": 2, "files": ' + files + b"}")

    assert "Update" in raised.value.advice
