"""What storage clients ask of Azure Files beyond Deploy: signatures, copies, snapshots, leases, properties, handles."""

from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.fileshare import (
    AccessPolicy,
    AccountSasPermissions,
    ContentSettings,
    CorsRule,
    FileSasPermissions,
    ResourceTypes,
    ShareSasPermissions,
    generate_account_sas,
    generate_file_sas,
    generate_share_sas,
)
from azure.storage.fileshare.aio import ShareServiceClient

HOUR = timedelta(hours=1)


def code_of(refusal):
    return str(getattr(refusal.value.error_code, "value", refusal.value.error_code))


@pytest.fixture
async def signed(clients, account, share):
    """Asks for a path with a signature in its query; gives the status and the refusal's code."""
    await share.get_file_client("a.txt").upload_file(
        b"text", content_settings=ContentSettings(content_type="text/plain")
    )
    async with aiohttp.ClientSession() as session:

        async def ask(signature, path="models/a.txt", method="GET", more="", headers=None):
            url = f"{clients.status.files}/{account[0]}/{path}?{signature}{more}"
            async with session.request(
                method, url, headers={"x-ms-version": "2024-11-04", **(headers or {})}
            ) as answer:
                return answer.status, answer.headers.get("x-ms-error-code", ""), dict(answer.headers)

        yield ask


def of_account(account, **given):
    values = {
        "resource_types": ResourceTypes(service=True, container=True, object=True),
        "permission": AccountSasPermissions(read=True, write=True, delete=True, list=True, create=True),
        "expiry": datetime.now(UTC) + HOUR,
        **given,
    }
    return generate_account_sas(*account, **values)


async def test_an_account_s_signature_permits_what_it_says(signed, account):
    """Within its time, from its addresses, by its protocol, for its kinds of resources, with its permissions."""
    now = datetime.now(UTC)
    reading = AccountSasPermissions(read=True)
    put = {"method": "PUT", "path": "models/new", "headers": {"x-ms-type": "file", "x-ms-content-length": "0"}}

    assert (await signed(of_account(account)))[0] == 200
    assert (await signed(of_account(account), **put))[0] == 201
    assert (await signed(of_account(account), path="", more="&comp=list"))[0] == 200
    assert (await signed(of_account(account, ip="127.0.0.1-127.0.0.9", start=now - HOUR)))[0] == 200
    refused = {
        "AuthenticationFailed": [
            await signed(of_account(account, expiry=now - HOUR)),
            await signed(of_account(account, start=now + HOUR)),
            await signed(of_account((account[0], "a2V5"))),
            await signed(of_account(account).replace("sp=rwdlc", "sp=rwdlcu")),
        ],
        "AuthorizationSourceIPMismatch": [await signed(of_account(account, ip="10.0.0.1"))],
        "AuthorizationProtocolMismatch": [await signed(of_account(account, protocol="https"))],
        "AuthorizationResourceTypeMismatch": [
            await signed(of_account(account, resource_types=ResourceTypes(service=True)))
        ],
        "AuthorizationPermissionMismatch": [await signed(of_account(account, permission=reading), **put)],
    }
    for code, answers in refused.items():
        assert {(status, given) for status, given, _ in answers} == {(403, code)}


async def test_a_share_s_and_a_file_s_signature_reach_no_further(signed, account, share):
    """One for a file opens that file, one for a share what is in it; headers of the answer may be signed, too."""
    until = datetime.now(UTC) + HOUR
    name, key = account
    await share.get_file_client("b.txt").upload_file(b"other")
    of_file = generate_file_sas(
        name, "models", ["a.txt"], key, permission=FileSasPermissions(read=True), expiry=until, content_type="a/b"
    )
    of_share = generate_share_sas(
        name, "models", key, permission=ShareSasPermissions(read=True, list=True), expiry=until
    )

    status, _, headers = await signed(of_file)
    assert (status, headers["Content-Type"]) == (200, "a/b")
    assert (await signed(of_file, path="models/b.txt"))[1] == "AuthenticationFailed"
    assert (await signed(of_file, method="DELETE"))[1] == "AuthorizationPermissionMismatch"
    assert (await signed(of_share, path="models/b.txt"))[0] == 200
    assert (await signed(of_share, path="models", more="&restype=directory&comp=list"))[0] == 200
    assert (await signed(of_share, path="models", method="DELETE", more="&restype=share"))[1] == "AuthorizationFailure"
    assert (await signed(of_share, path="", more="&comp=list"))[1] == "AuthenticationFailed"


async def test_a_stored_policy_gives_a_signature_its_rights_and_takes_them_back(signed, account, share):
    """As long as the share has the policy."""
    name, key = account
    policy = AccessPolicy(
        permission=ShareSasPermissions(read=True), start=datetime.now(UTC) - HOUR, expiry=datetime.now(UTC) + HOUR
    )
    await share.set_share_access_policy({"readers": policy})
    signature = generate_share_sas(name, "models", key, policy_id="readers")

    kept = await share.get_share_access_policy()
    assert [one.id for one in kept["signed_identifiers"]] == ["readers"]
    assert (await signed(signature))[0] == 200
    await share.set_share_access_policy({})
    assert (await signed(signature))[1] == "AuthenticationFailed"


async def test_a_file_is_copied_inside_the_account(share, clients, account):
    """With its properties; a range of it, too; a copy that is done cannot be ended."""
    source, target = share.get_file_client("source"), share.get_file_client("target")
    await source.upload_file(b"0123456789", metadata={"a": "b"})
    answer = await target.start_copy_from_url(source.url)
    properties = await target.get_file_properties()
    part = share.get_file_client("part")
    await part.create_file(4)
    until = datetime.now(UTC) + HOUR
    reading = FileSasPermissions(read=True)
    signature = generate_file_sas(account[0], "models", ["source"], account[1], permission=reading, expiry=until)
    await part.upload_range_from_url(f"{source.url}?{signature}", offset=0, length=4, source_offset=3)

    assert answer["copy_status"] == "success"
    assert await (await target.download_file()).readall() == b"0123456789"
    assert properties.metadata == {"a": "b"}
    assert properties.copy.id == answer["copy_id"]
    assert await (await part.download_file()).readall() == b"3456"
    with pytest.raises(HttpResponseError) as refusal:
        await target.abort_copy(answer["copy_id"])
    assert code_of(refusal) == "NoPendingCopyOperation"
    with pytest.raises(HttpResponseError) as refusal:
        await target.start_copy_from_url(share.get_file_client("missing").url)
    assert code_of(refusal) == "ResourceNotFound"


async def test_a_snapshot_stays_as_the_share_was(share, clients, account):
    """Read, listed and deleted; a share with one is deleted only together with it, and not made again at once."""
    file = share.get_file_client("file")
    await file.upload_file(b"before", metadata={"a": "b"})
    made = await share.create_snapshot()
    await file.upload_file(b"after")
    async with clients.share_service(*account) as service:
        then = service.get_share_client("models", snapshot=made["snapshot"])
        old = then.get_file_client("file")
        listed = [one.snapshot async for one in service.list_shares(include_snapshots=True)]

        assert await (await old.download_file()).readall() == b"before"
        assert (await old.get_file_properties()).metadata == {"a": "b"}
        assert listed == [made["snapshot"], None]
        with pytest.raises(HttpResponseError) as refusal:
            await share.delete_share()
        assert code_of(refusal) == "ShareHasSnapshots"
        await then.delete_share()
        with pytest.raises(HttpResponseError) as refusal:
            await then.get_share_properties()
        assert code_of(refusal) == "ShareNotFound"
    await share.create_snapshot()
    await share.delete_share(delete_snapshots=True)
    with pytest.raises(HttpResponseError) as refusal:
        await share.create_share()
    assert code_of(refusal) == "ShareBeingDeleted"


async def test_a_lease_of_a_share_ends_or_is_ended(share):
    """Acquired for a while, renewed, changed, released; a leased share is deleted by its holder only."""
    lease = await share.acquire_lease(lease_duration=15)
    await lease.renew()
    await lease.change("11111111-2222-4333-8444-555555555555")
    assert (await share.get_share_properties(lease=lease)).lease.state == "leased"
    with pytest.raises(HttpResponseError) as refusal:
        await share.acquire_lease(lease_duration=15)
    assert code_of(refusal) == "LeaseAlreadyPresent"
    with pytest.raises(HttpResponseError) as refusal:
        await share.delete_share()
    assert code_of(refusal) == "LeaseIdMissing"
    await lease.break_lease(lease_break_period=0)
    assert (await share.get_share_properties()).lease.state == "available"
    await (await share.acquire_lease(lease_duration=-1)).release()


async def test_a_wrong_lease_is_refused_where_a_file_is_read(share):
    """As on a list of ranges; without a lease everybody reads."""
    file = share.get_file_client("file")
    await file.upload_file(b"text")
    lease = await file.acquire_lease()

    with pytest.raises(HttpResponseError) as refusal:
        await anext(file.list_ranges(lease="44444444-4444-4444-8444-444444444444"))
    assert code_of(refusal) == "LeaseIdMismatchWithFileOperation"
    assert [one.end async for one in file.list_ranges(lease=lease)] == [3]
    assert [one.end async for one in file.list_ranges()] == [3]


async def test_service_properties_permissions_and_handles(share, clients, account):
    """Properties of the service are kept, a security descriptor comes back by its key, and no handle is open."""
    async with clients.share_service(*account) as service:
        await service.set_service_properties(cors=[CorsRule(["https://example.com"], ["GET"])])
        kept = await service.get_service_properties()
    descriptor = "O:SYG:SYD:(A;;FA;;;SY)"
    key = await share.create_permission_for_share(descriptor)
    file = share.get_file_client("file")
    await file.create_file(1, permission_key=key)
    with pytest.raises(HttpResponseError) as refusal:
        await file.create_file(1, file_permission="abcde")

    assert kept["cors"][0].allowed_origins == "https://example.com"
    assert kept["hour_metrics"].enabled is True
    assert await share.get_permission_for_share(key) == descriptor
    assert (await file.get_file_properties()).permission_key == key
    assert code_of(refusal) == "FileInvalidPermission"
    assert [one async for one in file.list_handles()] == []
    assert (await file.close_all_handles())["closed_handles_count"] == 0


async def test_a_name_has_up_to_255_characters(share, folder):
    """However many bytes they take; found, listed, read and renamed by it, in any case."""
    name = "Ж" * 250 + ".bin"
    directory = share.get_directory_client("д" * 255)
    await directory.create_directory()
    await directory.upload_file(name, b"long")
    listed = [one.name async for one in directory.list_directories_and_files()]
    moved = await directory.get_file_client(name.lower()).rename_file(f"{'д' * 255}/{'b' * 255}")

    assert listed == [name]
    assert [one.name async for one in share.list_directories_and_files()] == ["д" * 255]
    assert await (await moved.download_file()).readall() == b"long"
    with pytest.raises(HttpResponseError) as refusal:
        await directory.get_file_client("Ж" * 256).create_file(1)
    assert code_of(refusal) == "InvalidResourceName"


async def test_shares_are_listed_in_pages_with_their_metadata(clients, account):
    """In order of name, with a marker."""
    async with clients.share_service(*account) as service:
        for number in range(3):
            await service.create_share(f"share{number}", metadata={"number": str(number)})
        pages = service.list_shares(include_metadata=True, name_starts_with="share", results_per_page=2).by_page()
        found = [[(one.name, one.metadata) async for one in page] async for page in pages]

    assert found == [
        [("share0", {"number": "0"}), ("share1", {"number": "1"})],
        [("share2", {"number": "2"})],
    ]


async def test_a_signature_is_enough_for_the_sdk(clients, account, share):
    """A client that never had the key."""
    await share.get_file_client("file").upload_file(b"text")
    url = f"{clients.status.files}/{account[0]}"
    async with ShareServiceClient(url, credential=of_account(account)) as service:
        assert await (await service.get_share_client("models").get_file_client("file").download_file()).readall() == (
            b"text"
        )
