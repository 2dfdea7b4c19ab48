"""Azure Files, used by the real SDK."""

import base64
import hashlib
import io
import os

import aiohttp
import pytest
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
)
from azure.storage.fileshare import ContentSettings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ai_toolkit.local_cloud.files.share_folder import Shares
from ai_toolkit.local_cloud.files.side_data import SideData
from ai_toolkit.local_cloud.files.storage_error import StorageError


# The SDK hands aiohttp its 4 MiB ranges as bytes.
@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
async def test_an_uploaded_file_is_an_ordinary_file_with_its_properties(share, folder):
    """Content lies in the folder; MD5 and metadata come back from the service."""
    content = os.urandom(9 * 1024 * 1024 + 17)
    md5 = hashlib.md5(content).digest()
    file = share.get_file_client("weights.bin")
    await file.upload_file(
        io.BytesIO(content),
        metadata={"sha256": "abc"},
        content_settings=ContentSettings(content_md5=bytearray(md5)),
        max_concurrency=4,
    )
    properties = await file.get_file_properties()
    downloaded = await (await file.download_file(max_concurrency=4)).readall()

    assert (folder / "weights.bin").read_bytes() == content
    assert downloaded == content
    assert properties.metadata == {"sha256": "abc"}
    assert properties.content_settings.content_md5 == md5
    assert properties.size == len(content)
    assert sorted(path.name for path in folder.iterdir()) == ["weights.bin"]


async def test_an_empty_file_and_a_range_of_a_file(share):
    """An empty upload is a file of no bytes; a download of a range gets that range."""
    await share.get_file_client("empty").upload_file(b"")
    file = share.get_file_client("ten")
    await file.upload_file(b"0123456789")

    assert await (await share.get_file_client("empty").download_file()).readall() == b""
    assert await (await file.download_file(offset=2, length=3)).readall() == b"234"


async def test_a_range_whose_md5_does_not_match_is_not_written(share, clients, account, folder):
    """Md5Mismatch, and the bytes stay as they were."""
    file = share.get_file_client("guarded")
    await file.create_file(4)

    with pytest.raises(HttpResponseError) as refusal:
        await file.upload_range(
            b"data", 0, 4, headers={"Content-MD5": base64.b64encode(hashlib.md5(b"other").digest()).decode()}
        )
    assert refusal.value.error_code == "Md5Mismatch"
    assert (folder / "guarded").read_bytes() == bytes(4)


async def test_directories_are_listed_in_pages_with_prefix_and_details(share):
    """Names come in order, a page at a time, with sizes and times."""
    directory = share.get_directory_client("inference/deep")
    await share.get_directory_client("inference").create_directory()
    await directory.create_directory()
    for number in range(7):
        await directory.upload_file(f"file{number}.py", b"x" * number)
    await directory.create_subdirectory("filed")
    pages = directory.list_directories_and_files(
        name_starts_with="file",
        results_per_page=3,
        include=["timestamps", "Etag", "Attributes", "PermissionKey"],
    ).by_page()
    sizes = []
    names = []
    async for page in pages:
        found = [entry async for entry in page]
        sizes.append(len(found))
        names += [(entry.name, entry.is_directory, getattr(entry, "size", None)) for entry in found]

    assert sizes == [3, 3, 2]
    assert names[2] == ("file2.py", False, 2)
    assert ("filed", True, None) in names


async def test_rename_replaces_only_when_asked(share):
    """A rename onto a file is refused, and with overwrite takes content and metadata along."""
    await share.get_file_client("old").upload_file(b"old")
    new = share.get_file_client("new~")
    await new.upload_file(b"new", metadata={"version": "2"})
    with pytest.raises(ResourceExistsError):
        await new.rename_file("old")
    renamed = await new.rename_file("old", overwrite=True)
    properties = await renamed.get_file_properties()

    assert await (await renamed.download_file()).readall() == b"new"
    assert properties.metadata == {"version": "2"}
    assert not await new.exists()


async def test_what_is_missing_has_azures_error_codes(share):
    """ParentNotFound, ResourceNotFound, ResourceAlreadyExists, DirectoryNotEmpty."""
    codes = []
    await share.get_directory_client("full").create_directory()
    await share.get_file_client("full/file").upload_file(b"")
    for attempt in (
        share.get_file_client("no/file").upload_file(b""),
        share.get_file_client("none").get_file_properties(),
        share.get_directory_client("full").create_directory(),
        share.get_directory_client("full").delete_directory(),
        share.get_directory_client("full/file").get_directory_properties(),
    ):
        with pytest.raises(HttpResponseError) as refusal:
            await attempt
        codes.append(refusal.value.error_code)

    assert codes == [
        "ParentNotFound", "ResourceNotFound", "ResourceAlreadyExists", "DirectoryNotEmpty", "ResourceNotFound",
    ]  # fmt: skip


async def test_a_lease_holds_until_it_is_broken(share):
    """A leased file is written only with the lease; break frees it at once."""
    file = share.get_file_client("lock")
    await file.upload_file(b"one")
    lease = await file.acquire_lease()
    with pytest.raises(HttpResponseError) as refusal:
        await file.upload_file(b"two")
    with pytest.raises(HttpResponseError) as second:
        await file.acquire_lease()
    await lease.break_lease()
    await file.upload_file(b"three")

    assert refusal.value.error_code == "LeaseIdMissing"
    assert second.value.error_code == "LeaseAlreadyPresent"


async def test_a_wrong_key_is_refused(clients, account, share):
    """A signature with another key gets 403 AuthenticationFailed."""
    wrong = base64.b64encode(b"wrong" * 8).decode()
    async with clients.share_service(account[0], wrong) as service:
        with pytest.raises(ClientAuthenticationError) as refusal:
            await service.get_share_client("models").get_share_properties()

    assert refusal.value.status_code == 403


async def test_paths_do_not_leave_the_share(share, clients, folder):
    """A link in the folder is as good as nothing, and names with separators are refused."""
    secret = clients.status.home / "outside"
    secret.write_text("secret")
    (folder / "link").symlink_to(secret)
    (folder / "up").symlink_to(clients.status.home, target_is_directory=True)

    with pytest.raises(ResourceNotFoundError):
        await share.get_file_client("link").download_file()
    with pytest.raises(ResourceNotFoundError):
        await share.get_file_client("up/outside").download_file()
    for name in ("a\\b", "..\\..\\token", "a:b"):
        with pytest.raises(HttpResponseError) as refusal:
            await share.get_file_client(name).upload_file(b"x")
        assert refusal.value.error_code == "InvalidResourceName"


@pytest.mark.parametrize("path", ["..", "../token", "a/../../token", "...", "./a", "a/.. /b"])
def test_dots_are_no_names(path, tmp_path):
    """Names of dots only are refused before the disk is looked at."""
    shares = Shares(tmp_path, SideData(tmp_path / "facts.sqlite"))
    (tmp_path / "account" / "share").mkdir(parents=True)

    with pytest.raises(StorageError) as refusal:
        shares.path("account", "share", path)
    assert refusal.value.code == "InvalidResourceName"


PIECES = st.sampled_from(["..", ".", "...", "%2e%2e", "a", "A.", "link", "/", "\\", "~", " ", "\0", "file", ":", "é"])


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(PIECES, max_size=8).map("".join) | st.text(max_size=40), st.booleans())
def test_no_path_leaves_its_share(tmp_path_factory, text, keeps_dots):
    """Whatever is asked for lies below the share's folder, or is refused with one of Azure's codes."""
    base = tmp_path_factory.mktemp("share")
    shares = Shares(base, SideData(base / "facts.sqlite"))
    root = base / "account" / "share"
    (root / "a").mkdir(parents=True)
    (base / "outside").write_text("secret")
    (root / "link").symlink_to(base, target_is_directory=True)
    (root / "a" / "link").symlink_to(base / "outside")
    try:
        found = shares.path("account", "share", text, keep_trailing_dots=keeps_dots)
    except StorageError as error:
        inside = error.code in {"InvalidResourceName", "ResourceNotFound"}
    else:
        inside = found.on_disk.resolve().is_relative_to(root.resolve()) and ".." not in found.names
    shares.side_data.close()

    assert inside


async def test_names_are_found_in_any_case(share, folder):
    """As on Azure, a name keeps its case and is found in any."""
    await share.get_file_client("Read.Me").upload_file(b"one")
    await share.get_file_client("read.me").upload_file(b"two")

    assert [path.name for path in folder.iterdir()] == ["Read.Me"]
    assert (folder / "Read.Me").read_bytes() == b"two"


async def test_web_pages_and_foreign_hosts_are_refused(clients, account, share):
    """An Origin or a foreign Host gets 403 before anything else."""
    url = f"{clients.status.files}/{account[0]}/models?restype=share"
    async with aiohttp.ClientSession() as session:
        async with session.get(url, headers={"Origin": "https://example.org"}) as origin:
            pass
        async with session.get(url, headers={"Host": "example.org"}) as host:
            pass
        async with session.get(url) as unsigned:
            pass

    assert (origin.status, host.status, unsigned.status) == (403, 403, 401)
