"""Where each value comes from, and which resources are used: the file, the live job, fine-tuning's files."""

import json

import pytest
from azure.mgmt.appcontainers.aio import ContainerAppsAPIClient
from azure.mgmt.resource.resources.aio import ResourceManagementClient
from azure.mgmt.storage.aio import StorageManagementClient
from tests.support.provisioning import GROUP_URL, Person

from ai_toolkit.azure.connection import APP_API_VERSION, STORAGE_API_VERSION
from ai_toolkit.errors import FileMalformed, ValueImpossible, WorkspaceError
from ai_toolkit.provision.allow_my_ip import only_my_address
from ai_toolkit.workspace.workspace import LOCAL_SUBSCRIPTION, Parameters

JOB = "finetuningjob"


@pytest.fixture
async def fine_tuned(ground):
    """What a customised fine-tuning left: an account, a share, an environment, a storage definition and a job."""
    suffix = ground.group[-6:].replace("-", "").lower()
    names = {
        "account": f"tuned{abs(hash(ground.group)) % 10**8}",
        "share": "tunedshare",
        "environment": f"tuned{suffix}",
    }
    group = ground.group
    async with ground.client(ResourceManagementClient) as client:
        await client.resource_groups.create_or_update(group, {"location": "eastus"})
    async with ground.client(StorageManagementClient, api_version=STORAGE_API_VERSION) as client:
        sku = {"name": "Standard_GRS"}
        body = {"location": "westus3", "kind": "StorageV2", "sku": sku, "properties": {"minimumTlsVersion": "TLS1_3"}}
        await (await client.storage_accounts.begin_create(group, names["account"], body)).result()
        share = {"properties": {"shareQuota": 77}}
        await client.file_shares.create(group, names["account"], names["share"], share)
        keys = await client.storage_accounts.list_keys(group, names["account"])
    async with ground.client(ResourceManagementClient) as client:
        workspace = f"{GROUP_URL}/{group}/providers/Microsoft.OperationalInsights/workspaces/tunedlog"
        body = {"location": "westus3", "properties": {"sku": {"name": "PerGB2018"}}}
        await (await client.resources.begin_create_or_update_by_id(workspace, body, api_version="2025-02-01")).result()
        found = (await client.resources.get_by_id(workspace, api_version="2025-02-01")).as_dict()
    logs = {"customerId": found["properties"]["customerId"], "sharedKey": "not asked for"}
    async with ground.client(ContainerAppsAPIClient, api_version=APP_API_VERSION) as client:
        environment = {
            "location": "westus3",
            "properties": {
                "appLogsConfiguration": {"destination": "log-analytics", "logAnalyticsConfiguration": logs},
                "workloadProfiles": [
                    {"name": "serverless", "workloadProfileType": "Consumption-GPU-NC24-A100"},
                    {"name": "nodes", "workloadProfileType": "D4", "minimumCount": 0, "maximumCount": 3},
                ],
            },
        }
        await (
            await client.managed_environments.begin_create_or_update(group, names["environment"], environment)
        ).result()
        file = {
            "accountName": names["account"],
            "accountKey": keys["keys"][0]["value"],
            "shareName": names["share"],
            "accessMode": "ReadWrite",
        }
        await client.managed_environments_storages.create_or_update(
            group, names["environment"], "tunedstorage", {"properties": {"azureFile": file}}
        )
        apps = f"{GROUP_URL}/{group}/providers/Microsoft.App"
        job = {
            "location": "westus3",
            "properties": {
                "environmentId": f"{apps}/managedEnvironments/{names['environment']}",
                "configuration": {"triggerType": "Manual", "replicaTimeout": 100},
                "template": {
                    "containers": [
                        {"name": "tune", "image": "i", "volumeMounts": [{"volumeName": "v", "mountPath": "/mount"}]}
                    ],
                    "volumes": [
                        {"name": "other", "storageType": "EmptyDir"},
                        {"name": "v", "storageType": "AzureFile", "storageName": "tunedstorage"},
                    ],
                },
            },
        }
        await (await client.jobs.begin_create_or_update(group, JOB, job)).result()
    config = {"SUBSCRIPTION_ID": LOCAL_SUBSCRIPTION, "RESOURCE_GROUP_NAME": group, "ACA_JOB_NAME": JOB}
    (ground.workspace.folder / "infra/finetuning.config.json").write_text(json.dumps(config))
    return ground, names


async def test_the_live_job_s_resources_win_over_fine_tuning_s_files(fine_tuned):
    """Environment, storage definition, account, share, workspace and location are looked up, not guessed."""
    ground, names = fine_tuned
    ground.give("infra/provision/finetuning.parameters.json", storageAccountName="fromthefile", location="eastus2")
    person = Person()
    await ground.what_if(person)
    origin = f"fine-tuning job {JOB}"

    assert person.origin("storageAccountName") == (names["account"], origin)
    assert person.origin("fileShareName") == (names["share"], origin)
    assert person.origin("acaEnvironmentName") == (names["environment"], origin)
    assert person.origin("acaEnvironmentStorageName") == ("tunedstorage", origin)
    assert person.origin("acaLogAnalyticsName") == ("tunedlog", origin)
    assert person.origin("location") == ("westus3", origin)
    assert person.origin("acaAppName")[1] == "default"


async def test_a_value_in_the_inference_parameters_wins_over_the_job(fine_tuned):
    """The person has the last word."""
    ground, names = fine_tuned
    ground.give(fileShareName="mine", acaEnvironmentStorageName="mine")
    person = Person()
    await ground.what_if(person)

    assert person.origin("fileShareName") == ("mine", "inference.parameters.json")
    assert person.origin("storageAccountName")[0] == names["account"]


async def test_only_the_app_is_new_and_what_exists_stays_as_it_is(fine_tuned):
    """SKU, TLS, the share's quota, the environment's logs and profiles are what they were."""
    ground, names = fine_tuned
    done = await ground.provision()
    async with ground.client(StorageManagementClient, api_version=STORAGE_API_VERSION) as client:
        account = await client.storage_accounts.get_properties(ground.group, names["account"])
        share = await client.file_shares.get(ground.group, names["account"], names["share"])
    async with ground.client(ContainerAppsAPIClient, api_version=APP_API_VERSION) as client:
        environment = await client.managed_environments.get(ground.group, names["environment"])

    assert [one.split("/")[-2] for one in done.created] == ["containerApps"]
    assert done.updated == ()
    assert (account.sku.name, account.minimum_tls_version, share.share_quota) == ("Standard_GRS", "TLS1_3", 77)
    assert [one.name for one in environment.workload_profiles] == ["serverless", "nodes", "Consumption"]
    assert ground.config["STORAGE_ACCOUNT_NAME"] == names["account"]
    assert ground.config["FILE_SHARE_NAME"] == names["share"]


async def test_a_dedicated_profile_of_the_environment_is_provisioned_on(fine_tuned):
    """One that the existing environment has beside the others: the app runs there, and nothing is added."""
    ground, names = fine_tuned
    async with ground.client(ContainerAppsAPIClient, api_version=APP_API_VERSION) as client:
        found = await client.managed_environments.get(ground.group, names["environment"])
        profiles = [
            *(one.as_dict() for one in found.workload_profiles),
            {"name": "ours", "workloadProfileType": "NC24-A100", "minimumCount": 0, "maximumCount": 1},
        ]
        patch = {"location": found.location, "properties": {"workloadProfiles": profiles}}
        await (await client.managed_environments.begin_update(ground.group, names["environment"], patch)).result()
        ground.give(workloadProfileType="NC24-A100")
        await ground.provision()
        app = await client.container_apps.get(ground.group, ground.config["ACA_APP_NAME"])
        environment = await client.managed_environments.get(ground.group, names["environment"])

    assert app.workload_profile_name == "ours"
    assert {one.name for one in environment.workload_profiles} == {one["name"] for one in profiles}


async def test_a_missing_gpu_profile_is_previewed_and_added_by_patch(fine_tuned):
    """The other profiles and the logs stay."""
    ground, names = fine_tuned
    ground.give(workloadProfileType="Consumption-GPU-NC8as-T4", workloadProfileName="t4")
    seen = await ground.what_if()
    await ground.provision()
    async with ground.client(ContainerAppsAPIClient, api_version=APP_API_VERSION) as client:
        environment = await client.managed_environments.get(ground.group, names["environment"])

    assert [one.id.rpartition("/")[2] for one in seen.modify] == [names["environment"]]
    assert [one.name for one in environment.workload_profiles] == ["serverless", "nodes", "Consumption", "t4"]
    assert environment.workload_profiles[1].maximum_count == 3
    assert environment.app_logs_configuration.log_analytics_configuration.customer_id


@pytest.mark.parametrize("file", ["infra/provision/finetuning.parameters.json", "infra/finetuning.parameters.json"])
async def test_fine_tuning_s_parameters_win_over_the_defaults_at_both_places(ground, file):
    """Both documented paths; the output names the one that gave the value."""
    ground.give(file, acaEnvironmentName="my-env", storageAccountName=None)
    person = Person()
    await ground.what_if(person)

    assert person.origin("acaEnvironmentName") == ("my-env", file)
    assert person.origin("storageAccountName")[1] == "default"


async def test_another_group_than_fine_tuning_s_is_said_and_its_names_are_not_used(ground, tmp_path_factory):
    """The model is on the other group's share."""
    config = {"SUBSCRIPTION_ID": LOCAL_SUBSCRIPTION, "RESOURCE_GROUP_NAME": "elsewhere", "ACA_JOB_NAME": JOB}
    (ground.workspace.folder / "infra/finetuning.config.json").write_text(json.dumps(config))
    ground.give("infra/finetuning.parameters.json", acaEnvironmentName="their-env")
    person = Person()
    await ground.what_if(person)

    assert "elsewhere: its model will not be on the share" in person.text
    assert person.origin("acaEnvironmentName")[1] == "default"


async def test_a_job_that_is_gone_leaves_fine_tuning_s_files(ground):
    """The names in its config file are the next best."""
    config = {
        "SUBSCRIPTION_ID": LOCAL_SUBSCRIPTION,
        "RESOURCE_GROUP_NAME": ground.group,
        "ACA_JOB_NAME": "gone",
        "FILE_SHARE_NAME": "theirshare",
    }
    (ground.workspace.folder / "infra/finetuning.config.json").write_text(json.dumps(config))
    person = Person()
    await ground.what_if(person)

    assert person.origin("fileShareName") == ("theirshare", "infra/finetuning.config.json")


@pytest.mark.parametrize(
    ("text", "line", "column", "said"),
    [
        ('{\n  // mine\n  "parameters": {}\n}', 2, 3, "JSON has no comments"),
        ('{\n  "parameters": {\n    "acaAppNam": {"value": "a"}\n  }\n}', 3, 5, "no such parameter"),
        ('{"parameters": {\n "maximumInstanceCount": {"value": "two"}}}', 2, 2, "type int"),
        ('{"parameters": {\n  "location": 7}}', 2, 3, "is expected"),
        ('{\n "parameters": []}', 2, 2, "object of parameters"),
        ('{"parameters": {\n\n "defaultCommands": {"value": []}}}', 3, 2, "less than 1"),
        ('{"parameters": {\n "allowedIpRanges": {"value": ["10.0.0.300"]}}}', 2, 2, "10.0.0.300"),
    ],
)
async def test_a_wrong_parameters_file_is_told_with_line_and_column(ground, text, line, column, said):
    """Each kind of mistake has its place; a byte-order mark does not move it."""
    path = ground.workspace.provision_folder / "inference.parameters.json"
    path.write_text(text, encoding="utf-8-sig")

    with pytest.raises((FileMalformed, ValueImpossible)) as raised:
        await ground.what_if()
    assert f"{path}, line {line}, column {column}: " in str(raised.value)
    assert said in str(raised.value)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "utf-32"])
async def test_parameters_are_read_in_whatever_unicode_they_were_saved(ground, encoding):
    """Windows' Notepad once wrote UTF-16."""
    path = ground.workspace.provision_folder / "inference.parameters.json"
    path.write_text('{"parameters": {"location": {"value": "swedencentral"}}}', encoding=encoding)
    person = Person()
    await ground.what_if(person)

    assert person.origin("location") == ("swedencentral", "inference.parameters.json")


async def test_utf_16_without_its_mark_is_refused_by_name(ground):
    """It could be anything: what to do is said."""
    path = ground.workspace.provision_folder / "inference.parameters.json"
    path.write_text('{"parameters": {}}', encoding="utf-16-le")

    with pytest.raises(FileMalformed, match="UTF-16 without a mark does; save it as UTF-8"):
        await ground.what_if()


async def test_the_new_parameters_reach_the_app(ground):
    """Profile, replicas, concurrency, image, cooldown, allowed addresses, and sticky sessions with several replicas."""
    ground.give(
        workloadProfileType="Consumption-GPU-NC8as-T4",
        maximumInstanceCount=2,
        concurrentRequests=5,
        image="docker.io/mine:1",
        cooldownSeconds=60,
        allowedIpRanges=["127.0.0.1"],
    )
    await ground.provision()
    async with ground.client(ContainerAppsAPIClient, api_version=APP_API_VERSION) as client:
        app = (await client.container_apps.get(ground.group, ground.config["ACA_APP_NAME"])).as_dict()["properties"]
    scale, ingress = app["template"]["scale"], app["configuration"]["ingress"]

    assert (scale["minReplicas"], scale["maxReplicas"], scale["cooldownPeriod"]) == (0, 2, 60)
    assert scale["rules"][0]["http"]["metadata"]["concurrentRequests"] == "5"
    assert app["template"]["containers"][0]["image"] == "docker.io/mine:1"
    assert app["template"]["containers"][0]["resources"]["cpu"] == 8
    assert ingress["ipSecurityRestrictions"][0]["ipAddressRange"] == "127.0.0.1"
    assert ingress["stickySessions"]["affinity"] == "sticky"


async def test_only_my_address_is_typed_and_written_to_the_parameters(ground):
    """What is no address is asked for again; the rest of the file stays."""
    path = ground.workspace.provision_folder / "inference.parameters.json"
    before = json.loads(path.read_text())["parameters"]
    person = Person("everybody", "203.0.113.7")
    given = await only_my_address(ground.workspace.parameters(), person)
    again = await only_my_address(ground.workspace.parameters(), Person("203.0.113.0/24"))

    assert given.values["allowedIpRanges"] == ["203.0.113.7"]
    assert again.values["allowedIpRanges"] == ["203.0.113.0/24"]
    assert {name: one for name, one in json.loads(path.read_text())["parameters"].items() if name in before} == before
    assert "cannot be found out from here" in person.asked[0].prompt


async def test_a_name_from_fine_tuning_that_azure_refuses_is_named_with_its_file(ground):
    """Every source is validated."""
    ground.give("infra/finetuning.parameters.json", storageAccountName="Not_Possible")

    with pytest.raises(ValueImpossible, match=r"storageAccountName.*infra/finetuning\.parameters\.json.*impossible"):
        await ground.what_if()


async def test_a_template_without_the_outputs_is_refused(ground):
    """Without them the config file cannot be written."""
    path = ground.workspace.provision_folder / "inference.json"
    document = json.loads(path.read_text())
    del document["outputs"]["ACA_APP_NAME"]
    path.write_text(json.dumps(document))

    with pytest.raises(ValueImpossible, match="ACA_APP_NAME"):
        await ground.provision()


async def test_the_other_documented_path_is_read_and_both_are_warned_about(ground, tmp_path_factory):
    """`infra/inference.parameters.json` alone is honoured; beside the other it is not read, and that is said."""
    usual = ground.workspace.provision_folder / "inference.parameters.json"
    other = ground.workspace.folder / "infra/inference.parameters.json"
    other.write_text(usual.read_text())
    ground.give("infra/inference.parameters.json", acaAppName="from-the-other")
    both = Person()
    await ground.what_if(both)
    usual.unlink()
    alone = Person()
    await ground.what_if(alone)

    assert "is not read" in both.text
    assert both.origin("acaAppName")[1] == "default"
    assert alone.origin("acaAppName") == ("from-the-other", "inference.parameters.json")


@pytest.fixture
def bicepparam(ground, tmp_path, monkeypatch):
    """A `.bicepparam` file, and a program that says of it what the Bicep CLI would: the parameters it is told."""
    file = ground.workspace.provision_folder / "inference.bicepparam"
    file.write_text("using 'inference.bicep'\nparam concurrentRequests = 7\n")
    told, program = tmp_path / "told.json", tmp_path / "bicep"
    program.write_text(f"#!/bin/sh\nexec cat '{told}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("AITK_BICEP", str(program))

    def tell(**entries):
        document = {"parametersJson": json.dumps({"parameters": entries}), "templateJson": None, "templateSpecId": None}
        told.write_text(json.dumps(document))
        return file

    return tell


async def test_a_bicepparam_file_gives_the_parameters(ground, bicepparam):
    """It is named as their origin, reaches the app, and the JSON file beside it counts no more."""
    bicepparam(concurrentRequests={"value": 7})
    ground.give(concurrentRequests=9)
    person = Person()
    await ground.provision(person)
    async with ground.client(ContainerAppsAPIClient, api_version=APP_API_VERSION) as client:
        app = await client.container_apps.get(ground.group, ground.config["ACA_APP_NAME"])

    assert app.template.scale.rules[0].http.metadata == {"concurrentRequests": "7"}
    assert person.origin("concurrentRequests") == ("7", "inference.bicepparam")
    assert "inference.parameters.json is not read" in person.text


async def test_an_address_is_not_written_into_a_bicepparam_file(ground, bicepparam):
    """Its line is told instead."""
    file = bicepparam(concurrentRequests={"value": 7})
    before = file.read_text()
    with pytest.raises(WorkspaceError) as refusal:
        await only_my_address(Parameters(file), Person("203.0.113.7"))

    assert refusal.value.advice == "Add the line: param allowedIpRanges = ['203.0.113.7']"
    assert file.read_text() == before
