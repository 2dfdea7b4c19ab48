"""Clients that Microsoft wrote, pointed at the local cloud: scripts/judge runs them (installed under .cache/judges)."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.support.local_cloud import WEB_APP
from tests.support.local_cloud.engine import folder, needs_engine
from tests.support.road import Road, environment

from ai_toolkit.local_cloud import control
from ai_toolkit.local_cloud.faults import FaultInjection

ROOT = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("AITK_JUDGES_FOLDER", ROOT / ".cache" / "judges"))
TENANT = "00000000-0000-0000-0000-000000000000"
PACKAGES = ("@azure/storage-file-share", "@azure/arm-appcontainers")

pytestmark = [
    pytest.mark.skipif(
        os.environ.get("AITK_JUDGES") != "1",
        reason="foreign clients: scripts/judge azure-cli, scripts/judge javascript-sdks",
    ),
    pytest.mark.timeout(900),  # the first run installs several hundred megabytes
    pytest.mark.filterwarnings("default::ResourceWarning"),
]


@pytest.fixture(scope="module", autouse=True)
def share_of_time(request):
    """Says how long the judges took."""
    began = time.monotonic()
    yield
    capture = request.config.pluginmanager.get_plugin("capturemanager")
    with capture.global_and_fixture_disabled():
        sys.stderr.write(f"\nforeign clients judged the local cloud for {time.monotonic() - began:.0f} s\n")


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, **options)
    assert done.returncode == 0, f"{' '.join(map(str, command))[:400]}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def secure_cloud(tmp_path_factory):
    """A local cloud with https."""
    home = tmp_path_factory.mktemp("judged")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AITK_REPLICA_PYTHON", sys.executable)
        yield asyncio.run(control.start(home, tls=True))
    asyncio.run(control.stop(home))


@pytest.fixture(scope="module")
def az(secure_cloud, tmp_path_factory):
    """Runs the Azure CLI, signed in to the local cloud as a service principal; gives its JSON."""
    environment = FOLDER / "azure-cli"
    if not (environment / "bin" / "az").exists():
        run(sys.executable, "-m", "venv", environment)
        run(environment / "bin" / "pip", "install", "--quiet", "azure-cli")
    variables = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path_factory.mktemp("home")),
        "AZURE_CONFIG_DIR": str(tmp_path_factory.mktemp("azure")),
        "REQUESTS_CA_BUNDLE": str(secure_cloud.certificate),
        "AZURE_CORE_INSTANCE_DISCOVERY": "false",
        "AZURE_CORE_COLLECT_TELEMETRY": "no",
        "AZURE_CORE_OUTPUT": "json",
        "NO_PROXY": "localhost,127.0.0.1",
    }

    def ask(*words):
        text = run(environment / "bin" / "az", *words, "--only-show-errors", env=variables)
        return json.loads(text) if text.strip() else None

    url = secure_cloud.resource_manager_tls.replace("127.0.0.1", "localhost")
    ask("cloud", "register", "--name", "local", "--endpoint-resource-manager", url)
    ask("cloud", "set", "--name", "local")
    secret = secure_cloud.token_file.read_text().strip()
    # As one word: a token may begin with a hyphen.
    ask("login", "--service-principal", "--username", "local", f"--password={secret}", "--tenant", TENANT)
    return ask


@pytest.fixture(scope="module")
def deployed(az):
    """The outputs of the test template, deployed by the Azure CLI, which validated and previewed it before."""
    template = str(Path(__file__).parent / "template.json")
    script = f"script=exec python3 {WEB_APP}"
    words = ("--resource-group", "judged", "--name", "one", "--template-file", template)
    parameters = ("--parameters", script, "gpu=false")
    az("group", "create", "--name", "judged", "--location", "westus3")
    validated = az("deployment", "group", "validate", *words, *parameters)
    preview = az("deployment", "group", "what-if", *words, *parameters, "--no-pretty-print")
    made = az("deployment", "group", "create", *words, *parameters)

    assert validated["properties"]["provisioningState"] == "Succeeded"
    assert {change["changeType"] for change in preview["changes"]} == {"Create"}
    return {name: output["value"] for name, output in made["properties"]["outputs"].items()}


OUR_TEMPLATE = str(ROOT / "infra" / "provision" / "inference.json")


def test_the_azure_cli_deploys_our_template(az):
    """The product's own template is valid, its preview creates six resources, and all of them are made."""
    words = ("--resource-group", "own", "--name", "own", "--template-file", OUR_TEMPLATE)
    az("group", "create", "--name", "own", "--location", "westus3")
    validated = az("deployment", "group", "validate", *words)
    preview = az("deployment", "group", "what-if", *words, "--no-pretty-print")
    made = az("deployment", "group", "create", *words)
    groups = [group["name"] for group in az("group", "list")]

    assert validated["error"] is None
    assert len(preview["changes"]) == 6
    assert made["properties"]["provisioningState"] == "Succeeded"
    assert made["properties"]["outputs"]["RESOURCE_GROUP_NAME"]["value"] == "own"
    assert "own" in groups


def test_provisioned_by_hand_as_the_readme_says(az, secure_cloud, tmp_path):
    """`az deployment group create` with our template and parameters file, the six names by hand, then aitk."""
    aitk = (sys.executable, "-m", "ai_toolkit.cli.commands")
    variables = {**os.environ, "AITK_LOCAL_CLOUD_HOME": str(secure_cloud.home)}
    run(*aitk, "init", cwd=tmp_path, env=variables)
    provision = tmp_path / "infra" / "provision"
    words = (
        *("--resource-group", "by-hand", "--name", "by-hand", "--template-file", str(provision / "inference.json")),
        *("--parameters", str(provision / "inference.parameters.json"), "--parameters", "apiKey=my-own-key"),
    )
    az("group", "create", "--name", "by-hand", "--location", "westus3")
    made = az("deployment", "group", "create", *words)
    preview = az("deployment", "group", "what-if", *words, "--no-pretty-print")
    again = az("deployment", "group", "create", *words)
    config = {name.upper(): output["value"] for name, output in made["properties"]["outputs"].items()}
    config["ACA_APP_ENDPOINT"] = f"http://{config['ACA_APP_ENDPOINT']}"
    (tmp_path / "infra" / "inference.config.json").write_text(json.dumps(config))
    status = json.loads(run(*aitk, "status", "--json", cwd=tmp_path, env=variables))
    planned = json.loads(run(*aitk, "deploy", "--dry-run", "--json", cwd=tmp_path, env=variables))

    assert {one["resourceId"].split("/")[-2] for one in preview["changes"] if one["changeType"] != "NoChange"} <= {
        "containerApps"
    }
    assert again["properties"]["provisioningState"] == "Succeeded"
    assert status["provisioned"]
    assert run(*aitk, "key", cwd=tmp_path, env=variables).strip() == "my-own-key"
    assert "inference/start.py" in json.dumps(planned)


SIDECAR = {"name": "sidecar", "image": "busybox", "command": ["/bin/sh", "-c", "exec tail -f /dev/null"]}


def with_parts_of_their_own():
    """The test template as people change it: a module, a sidecar, a role assignment, tags with expressions as keys."""
    template = json.loads((Path(__file__).parent / "template.json").read_text())
    app = next(one for one in template["resources"] if one["type"] == "Microsoft.App/containerApps")
    app["tags"] = {"[concat('team-', toLower('ML'))]": "yes"}
    app["properties"]["template"]["containers"].append(SIDECAR)
    identity = "Microsoft.ManagedIdentity/userAssignedIdentities"
    role = {
        "$schema": template["$schema"],
        "contentVersion": "1.0.0.0",
        "parameters": {"principal": {"type": "string"}},
        "resources": [
            {
                "type": "Microsoft.Authorization/roleAssignments",
                "apiVersion": "2022-04-01",
                "name": "[guid(parameters('principal'))]",
                "properties": {
                    "roleDefinitionId": "[subscriptionResourceId('Microsoft.Authorization/roleDefinitions', 'reader')]",
                    "principalId": "[parameters('principal')]",
                },
            }
        ],
    }
    module = {
        "mode": "Incremental",
        "expressionEvaluationOptions": {"scope": "inner"},
        "parameters": {"principal": {"value": f"[reference(resourceId('{identity}', 'puller')).principalId]"}},
        "template": role,
    }
    template["resources"] += [
        {"type": identity, "apiVersion": "2023-01-31", "name": "puller", "location": "westus3"},
        {
            "type": "Microsoft.Resources/deployments",
            "apiVersion": "2025-04-01",
            "name": "role",
            "properties": module,
            "dependsOn": ["puller"],
        },
    ]
    return template


def test_the_azure_cli_deploys_a_template_that_somebody_changed(az, tmp_path):
    """Previewed and made; the module's deployment has an operation of its own, and the app answers with its tags."""
    file = tmp_path / "changed.json"
    file.write_text(json.dumps(with_parts_of_their_own()))
    words = ("--resource-group", "changed", "--name", "changed", "--template-file", str(file))
    parameters = ("--parameters", f"script=exec python3 {WEB_APP}", "gpu=false")
    az("group", "create", "--name", "changed", "--location", "westus3")
    preview = az("deployment", "group", "what-if", *words, *parameters, "--no-pretty-print")
    made = az("deployment", "group", "create", *words, *parameters)
    operations = az("deployment", "operation", "group", "list", "--resource-group", "changed", "--name", "role")
    app = az("containerapp", "list", "--resource-group", "changed")[0]

    assert {one["changeType"] for one in preview["changes"]} == {"Create", "Unsupported"}
    assert made["properties"]["provisioningState"] == "Succeeded"
    assert operations[0]["properties"]["targetResource"]["resourceType"] == "Microsoft.Authorization/roleAssignments"
    assert app["tags"] == {"team-ml": "yes"}


def test_the_azure_cli_deploys_to_the_subscription(az, tmp_path):
    """`az deployment sub create`: a group of its own, and the changed template as a module in it."""
    inner = with_parts_of_their_own()
    values = {"script": f"exec python3 {WEB_APP}", "gpu": False, "apiKey": "the-key"}
    module = {
        "mode": "Incremental",
        "expressionEvaluationOptions": {"scope": "inner"},
        "parameters": {name: {"value": value} for name, value in values.items()},
        "template": inner,
    }
    file = tmp_path / "subscription.json"
    file.write_text(json.dumps({
        "$schema": "https://schema.management.azure.com/schemas/2018-05-01/subscriptionDeploymentTemplate.json#",
        "contentVersion": "1.0.0.0",
        "resources": [
            {"type": "Microsoft.Resources/resourceGroups", "apiVersion": "2024-11-01", "name": "of-subscription",
             "location": "[deployment().location]"},
            {"type": "Microsoft.Resources/deployments", "apiVersion": "2025-04-01", "name": "inside",
             "resourceGroup": "of-subscription", "properties": module, "dependsOn": ["of-subscription"]},
        ],
    }))  # fmt: skip
    words = ("--name", "whole", "--location", "westus3", "--template-file", str(file))
    preview = az("deployment", "sub", "what-if", *words, "--no-pretty-print")
    made = az("deployment", "sub", "create", *words)
    resources = az("resource", "list", "--resource-group", "of-subscription")

    assert "Microsoft.Resources/resourceGroups" in {one["after"]["type"] for one in preview["changes"]}
    assert made["properties"]["provisioningState"] == "Succeeded"
    assert "Microsoft.App/containerApps" in {one["type"] for one in resources}


QUESTION = "What is the capital of Japan?"  # the sample's adapter answers as a pirate does


@pytest.fixture(scope="module")
def tuned(az, secure_cloud, tmp_path_factory):
    """A group as Microsoft's fine-tuning leaves it, made by the Azure CLI, with an adapter on its share alone.

    Gives the workspace of who tuned, the group's resources by kind, and their share's account.
    """
    case, group = folder() / "cases" / "fine-tuning-job", ("--resource-group", "tuned")
    az("group", "create", "--name", "tuned", "--location", "westus3")
    made = az("deployment", "group", "create", *group, "--name", "tuning", "--template-file", str(case / "main.json"),
              "--parameters", f"@{case / 'parameters.json'}")  # fmt: skip
    there = {one["type"].split("/")[-1]: one for one in az("resource", "list", *group)}
    outputs = {name: output["value"] for name, output in made["properties"]["outputs"].items()}
    road = Road(tmp_path_factory.mktemp("tuned") / "workspace", environment(secure_cloud.home))
    road.folder.mkdir()
    road.run("init", "--sample")
    account = there["storageAccounts"]["name"]
    shutil.move(road.folder / "models", secure_cloud.home / "shares" / account / outputs["share"] / "models")
    names = {
        "SUBSCRIPTION_ID": TENANT, "RESOURCE_GROUP_NAME": "tuned", "STORAGE_ACCOUNT_NAME": account,
        "FILE_SHARE_NAME": outputs["share"], "ACA_JOB_NAME": outputs["job"],
    }  # fmt: skip
    (road.folder / "infra" / "finetuning.config.json").write_text(json.dumps(names))
    return road, there


def provisioned_and_asked(road):
    """What Provision did, and what the app says after Deploy."""
    road.run("provision", "--local", "--resource-group", "tuned", "--yes")
    road.run("deploy", "--yes")
    return road.run("chat", QUESTION).stdout


@needs_engine
def test_provision_and_deploy_beside_what_fine_tuning_left(az, tuned):
    """The app is the only new resource, the share is fine-tuning's, and the answer is the adapter's."""
    road, before = tuned
    given = (
        f"storageAccountName={before['storageAccounts']['name']}", "fileShareName=work",
        f"acaEnvironmentName={before['managedEnvironments']['name']}", "acaEnvironmentStorageName=work",
        f"acaLogAnalyticsName={before['workspaces']['name']}", "workloadProfileName=a100",
        "workloadProfileType=NC24-A100",
    )  # fmt: skip
    group = ("--resource-group", "tuned")
    preview = az("deployment", "group", "what-if", *group, "--name", "inference", "--template-file", OUR_TEMPLATE,
                 "--parameters", *given, "--no-pretty-print")  # fmt: skip
    answer = provisioned_and_asked(road)
    config = json.loads((road.folder / "infra" / "inference.config.json").read_text())
    added = {one["id"] for one in az("resource", "list", *group)} - {one["id"] for one in before.values()}

    assert [one["resourceId"].split("/")[-2] for one in preview["changes"] if one["changeType"] == "Create"] == [
        "containerApps"
    ]
    assert [one.split("/")[-2] for one in added] == ["containerapps"]  # as Azure spells it in ids
    assert (config["STORAGE_ACCOUNT_NAME"], config["FILE_SHARE_NAME"]) == (before["storageAccounts"]["name"], "work")
    assert "Ahoy" in answer


def our_template_with_more():
    """Ours as somebody extended it: an identity, a module that assigns a role to it, a sidecar, tags of their own."""
    template = json.loads(Path(OUR_TEMPLATE).read_text())
    theirs = with_parts_of_their_own()["resources"]
    identity, role = (next(one for one in theirs if one["name"] == name) for name in ("puller", "role"))
    template["resources"] |= {"puller": identity, "role": role}
    app = template["resources"]["app"]
    app["tags"] = {"ai-toolkit": "inference", "[concat('team-', toLower('ML'))]": "yes"}
    app["properties"]["template"]["containers"].append(SIDECAR)
    return template


@needs_engine
def test_provision_and_deploy_a_template_with_more(az, tuned, tmp_path):
    """A module, a role assignment, a sidecar and tags come through; the app keeps its share and its answer."""
    road, _before = tuned
    compiler = tmp_path / "bicep"
    compiler.write_text(f"#!{sys.executable}\nprint(open({str(tmp_path / 'compiled.json')!r}).read())\n")
    compiler.chmod(0o755)
    (tmp_path / "compiled.json").write_text(json.dumps(our_template_with_more()))
    with (road.folder / "infra" / "provision" / "inference.bicep").open("a") as written:
        written.write("// more of it\n")
    answer = provisioned_and_asked(Road(road.folder, {**road.environment, "AITK_BICEP": str(compiler)}))
    resources = az("resource", "list", "--resource-group", "tuned")
    operations = az("deployment", "operation", "group", "list", "--resource-group", "tuned", "--name", "role")
    app = az("containerapp", "list", "--resource-group", "tuned")[0]

    assert "puller" in {one["name"] for one in resources}
    assert operations[0]["properties"]["targetResource"]["resourceType"] == "Microsoft.Authorization/roleAssignments"
    assert app["tags"] == {"ai-toolkit": "inference", "team-ml": "yes"}
    assert [one["name"] for one in app["properties"]["template"]["containers"]] == ["inference", "sidecar"]
    assert "Ahoy" in answer


def test_the_azure_cli_cancels_our_deployment(az, secure_cloud):
    """A deployment whose container app hangs is Canceled; what was done before stays."""
    group = ("--resource-group", "cancelled")
    az("group", "create", "--name", "cancelled", "--location", "westus3")
    with FaultInjection(secure_cloud.home) as faults:
        faults.add("resource-hangs", path="/containerApps/")
        az("deployment", "group", "create", *group, "--name", "long", "--template-file", OUR_TEMPLATE, "--no-wait")
        az("deployment", "group", "cancel", *group, "--name", "long")
    state = az("deployment", "group", "show", *group, "--name", "long")["properties"]["provisioningState"]

    assert state == "Canceled"


def test_the_azure_cli_works_with_an_app(az, deployed):
    """Show, restart, replicas, logs, update, stop and delete.

    The CLI's core has no `containerapp stop`: it comes with an extension that no package registry holds.
    So the request that the extension sends is sent by `az rest`.
    """
    app = ("--resource-group", "judged", "--name", deployed["ACA_APP_NAME"])
    shown = az("containerapp", "show", *app)
    revision = shown["properties"]["latestRevisionName"]
    listed = az("containerapp", "revision", "list", *app)
    restarted = az("containerapp", "revision", "restart", *app, "--revision", revision)
    replicas = az("containerapp", "replica", "list", *app, "--revision", revision)
    logs = az("containerapp", "logs", "show", *app, "--tail", "1")
    updated = az("containerapp", "update", *app, "--set-env-vars", "COLOUR=red")
    az("rest", "--method", "post", "--url", f"{shown['id']}/stop?api-version=2025-07-01")
    az("containerapp", "delete", *app, "--yes")
    left = az("containerapp", "list", "--resource-group", "judged")

    assert [one["name"] for one in listed] == [revision]
    assert restarted == "Restarted"
    assert len(replicas) == 1
    assert logs["Log"] == "the app starts"
    assert updated["properties"]["latestRevisionName"] != revision
    assert left == []


def test_the_azure_cli_works_with_files(az, deployed, tmp_path):
    """Share create, file upload, upload-batch, list, download and delete."""
    account = ("--resource-group", "judged", "--account-name", deployed["STORAGE_ACCOUNT_NAME"])
    key = az("storage", "account", "keys", "list", *account)[0]["value"]
    endpoint = az(
        "storage", "account", "show", "--resource-group", "judged", "--name", deployed["STORAGE_ACCOUNT_NAME"]
    )["primaryEndpoints"]["file"]
    secret = (
        f"DefaultEndpointsProtocol=http;AccountName={deployed['STORAGE_ACCOUNT_NAME']};AccountKey={key};"
        f"FileEndpoint={endpoint}"
    )
    connection = ("--connection-string", secret)
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "a.txt").write_text("one")
    (source / "deep" / "b.txt").write_text("two")
    az("storage", "share", "create", "--name", "files", *connection)
    az("storage", "file", "upload", "--share-name", "files", "--source", str(source / "a.txt"), *connection)
    az("storage", "file", "upload-batch", "--destination", "files", "--source", str(source), *connection)
    listed = az("storage", "file", "list", "--share-name", "files", *connection)
    az("storage", "file", "download", "--share-name", "files", "--path", "deep/b.txt", "--dest",
       str(tmp_path / "b.txt"), *connection)  # fmt: skip
    az("storage", "file", "delete", "--share-name", "files", "--path", "a.txt", *connection)
    left = az("storage", "file", "list", "--share-name", "files", *connection)

    assert {one["name"] for one in listed} == {"a.txt", "deep"}
    assert (tmp_path / "b.txt").read_text() == "two"
    assert {one["name"] for one in left} == {"deep"}


NODE = """
const { ShareServiceClient, StorageSharedKeyCredential } = require("@azure/storage-file-share");
const { ContainerAppsAPIClient } = require("@azure/arm-appcontainers");
const given = JSON.parse(process.argv[2]);
const bearer = { getToken: async () => ({ token: given.token, expiresOnTimestamp: Date.now() + 3600e3 }) };

async function main() {
  const service = new ShareServiceClient(
    given.files, new StorageSharedKeyCredential(given.account, given.key));
  const share = service.getShareClient("node");
  await share.create();
  const file = share.rootDirectoryClient.getFileClient("hello.txt");
  const content = Buffer.from("hello from node");
  await file.uploadData(content);
  const names = [];
  for await (const entry of share.rootDirectoryClient.listFilesAndDirectories()) names.push(entry.name);
  const text = (await file.downloadToBuffer()).toString();
  await file.delete();
  await share.delete();
  const apps = new ContainerAppsAPIClient(bearer, given.subscription, { endpoint: given.manager });
  const app = await apps.containerApps.get(given.group, given.app);
  const revision = app.latestRevisionName ?? app.properties.latestRevisionName;
  await apps.containerAppsRevisions.restartRevision(given.group, given.app, revision);
  console.log(JSON.stringify({ names, text, app: app.name, revision }));
}
main().catch((error) => { console.error(error); process.exit(1); });
"""


def test_microsofts_javascript_clients_work(az, secure_cloud, tmp_path):
    """Upload, list, read and delete a file; get and restart an app."""
    packages = FOLDER / "npm"
    if not all((packages / "node_modules" / name).is_dir() for name in PACKAGES):
        packages.mkdir(parents=True, exist_ok=True)
        (packages / "package.json").write_text('{"private": true}\n')
        run("npm", "install", "--silent", "--no-audit", "--no-fund", *PACKAGES, cwd=packages)
    template = str(Path(__file__).parent / "template.json")
    script = f"script=exec python3 {WEB_APP}"
    az("group", "create", "--name", "node", "--location", "westus3")
    made = az("deployment", "group", "create", "--resource-group", "node", "--name", "one", "--template-file",
              template, "--parameters", script, "gpu=false")  # fmt: skip
    outputs = {name: output["value"] for name, output in made["properties"]["outputs"].items()}
    account = outputs["STORAGE_ACCOUNT_NAME"]
    key = az("storage", "account", "keys", "list", "--resource-group", "node", "--account-name", account)[0]["value"]
    given = {
        "files": f"{secure_cloud.files}/{account}",
        "account": account,
        "key": key,
        "token": secure_cloud.token_file.read_text().strip(),
        "manager": secure_cloud.resource_manager_tls,
        "subscription": TENANT,
        "group": "node",
        "app": outputs["ACA_APP_NAME"],
    }
    program = packages / "judge.cjs"
    program.write_text(NODE)
    variables = {**os.environ, "NODE_EXTRA_CA_CERTS": str(secure_cloud.certificate)}
    found = json.loads(run("node", program, json.dumps(given), env=variables))

    assert found["names"] == ["hello.txt"]
    assert found["text"] == "hello from node"
    assert found["app"] == outputs["ACA_APP_NAME"]
    assert found["revision"].startswith(outputs["ACA_APP_NAME"])
