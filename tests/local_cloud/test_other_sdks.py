"""The requests that Azure's SDK for .NET and Storage Explorer send, as these write them; neither is at hand here.

Headers and XML as Azure.Storage.Files.Shares 12 writes them: no XML declaration, `Now` and `Inherit` capitalised, a
client request id that the answer gives back. Whether the real clients pass nobody has seen.
"""

import re
from xml.etree import ElementTree as ET

import aiohttp
import pytest
from tests.azure_recordings.storage_replay import Account

VERSION = "2025-05-05"
NEW_FILE = {
    "x-ms-type": "file", "x-ms-file-permission": "Inherit", "x-ms-file-attributes": "None",
    "x-ms-file-creation-time": "Now", "x-ms-file-last-write-time": "Now",
}  # fmt: skip
DIRECTORY = {name: value for name, value in NEW_FILE.items() if name != "x-ms-type"}
PROPERTIES = (
    "<StorageServiceProperties><HourMetrics><Version>1.0</Version><Enabled>true</Enabled><IncludeAPIs>true</IncludeAPIs>"
    "<RetentionPolicy><Enabled>true</Enabled><Days>7</Days></RetentionPolicy></HourMetrics><Cors />"
    "</StorageServiceProperties>"
)
POLICIES = (
    "<SignedIdentifiers><SignedIdentifier><Id>read</Id><AccessPolicy><Start>2026-01-01T00:00:00.0000000Z</Start>"
    "<Expiry>2036-01-01T00:00:00.0000000Z</Expiry><Permission>r</Permission></AccessPolicy></SignedIdentifier>"
    "</SignedIdentifiers>"
)
LEASE = "7a6e2a4e-2f9b-4d6f-9b1c-0c8f1f2a3b4c"


@pytest.fixture
async def dotnet(clients, account):
    """Asks as the SDK for .NET does: status, headers and text; refuses a status that is not the expected one."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        owner = Account(session, f"{clients.status.files}/{account[0]}", *account)

        async def ask(expected, method, target, headers=None, body=""):
            sent = {
                "x-ms-version": VERSION, "x-ms-client-request-id": "6e8b1d54-0000-4000-8000-000000000001",
                "x-ms-return-client-request-id": "true", "Accept": "application/xml",
                "User-Agent": "azsdk-net-Storage.Files.Shares/12.22.0 (.NET 8.0.1; Linux)", **(headers or {}),
            }  # fmt: skip
            if body:
                sent["Content-Type"] = "application/xml"
            status, answered, text = await owner.ask(method, target, sent, body.encode())
            assert status == expected, (method, target, status, answered.get("x-ms-error-code"), text)
            assert answered["x-ms-client-request-id"] == sent["x-ms-client-request-id"]  # else .NET refuses the answer
            assert answered["x-ms-version"] == VERSION
            return answered, text

        ask.url = owner.url
        yield ask


@pytest.fixture
async def file(dotnet):
    """A share with a directory and a file of five bytes, made as .NET makes them."""
    await dotnet(201, "PUT", "/nets?restype=share", {"x-ms-share-quota": "5", "x-ms-meta-a": "b"})
    await dotnet(201, "PUT", "/nets/dir?restype=directory", DIRECTORY)
    await dotnet(201, "PUT", "/nets/dir/one.txt", {**NEW_FILE, "x-ms-content-length": "5"})
    written = {"x-ms-range": "bytes=0-4", "x-ms-write": "update", "x-ms-file-last-write-time": "Now"}
    await dotnet(201, "PUT", "/nets/dir/one.txt?comp=range", written, "12345")
    return "/nets/dir/one.txt"


async def test_copies_inside_the_account(dotnet, file):
    """Begun, done at once, told by the properties; nothing to abort; a source that is missing."""
    copy = {"x-ms-copy-source": f"{dotnet.url}{file}", "x-ms-file-permission-copy-mode": "source"}
    begun, _ = await dotnet(202, "PUT", "/nets/dir/two.txt", copy)
    made, _ = await dotnet(200, "HEAD", "/nets/dir/two.txt")
    abort = {"x-ms-copy-action": "abort"}
    aborted, _ = await dotnet(409, "PUT", f"/nets/dir/two.txt?comp=copy&copyid={begun['x-ms-copy-id']}", abort)
    missing = {"x-ms-copy-source": f"{dotnet.url}/nets/dir/none.txt"}
    refused, _ = await dotnet(404, "PUT", "/nets/dir/three.txt", missing)
    _, text = await dotnet(200, "GET", "/nets/dir/two.txt")

    assert (begun["x-ms-copy-status"], made["x-ms-copy-status"], made["x-ms-copy-progress"]) == (
        "success", "success", "5/5",
    )  # fmt: skip
    assert (aborted["x-ms-error-code"], refused["x-ms-error-code"]) == ("NoPendingCopyOperation", "ResourceNotFound")
    assert text == "12345"


async def test_snapshots(dotnet, file):
    """Made with metadata, listed, read, kept from a share's deletion, deleted."""
    made, _ = await dotnet(201, "PUT", "/nets?restype=share&comp=snapshot", {"x-ms-meta-when": "now"})
    moment = made["x-ms-snapshot"]
    at = f"sharesnapshot={moment.replace(':', '%3A')}"
    written = {"x-ms-range": "bytes=0-4", "x-ms-write": "update"}
    await dotnet(201, "PUT", f"{file}?comp=range", written, "after")
    _, listed = await dotnet(200, "GET", "/?comp=list&include=metadata%2Csnapshots&prefix=nets")
    _, before = await dotnet(200, "GET", f"{file}?{at}")
    await dotnet(200, "GET", f"/nets/dir?restype=directory&comp=list&{at}")
    refused, _ = await dotnet(409, "DELETE", "/nets?restype=share")
    await dotnet(202, "DELETE", f"/nets?restype=share&{at}")
    _, after = await dotnet(200, "GET", file)
    gone, _ = await dotnet(404, "GET", f"{file}?{at}")

    assert moment in [one.text for one in ET.fromstring(listed).iter("Snapshot")]
    assert (before, after) == ("12345", "after")
    assert (refused["x-ms-error-code"], gone["x-ms-error-code"]) == ("ShareHasSnapshots", "ShareNotFound")


async def test_leases_of_a_share_and_a_file(dotnet, file):
    """Acquired, renewed, changed, asked for wrongly, released, broken."""
    share = "/nets?comp=lease&restype=share"
    acquire = {"x-ms-lease-action": "acquire", "x-ms-lease-duration": "15", "x-ms-proposed-lease-id": LEASE}
    held, _ = await dotnet(201, "PUT", share, acquire)
    await dotnet(200, "PUT", share, {"x-ms-lease-action": "renew", "x-ms-lease-id": LEASE})
    refused, _ = await dotnet(412, "DELETE", "/nets?restype=share")
    await dotnet(200, "PUT", share, {"x-ms-lease-action": "release", "x-ms-lease-id": LEASE})
    forever = {**acquire, "x-ms-lease-duration": "-1"}
    await dotnet(201, "PUT", f"{file}?comp=lease", forever)
    other = {"x-ms-lease-id": LEASE.replace("7", "8")}
    wrong, _ = await dotnet(412, "GET", f"{file}?comp=rangelist", other)
    broken, _ = await dotnet(202, "PUT", f"{file}?comp=lease", {"x-ms-lease-action": "break"})

    assert held["x-ms-lease-id"] == LEASE
    assert refused["x-ms-error-code"] == "LeaseIdMissing"
    assert wrong["x-ms-error-code"] == "LeaseIdMismatchWithFileOperation"
    assert broken["x-ms-lease-time"] == "0"


async def test_service_properties_policies_permissions_and_handles(dotnet, file):
    """Written without an XML declaration, and read again."""
    await dotnet(202, "PUT", "/?restype=service&comp=properties", None, PROPERTIES)
    _, service = await dotnet(200, "GET", "/?restype=service&comp=properties")
    await dotnet(200, "PUT", "/nets?restype=share&comp=acl", None, POLICIES)
    _, policies = await dotnet(200, "GET", "/nets?restype=share&comp=acl")
    text = "O:S-1-5-21-1-2-3-4G:S-1-5-21-1-2-3-5D:AI(A;;FA;;;SY)"
    made, _ = await dotnet(201, "PUT", "/nets?restype=share&comp=filepermission", None, f'{{"permission":"{text}"}}')
    key = {"x-ms-file-permission-key": made["x-ms-file-permission-key"]}
    _, permission = await dotnet(200, "GET", "/nets?restype=share&comp=filepermission", key)
    listing = {"x-ms-recursive": "true"}
    _, handles = await dotnet(200, "GET", "/nets/dir?comp=listhandles&maxresults=10", listing)
    close = {"x-ms-handle-id": "*", "x-ms-recursive": "true"}
    closed, _ = await dotnet(200, "PUT", "/nets/dir?comp=forceclosehandles", close)

    assert ET.fromstring(service).findtext("HourMetrics/RetentionPolicy/Days") == "7"
    assert ET.fromstring(policies).findtext("SignedIdentifier/Id") == "read"
    assert re.search(r"D:AI\(A;;FA;;;SY\)", permission)
    assert ET.fromstring(handles).find("Entries") is not None
    assert closed["x-ms-number-of-handles-closed"] == "0"
