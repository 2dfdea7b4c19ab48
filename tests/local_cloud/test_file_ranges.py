"""What a share knows of its files beyond their bytes: ranges, times, space and leases."""

import itertools
import uuid

import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError
from hypothesis import given
from hypothesis import strategies as st

from ai_toolkit.local_cloud.files.ranges import add, remove

FIRST, SECOND = str(uuid.UUID(int=1)), str(uuid.UUID(int=2))


async def written(file):
    return [(one.start, one.end) async for one in file.list_ranges(results_per_page=1)]


async def test_only_what_was_written_is_listed(share):
    """A cut upload's holes are in no range; neighbouring ranges are one."""
    file = share.get_file_client("weights")
    await file.create_file(4096)
    nothing = await written(file)
    await file.upload_range(bytes(512), 0, 512)
    await file.upload_range(b"x" * 512, 1024, 512)
    apart = await written(file)
    await file.upload_range(b"y" * 512, 512, 512)
    joined = await written(file)
    await file.clear_range(512, 512)
    cleared = await written(file)

    assert nothing == []
    assert apart == [(0, 511), (1024, 1535)]
    assert joined == [(0, 1535)]
    assert cleared == apart


async def test_a_file_of_another_program_is_written_as_a_whole(share, folder):
    """What a replica or a person put into the folder is all content."""
    (folder / "log.txt").write_bytes(b"12345")

    assert await written(share.get_file_client("log.txt")) == [(0, 4)]


async def test_a_resized_file_keeps_what_was_written(share):
    """Growing adds a hole, shrinking cuts."""
    file = share.get_file_client("grows")
    await file.upload_file(b"a" * 1024)
    await file.resize_file(2048)
    grown = await written(file)
    await file.resize_file(512)

    assert grown == [(0, 1023)]
    assert await written(file) == [(0, 511)]


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 40), st.integers(0, 12)), max_size=12))
def test_ranges_are_a_set_of_bytes(changes):
    """Adding and removing ranges is adding and removing their bytes."""
    ranges, expected = [], set()
    for adds, first, more in changes:
        ranges = (add if adds else remove)(ranges, first, first + more)
        covered = set(range(first, first + more + 1))
        expected = expected | covered if adds else expected - covered

    assert {byte for first, last in ranges for byte in range(first, last + 1)} == expected
    assert all(one[1] + 1 < other[0] for one, other in itertools.pairwise(ranges))


async def test_metadata_changes_last_modified_but_not_the_time_of_writing(share):
    """Setting metadata is a change of the file; its content is as old as before."""
    file = share.get_file_client("notes")
    await file.upload_file(b"text")
    before = await file.get_file_properties()
    await file.set_file_metadata({"a": "1"})
    after = await file.get_file_properties()

    assert after.etag != before.etag
    assert after.change_time > before.change_time
    assert after.last_modified >= before.last_modified
    assert after.last_write_time == before.last_write_time


async def test_listings_tell_the_time_of_writing_that_writes_answered(share):
    """LastWriteTime in a listing is the header of the last write, also after a rename."""
    created = await share.get_file_client("made").create_file(4)
    file = share.get_file_client("made")
    put = await file.upload_range(b"1234", 0, 4)
    kept = await file.upload_range(b"5678", 0, 4, file_last_write_mode="preserve")
    await file.rename_file("moved")
    listed = {entry.name: entry async for entry in share.list_directories_and_files(include=["timestamps"])}

    assert created["file_last_write_time"] <= put["file_last_write_time"]
    assert kept["file_last_write_time"] == put["file_last_write_time"]
    assert listed["moved"].last_write_time == put["file_last_write_time"]


async def test_a_share_holds_no_more_than_its_quota(share, clients, account, group):
    """The sizes of all files count; the file that would be too much is refused and not there."""
    await clients.storage.file_shares.update(group, account[0], "models", {"properties": {"shareQuota": 1}})
    gibibyte = 1024**3
    await share.get_file_client("half").create_file(gibibyte // 2)
    with pytest.raises(HttpResponseError) as refusal:
        await share.get_file_client("too-much").create_file(gibibyte // 2 + 1)
    await share.get_file_client("fits").create_file(gibibyte // 2)
    with pytest.raises(HttpResponseError) as full:
        await share.get_file_client("one-more").upload_file(b"x")
    await share.get_file_client("half").delete_file()
    await share.get_file_client("one-more").upload_file(b"x")

    assert refusal.value.error_code == "ShareSizeLimitReached"
    assert (full.value.error_code, full.value.status_code) == ("ShareSizeLimitReached", 403)
    assert not await share.get_file_client("too-much").exists()


async def test_a_lease_goes_through_its_life(share):
    """Acquired, changed, released; each step only with the id that holds it."""
    file = share.get_file_client("lock")
    await file.upload_file(b"")
    lease = await file.acquire_lease(lease_id=FIRST)
    with pytest.raises(ResourceExistsError) as taken:
        await file.acquire_lease(lease_id=SECOND)
    same = await file.acquire_lease(lease_id=FIRST)
    await lease.change(SECOND)
    with pytest.raises(HttpResponseError) as stale:
        await same.release()
    held = await file.get_file_properties()
    await lease.release()
    free = await file.get_file_properties()
    with pytest.raises(HttpResponseError) as nothing:
        await lease.break_lease()

    assert taken.value.error_code == "LeaseAlreadyPresent"
    assert stale.value.error_code == "LeaseIdMismatchWithLeaseOperation"
    assert nothing.value.error_code == "LeaseNotPresentWithLeaseOperation"
    assert (held.lease.status, held.lease.state, held.lease.duration) == ("locked", "leased", "infinite")
    assert (free.lease.status, free.lease.state) == ("unlocked", "available")


async def test_a_leased_file_is_written_by_its_holder_only(share):
    """Every write and delete without the id is 412, with another id too; with the id it is done."""
    file = share.get_file_client("guarded")
    await file.create_file(4)
    await share.get_file_client("other").upload_file(b"new")
    lease = await file.acquire_lease(lease_id=FIRST)
    codes = []
    for attempt in (
        file.upload_range(b"1234", 0, 4),
        file.upload_file(b"1234"),
        file.set_file_metadata({"a": "1"}),
        file.resize_file(8),
        file.delete_file(),
        file.rename_file("elsewhere"),
        share.get_file_client("other").rename_file("guarded", overwrite=True),
        file.upload_range(b"1234", 0, 4, lease=SECOND),
    ):
        with pytest.raises(HttpResponseError) as refusal:
            await attempt
        codes.append((refusal.value.status_code, refusal.value.error_code))
    await file.upload_range(b"1234", 0, 4, lease=lease)

    assert codes == [(412, "LeaseIdMissing")] * 7 + [(412, "LeaseIdMismatchWithFileOperation")]
    assert await (await file.download_file()).readall() == b"1234"


async def test_trailing_dots_are_kept_for_clients_that_ask(clients, account, share, folder):
    """`a.` is a name of its own with allow_trailing_dot, and `a` without."""
    async with clients.share_service(*account, allow_trailing_dot=True) as service:
        await service.get_share_client("models").get_file_client("a.").upload_file(b"dot")
    await share.get_file_client("b.").upload_file(b"none")

    assert sorted(path.name for path in folder.iterdir()) == ["a.", "b"]
