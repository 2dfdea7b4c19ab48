"""Whose account: the editor's own over the wire, another program's on the command line; renewed on the way."""

import base64
import json
import os
import ssl
import time
import urllib.parse
import urllib.request

import pytest
from pygls.exceptions import JsonRpcException
from tests.support.azure_account import CLOSED, CONTOSO, NORTHWIND_READABLE, PARTNER, RESEARCH, USER, Azure, contoso
from tests.support.language_client import BACK, editor
from tests.support.road import Road

from ai_toolkit.azure.account_token import read_token
from ai_toolkit.local_cloud import control
from ai_toolkit.local_cloud.faults import FaultInjection

FIRST = "Where should the model run?"
SUBSCRIPTION = "Choose a subscription"


@pytest.fixture
async def azure(tmp_path):
    """The local cloud acting as Azure, and a workspace; nobody is signed in."""
    started = await Azure.start(tmp_path)
    yield started
    await control.stop(started.home)


@pytest.fixture
def workspace(azure, tmp_path):
    folder = tmp_path / "workspace"
    folder.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AZURE_")}
    road = Road(folder, kept | azure.environment | {"NO_COLOR": "1"})
    road.run("init")
    return road


def editor_account(azure, signed_in=True):
    """The editor's own account: it gets its tokens where Azure's are got, and signs in only when it may."""
    state = {"signed_in": signed_in}

    def token(tenant, sign_in):
        state["signed_in"] = state["signed_in"] or sign_in
        if not state["signed_in"]:
            return None
        form = {"grant_type": "password", "username": USER, "password": azure.status.token_file.read_text().strip()}
        url = f"{azure.status.resource_manager_tls}/{tenant or 'organizations'}/oauth2/v2.0/token"
        context = ssl.create_default_context(cafile=azure.status.certificate)
        with urllib.request.urlopen(url, urllib.parse.urlencode(form).encode(), context=context) as answer:
            return json.load(answer)["access_token"]

    return token


async def test_the_editors_account_provisions(azure, workspace):
    """Tokens come from the editor, per tenant, and nobody is asked to sign in; no token is in any log line."""
    azure.knows(contoso(), NORTHWIND_READABLE)
    answers = {
        FIRST: ["azure", "azure"],
        "Choose a tenant": [BACK, CONTOSO],
        SUBSCRIPTION: RESEARCH,
        "Choose a resource group": "+",
        "Name of the new resource group": "from-the-editor",
        "Choose a location": "westus3",
        "Provision as the preview": "provision",
    }
    given = []
    async with editor(dict(workspace.environment), answers, set()) as seen:
        account = editor_account(azure)
        seen.tokens = lambda tenant, sign_in: given.append(account(tenant, sign_in)) or given[-1]
        with FaultInjection(azure.home) as faults:
            put = faults.add("expired-token", port="management", method="PUT", path="/deployments/")
            done = await seen.command("provisionInference", workspace.folder, "p1")
            renewed = faults.hits(put)
    config = json.loads((workspace.folder / "infra/inference.config.json").read_text())

    assert renewed == 1
    assert (config["SUBSCRIPTION_ID"], config["RESOURCE_GROUP_NAME"]) == (RESEARCH, "from-the-editor")
    assert config["ACA_APP_ENDPOINT"] == done["endpoint"]
    assert {request["tenant"] for request in seen.token_requests} >= {None, CONTOSO}
    assert not any(request["signIn"] for request in seen.token_requests)
    assert all(
        request["scopes"] == [f"{azure.status.resource_manager_tls}/.default"] for request in seen.token_requests
    )
    assert any(f"Signed in as {USER} (VS Code)" in line for line in seen.log)
    assert not [line for line in seen.log for token in given if token in line]


async def test_a_person_is_asked_to_sign_in_only_after_choosing_it(azure, workspace):
    """Before, the pick says that nobody is signed in; after, it shows what the account sees."""
    answers = {FIRST: "azure", "Sign in to choose": "sign-in", SUBSCRIPTION: None}
    async with editor(dict(workspace.environment), answers, set()) as seen:
        seen.tokens = editor_account(azure, signed_in=False)
        with pytest.raises(JsonRpcException):
            await seen.command("provisionInference", workspace.folder, "p1")
    asked = [request["signIn"] for request in seen.token_requests]
    before, after = seen.asked[1]["items"], seen.asked[2]["items"]

    assert asked.count(True) == 1
    assert asked[0] is False
    assert before[0]["label"] == "Not signed in"
    assert "VS Code: no Microsoft account is signed in" in before[0]["description"]
    assert [item["id"] for item in after] == [RESEARCH, CLOSED, "sign-in"]
    assert f"Signed in as {USER}" in seen.asked[2]["placeholder"]


async def test_a_setting_chooses_another_account_than_the_editors(azure, workspace):
    """`aiToolkit.credential` names the Azure CLI: the editor is not asked for a token."""
    azure.install_cli()
    async with editor(dict(workspace.environment), {FIRST: "azure", SUBSCRIPTION: None}, set()) as seen:
        seen.settings["aiToolkit.credential"] = "azure-cli"
        with pytest.raises(JsonRpcException):
            await seen.command("provisionInference", workspace.folder, "p1")

    assert seen.token_requests == []
    assert f"Signed in as {USER} (Azure CLI)" in seen.asked[-1]["placeholder"]
    assert [item["id"] for item in seen.asked[-1]["items"]] == [RESEARCH, CLOSED]


def test_the_command_line_provisions_and_later_commands_find_the_tenant(azure, workspace):
    """`aitk provision` and `aitk status` with the Azure CLI's account, in a tenant that is not its home."""
    azure.install_cli()
    azure.knows(contoso(), NORTHWIND_READABLE)
    words = ("--subscription", PARTNER, "--resource-group", "models", "--location", "westus3", "--yes")
    done = workspace.json("provision", *words, "--credential", "azure-cli")
    status = workspace.json("status")

    assert done["endpoint"].startswith("http://127.0.0.1:")
    assert status.get("endpoint") == done["endpoint"]


def test_a_credential_that_is_not_signed_in_is_named(azure, workspace):
    """No traceback, no browser: the sentence names the credential, and the way on."""
    done = workspace.run("provision", "--subscription", RESEARCH, "--credential", "azd", check=False)

    assert done.returncode == 1
    assert "Azure Developer CLI" in done.stderr
    assert "azd auth login" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_tokens_claims_are_read():
    """Expiry, tenant and account; anything else than a token with an expiry is refused."""
    now = int(time.time())
    body = base64.urlsafe_b64encode(json.dumps({"exp": now, "tid": CONTOSO, "upn": USER}).encode()).decode().rstrip("=")
    found = read_token(f"e30.{body}.sig")

    assert (found.expires_on, found.tenant, found.account) == (now, CONTOSO, USER)
    for wrong in ("", "opaque", "e30.e30.sig", "e30.%%%.sig"):
        with pytest.raises(ValueError, match="no JSON Web Token"):
            read_token(wrong)
