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
# Why a difference stays; the first whose pattern is found in it counts.
SAME = "nothing of it changes here, which both answer with 200"
AGE = "answers of other years differ in it"
GIVEN = "the recorded one had it, or another api-version has it"
SHORT = "nothing here asks for it"
CASE = "Azure reads names without regard to case and lets some unknown ones pass; here they are refused"
REASONS: Mapping[str, str] = {
    r"status 200 where Azure answers 202": SAME,
    r"status 501": "not emulated, as the answer says",
    r"status 400|code InvalidRequestContent": CASE,
    r"authorizations|managedByTenants|pairedRegion|physicalLocation|availabilityZone": SHORT,
    r"sku\.(capacity|family|size)": SHORT,
    r"primaryEndpoints|encryption\.services|privateEndpoint": "an account has files alone here",
    r"allowCrossTenant|largeFileShares|Retention|virtualNetworkRules": GIVEN,
    r"apacityReservation|properties\.source": AGE,
    r"shareUsageBytes": "told by the share itself (comp=stats)",
    r"no (message|reason)$": "the recorded name was taken",
    r"usage$|workloadProfile": GIVEN,
    r"no (value\[\]\.)?(id|identity|kind|location|name|properties|sku|systemData|tags|type|etag|value)\b": GIVEN,
    r"configuration|template|identity|runningStatus|patchingMode|delegated|outbound|customDomain": GIVEN,
    r"appInsights|appLogs|dapr|infrastructure|keda|openTelemetry|peer|vnet|eventStream|zoneRedundant": GIVEN,
    r"cors|protocolSettings": GIVEN,
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
        if re.search(pattern, difference.partition(": ")[2]):
            return reason
    raise KeyError(difference)


def count(seen: Mapping[str, Seen]) -> int:
    """How many kinds of answers were seen from Azure."""
    return len(seen)


def _file_kinds() -> list[str]:
    tables = {"service": service.SERVICE, "share": service.SHARE_HANDLERS, "directory": service.DIRECTORY,
              "file": {**service.FILE, **service.HANDLES}}  # fmt: skip
    return [f"files {method} {what} {comp}".strip() for what, table in tables.items() for method, _kind, comp in table]
