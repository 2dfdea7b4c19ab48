"""The local cloud acting as Azure: https, an account with several tenants, and an Azure CLI that is signed in."""

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ai_toolkit.local_cloud import control

USER = "ada@contoso.example"
CONTOSO = "11111111-1111-4111-8111-111111111111"
FABRIKAM = "22222222-2222-4222-8222-222222222222"
NORTHWIND = "33333333-3333-4333-8333-333333333333"
RESEARCH = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
CLOSED = "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb"
PARTNER = "cccccccc-cccc-4ccc-8ccc-cccccccccccc"
MFA = "AADSTS50076: You must use multi-factor authentication."

# Speaks the arguments of `az account get-access-token` that azure-identity uses.
AZURE_CLI = """\
#!{python} -S
import json, os, ssl, sys, time, urllib.error, urllib.parse, urllib.request
with open({calls!r}, "a") as calls:
    calls.write(" ".join(sys.argv[1:]) + "\\n")
named = dict(zip(sys.argv[1:], sys.argv[2:])).get("--tenant", "organizations")
form = {{"grant_type": "password", "username": {user!r}, "password": open({token!r}).read().strip()}}
request = urllib.request.Request({url!r} + "/" + named + "/oauth2/v2.0/token", urllib.parse.urlencode(form).encode())
opener = urllib.request.build_opener(
    urllib.request.ProxyHandler({{}}),
    urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile={certificate!r})))
try:
    found = json.load(opener.open(request))
except urllib.error.HTTPError as error:
    sys.exit("ERROR: " + json.load(error)["error_description"])
print(json.dumps({{"accessToken": found["access_token"], "expires_on": int(time.time()) + found["expires_in"]}}))
"""

# A person who fills in the sign-in page's form, and whose browser posts the form that comes back.
BROWSER = """\
#!{python} -S
import html, re, ssl, sys, urllib.parse, urllib.request
page = sys.argv[1]
with open({opened!r}, "a") as opened:
    opened.write(page + "\\n")
opener = urllib.request.build_opener(
    urllib.request.ProxyHandler({{}}),
    urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile={certificate!r})))
def send(url, fields):
    return opener.open(url, urllib.parse.urlencode(fields).encode()).read().decode()
if {denies}:
    asked = urllib.parse.parse_qs(urllib.parse.urlsplit(page).query)
    send(asked["redirect_uri"][0], {{"error": "access_denied", "error_description": "No.", "state": asked["state"][0]}})
    sys.exit()
answer = send(page, {{"username": {user!r}, "password": open({token!r}).read().strip()}})
action = html.unescape(re.search('action="([^"]*)"', answer)[1])
send(action, {{name: html.unescape(value) for name, value in re.findall('name="([^"]*)" value="([^"]*)"', answer)}})
"""


def contoso(*subscriptions: dict[str, str]) -> dict[str, Any]:
    given = subscriptions or (
        {"id": RESEARCH, "name": "Research"},
        {"id": CLOSED, "name": "Closed", "state": "Disabled"},
    )
    return {"id": CONTOSO, "name": "Contoso", "domain": "contoso.example", "subscriptions": list(given)}


FABRIKAM_REFUSES = {"id": FABRIKAM, "name": "Fabrikam", "refuses": MFA}
NORTHWIND_READABLE = {
    "id": NORTHWIND,
    "name": "Northwind",
    "subscriptions": [{"id": PARTNER, "name": "Partner"}],
}


@dataclass
class Azure:
    """A running one. `environment` is what a command needs to take it for Azure."""

    home: Path
    status: control.LocalCloudStatus
    programs: Path
    environment: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.environment = {
            "AITK_LOCAL_CLOUD_HOME": str(self.home),
            "AITK_RESOURCE_MANAGER": str(self.status.resource_manager_tls),
            "REQUESTS_CA_BUNDLE": str(self.status.certificate),
            "PATH": f"{self.programs}:/usr/bin:/bin",
            "HOME": str(self.programs.parent),
        }

    @classmethod
    async def start(cls, folder: Path) -> "Azure":
        home, programs = folder / "azure", folder / "programs"
        programs.mkdir()
        started = cls(home, await control.start(home, tls=True), programs)
        started.knows(contoso())
        return started

    def knows(self, *tenants: dict[str, Any], **more: Any) -> None:
        """The account's tenants from now on."""
        document = {"user": USER, "tenants": list(tenants), **more}
        (self.home / "directory.json").write_text(json.dumps(document))

    @property
    def cli_calls(self) -> list[str]:
        calls = self.programs / "calls"
        return calls.read_text().splitlines() if calls.exists() else []

    def install_cli(self) -> None:
        """An Azure CLI that is signed in to this cloud."""
        program = self.programs / "az"
        program.write_text(
            AZURE_CLI.format(
                python=sys.executable,
                calls=str(self.programs / "calls"),
                user=USER,
                token=str(self.status.token_file),
                url=self.status.resource_manager_tls,
                certificate=str(self.status.certificate),
            )
        )
        program.chmod(0o755)

    def install_browser(self, *, denies: bool = False) -> str:
        """Command line of a program that signs the user in on the page it is started with, or cancels there."""
        program = self.programs / "browser"
        program.write_text(
            BROWSER.format(
                python=sys.executable,
                denies=denies,
                opened=str(self.programs / "opened"),
                user=USER,
                token=str(self.status.token_file),
                certificate=str(self.status.certificate),
            )
        )
        program.chmod(0o755)
        return f"{program} %s &"  # in the background, as the webbrowser module takes it

    @property
    def opened(self) -> list[str]:
        """The pages that the browser was started with."""
        pages = self.programs / "opened"
        return pages.read_text().splitlines() if pages.exists() else []
