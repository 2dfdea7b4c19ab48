"""The generated part of FIDELITY.md: what each kind of answer is known from, and in what it differs from Azure's."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path

from tests.support.recordings import Exchange

from ai_toolkit.local_cloud.files import service

PAGE = Path(__file__).parents[2] / "server" / "ai_toolkit" / "local_cloud" / "FIDELITY.md"
BEGIN, END = "<!-- seen: written by tests/azure_recordings, compared by its test -->", "<!-- /seen -->"
GROUP = "/subscriptions/{s}/resourceGroups/{g}/providers/"
TYPED = (
    "Microsoft.App/containerApps/{}",
    "Microsoft.App/jobs/{}",
    "Microsoft.App/managedEnvironments/{}",
    "Microsoft.App/managedEnvironments/{}/storages/{}",
    "Microsoft.OperationalInsights/workspaces/{}",
    "Microsoft.Storage/storageAccounts/{}",
    "Microsoft.Storage/storageAccounts/{}/fileServices/default",
    "Microsoft.Storage/storageAccounts/{}/fileServices/default/shares/{}",
)
# Why a difference stays; the first whose pattern is found in it (after its kind) counts.
ANOTHER_STATE = "the recorded one was in a state that cannot be made here"
REASONS: Mapping[str, str] = {
    r"PATCH .*storageAccounts/\{\}: status 400": "the recorder left out the request's body",
    r"containerApps/\{\}: status 501": "an add-on service, which is not emulated, as the answer says",
    r"managedEnvironments/\{\}: status 501": "a domain of one's own, which is not emulated, as the answer says",
    r"(dapr|keda)Configuration\.version": "the platform's versions of that day",
    r"imageType|patchingMode": "only the previews of 2024 answer it, and nothing here asks those",
    r"jobs/\{\}: no .*ephemeralStorage": "empty in the previews of 2024, and not told by other versions",
    r"template\.(scale|revisionSuffix)|maxInactiveRevisions": "Azure's first answer comes before it fills this in",
    r"clientCertificateMode|stickySessions": "Azure told it of one app and not of another in the same week",
    r"configuration\.runtime": "an empty object, which asks for nothing",
    r"workloadProfileName is spelled": "Azure keeps the case of the app's request, here it is the environment's",
    r"(apacityReservation|properties\.source|id is spelled)": "versions before 2021 of workspaces answer so",
    r"workspaces/\{\}: properties\.(sku|workspaceCapping|retentionInDays)": ANOTHER_STATE,
    r"authorizations": "of roles of Azure's own applications, which are none here",
    r"resourceTypes\[\]\.(capabilities|defaultApiVersion)": "the newest version that is known is the default one here",
    r"managedByTenants|authorizationSource|\.state is": ANOTHER_STATE,
    r"(/subscriptions(/\{s\})?|/tenants): ": "of the recorded subscription or tenant",
    r"workspaces: value\[\]\.location": "workspaces of earlier years are told with the region's display name",
    r"pairedRegion|physicalLocation|availabilityZone": "of Azure's data centres; nothing here reads it",
    r"resources: no value\[\]\.(sku|identity)": "of a web app, which is not emulated",
    r"primaryEndpoints": "an account has files alone here",
    r"allowBlobPublicAccess": "answers of 2024 say false, of 2025 true; there are no blobs here",
    r"virtualNetworkRules\[\]\.state": "there are no virtual networks here",
    r"shareUsageBytes": "told by the share itself (comp=stats)",
    r"Retention|fileServices: value\[\]\.sku": ANOTHER_STATE,
}


@dataclass
class Seen:
    """What the replayed exchanges of one kind showed."""

    last: str = ""
    count: int = 0
    differences: set[str] = field(default_factory=set)

    def add(self, exchange: Exchange, found: list[str]) -> None:
        self.count += 1
        self.differences |= set(found)
        if recorded := exchange.line.get("recorded"):
            self.last = max(self.last, f"{parsedate_to_datetime(recorded):%Y-%m-%d}")


def section(seen: Mapping[str, Seen]) -> str:
    """The part of the page between its two marks."""
    schema = [f"{method} {GROUP}{one}" for one in TYPED for method in ("GET", "PUT")]
    known = {kind.lower() for kind in seen}
    lines = {kind: f"seen from Azure on {one.last}" if one.last else "seen from Azure" for kind, one in seen.items()}
    lines |= {kind: "published schema" for kind in schema if kind.lower() not in known}
    lines |= {kind: "documentation only" for kind in _file_kinds() if kind not in lines}
    text = [
        BEGIN,
        f"{count(seen)} kinds of answers were seen from Azure. Each recorded request of these kinds is asked of the",
        "local cloud, and status, headers, error code and names of the answers are compared.",
        "",
        "| kind | known from |",
        "|---|---|",
        *(f"| `{kind}` | {lines[kind]} |" for kind in sorted(lines, key=str.lower)),
        "",
        "In these the local cloud differs from what was seen:",
        "",
    ]
    for kind in sorted(seen, key=str.lower):
        by_reason: dict[str, list[str]] = {}
        for one in sorted(seen[kind].differences):
            by_reason.setdefault(why(f"{kind}: {one}"), []).append(one)
        text += [f"- `{kind}`: {', '.join(found)} ({reason})" for reason, found in by_reason.items()]
    return "\n".join([*text, END])


def why(difference: str) -> str:
    """The reason of a difference; KeyError for one that has none: mend it, or say why it stays."""
    for pattern, reason in REASONS.items():
        if re.search(pattern, difference):
            return reason
    raise KeyError(difference)


def count(seen: Mapping[str, Seen]) -> int:
    """How many kinds of answers were seen from Azure."""
    return len(seen)


def _file_kinds() -> list[str]:
    tables = {"service": service.SERVICE, "share": service.SHARE_HANDLERS, "directory": service.DIRECTORY,
              "file": {**service.FILE, **service.HANDLES}}  # fmt: skip
    return [f"files {method} {what} {comp}".strip() for what, table in tables.items() for method, _kind, comp in table]
