"""That a start failed is known to whoever looks, until another one went well."""

from types import SimpleNamespace

import pytest
from tests.support.azure_files import AzureFiles

from ai_toolkit.deploy.failed_start import failed_start, remembered
from ai_toolkit.deploy.manifest import Entry, Manifest, Origin
from ai_toolkit.errors import ReplicaFailed

FILES = {"inference/start.py": Entry(1, "a")}
BAD = Manifest(FILES, Origin("2026-01-01T00:00:00+00:00", "test", None))
NEXT = Manifest(FILES, Origin("2026-01-02T00:00:00+00:00", "test", None))


class Apps:
    async def replicas(self, app, revision):
        return [SimpleNamespace(name=f"{app}-{revision}-1")]


async def start(share, manifest, error=None):
    async with remembered(share, manifest, Apps(), "app", ("r",)):
        if error:
            raise error


async def test_a_failed_start_is_known_until_one_goes_well(tmp_path):
    """Of this deploy, and of these replicas or none; not of the next deploy, nor when another replica runs."""
    async with AzureFiles(tmp_path / "shares").opened() as share:
        with pytest.raises(ReplicaFailed):
            await start(share, BAD, ReplicaFailed("no memory.", ["a line"]))
        asleep, same = await failed_start(share, BAD, []), await failed_start(share, BAD, ["app-r-1"])
        other, later = await failed_start(share, BAD, ["app-r-2"]), await failed_start(share, NEXT, [])
        await start(share, BAD)
        well = await failed_start(share, BAD, [])

    assert asleep == same == "The replica did not start: no memory."
    assert (other, later, well) == ("", "", "")


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"{}", b'{"deployed": "2026-01-01T00:00:00+00:00"}'])
async def test_a_note_that_cannot_be_read_says_nothing(tmp_path, content):
    from ai_toolkit.deploy.failed_start import _PATH  # noqa: PLC0415

    async with AzureFiles(tmp_path / "shares").opened() as share:
        await share.write(_PATH, content)

        assert not await failed_start(share, BAD, [])
