"""Before anything is billed: each check by name, the preview, and the question; on the local cloud through the SDKs."""

import io
import json
import struct

import pytest
from azure.core.exceptions import HttpResponseError
from azure.mgmt.resource.resources.aio import ResourceManagementClient
from azure.mgmt.storage.aio import StorageManagementClient
from tests.support.provisioning import Person, make_ground

from ai_toolkit.azure.deployments import Change, PropertyChange
from ai_toolkit.azure.explain import for_people
from ai_toolkit.errors import Dismissed, PreflightFailed, UsageError, ValueImpossible
from ai_toolkit.provision.choose_target import Answers
from ai_toolkit.provision.preview import PRICES, Answer, Basis, Preview, agree, what_is_billed
from ai_toolkit.provision.run import what_if

CHECKS = [
    "signed in",
    "resource providers registered",
    "may deploy in this group",
    "location",
    "region offers the GPU profile",
    "GPU quota left",
    "shared key allowed",
    "account's network rules",
    "policies",
    "names free",
    "template compiles",
    "validate passes",
    "adapter and base model",
]


async def refused(ground, person):
    """The message of a Provision that must not send anything."""
    before = len(await ground.deployments())
    with pytest.raises(PreflightFailed) as raised:
        await ground.provision(person)
    assert len(await ground.deployments()) == before
    return str(raised.value)


@pytest.fixture
async def provisioned(ground):
    await ground.provision()
    return ground


async def test_what_if_creates_nothing_and_lists_what_would_be(ground):
    """Not even the resource group; the six resources of the template are to be created, and every check is told."""
    person = Person()
    preview = (await ground.what_if(person)).as_json()
    async with ground.manager() as manager:
        group = await manager.resource_group(ground.group)

    assert group is None
    assert "Azure cannot be asked before it exists" in person.text
    assert not ground.workspace.target_path.exists()
    counts = {kind: len(ids) for kind, ids in preview.items() if isinstance(ids, list)}
    assert counts == {"created": 6, "updated": 0, "unchanged": 0, "ignored": 0}
    assert [person.check(name)[0] for name in CHECKS].count("failure") == 0
    assert PRICES in person.text


async def test_what_if_asks_nothing(provisioned):
    """Where is what the workspace names; an unforeseen question would fail this test."""
    person = Person()
    preview = await what_if(provisioned.workspace, person, Answers())

    assert preview.as_json()["created"] == []
    assert person.asked == []


@pytest.mark.parametrize(
    ("answers", "option"),
    [(Answers(), "--local or --subscription"), (Answers(resource_group="somewhere"), "--local or --subscription")],
)
async def test_what_if_says_which_option_answers_it(ground, answers, option):
    """Nothing is provisioned and nothing was said: the sentence, not the question."""
    person = Person()
    with pytest.raises(UsageError, match=option):
        await what_if(ground.workspace, person, answers)

    assert person.asked == []


async def test_what_if_on_the_command_line_prints_json_and_stops(empty_road):
    """`--what-if --json`: lists of resource ids, in the shape of a Provision's result; nothing is written."""
    empty_road.run("init")
    found = empty_road.json("provision", "--local", "--what-if")

    assert (found["whatIf"], found["endpoint"]) == (True, None)
    assert all(one.startswith("/subscriptions/") for one in found["created"])
    assert not (empty_road.folder / "infra/inference.config.json").exists()


async def test_a_changed_parameter_is_previewed_property_by_property(provisioned):
    """The app is changed, with the value before and after; what exists is ignored or unchanged."""
    provisioned.give(maximumInstanceCount=3)
    person = Person()
    preview = await provisioned.what_if(person)
    [app] = preview.modify
    lines = person.said

    assert app.id.split("/")[-2] == "containerApps"
    assert any(line.strip() == "~ properties.template.scale.maxReplicas: 1 -> 3" for line in lines)
    assert preview.as_json()["created"] == []
    assert len(await provisioned.deployments()) == 1


async def test_a_missing_gpu_quota_stops_before_anything_is_sent(ground):
    """A limit of zero is a failure with what to do."""
    person = Person()
    with ground.faults() as faults:
        faults.add("no-gpu-quota")
        told = await refused_without_group(ground, person)

    assert "GPU quota" in told
    assert "Ask for quota" in told


async def refused_without_group(ground, person):
    with pytest.raises(PreflightFailed) as raised:
        await ground.provision(person)
    async with ground.manager() as manager:
        assert await manager.resource_group(ground.group) is None
    return str(raised.value)


async def test_an_empty_list_of_usages_is_unknown_and_not_zero(ground):
    """Unknown is a warning: Provision goes on."""
    person = Person()
    with ground.faults() as faults:
        faults.add("no-usages")
        await ground.what_if(person)
    outcome, words = person.check("GPU quota left")

    assert outcome == "warning"
    assert "not known" in words


async def test_a_region_without_the_gpu_is_named_with_what_it_offers(ground):
    """The profile is not offered in Norway East."""
    ground.give(location="norwayeast")
    told = await refused_without_group(ground, Person())

    assert "norwayeast offers no GPU profile, not Consumption-GPU-NC24-A100" in told


async def test_an_impossible_location_is_named_with_those_of_the_provider(ground):
    """The list comes from the provider."""
    ground.give(location="atlantis")
    told = await refused_without_group(ground, Person())

    assert "not offered in atlantis" in told
    assert "westus3" in told


async def test_a_policy_against_shared_keys_is_a_check_of_its_own(provisioned):
    """Found by validation; the policy is named."""
    provisioned.give(storageAccountName="another" + provisioned.config["STORAGE_ACCOUNT_NAME"][-5:])
    provisioned.give(acaEnvironmentStorageName="another")
    person = Person()
    with provisioned.faults() as faults:
        faults.add("no-shared-key")
        told = await refused(provisioned, person)

    assert person.check("shared key allowed")[0] == "failure"
    assert "Storage accounts should prevent shared key access" in told
    assert "properties.allowSharedKeyAccess" in told


@pytest.mark.parametrize(
    ("kind", "member", "wanted", "said"),
    [
        ("containerApps/", "tags.costCenter", None, "tags.costCenter must be set"),
        ("managedEnvironments/[^/]+$", "location", "northeurope", 'wanted: Equals "northeurope"'),
        ("containerApps/", "properties.configuration.ingress.external", False, "ingress.external is true"),
    ],
)
async def test_a_policy_is_named_by_what_it_looks_at(provisioned, kind, member, wanted, said):
    """Its name, the property and the value that it wants; a policy about something else is not one about keys."""
    provisioned.give(acaEnvironmentName="another", acaAppName="another")
    person = Person()
    with provisioned.faults() as faults:
        faults.add("policy", path=kind, message="Contoso allows this only", member=member, wanted=wanted)
        told = await refused(provisioned, person)

    assert person.check("policies")[0] == "failure"
    assert 'The policy "Contoso allows this only"' in told
    assert said in told
    assert person.check("shared key allowed")[0] == "pass"


@pytest.mark.parametrize("member", ["tags.costCenter", "tags.owner", "managedBy"])
async def test_a_policy_about_the_resource_group_is_told_when_it_is_made(ground, member):
    """Nobody can be asked before the group exists: the refusal names the policy and what it wants."""
    with ground.faults() as faults:
        faults.add("policy", path="resourceGroups/[^/]+$", message="Require it on groups", member=member)
        with pytest.raises(HttpResponseError) as raised:
            await ground.provision()
    told = for_people(raised.value)

    assert 'The policy "Require it on groups" (assigned as local) forbids it' in told.message
    assert f"{member} must be set" in told.message


@pytest.mark.parametrize(
    ("rules", "outcome", "said"),
    [
        ({"publicNetworkAccess": "Disabled"}, "failure", "closed to every network"),
        ({"networkAcls": {"defaultAction": "Deny"}}, "warning", "its private endpoints only"),
        (
            {"networkAcls": {"defaultAction": "Deny", "ipRules": [{"value": "203.0.113.7"}]}},
            "warning",
            "203.0.113.7 only",
        ),
        (
            {"networkAcls": {"defaultAction": "Deny", "ipRules": [{"value": "127.0.0.1"}]}},
            "warning",
            "127.0.0.1 only",
        ),
    ],
)
async def test_an_account_s_network_rules_are_looked_at(provisioned, rules, outcome, said):
    """What somebody closed in the portal is seen before anything is sent, and a share that is closed is said so."""
    account = provisioned.config["STORAGE_ACCOUNT_NAME"]
    async with provisioned.client(StorageManagementClient, api_version="2025-08-01") as client:
        body = io.BytesIO(json.dumps({"properties": rules}).encode())
        await client.storage_accounts.update(provisioned.group, account, body)
    provisioned.give(maximumInstanceCount=2)
    person = Person()
    await provisioned.what_if(person)
    found, words = person.check("account's network rules")

    assert found == outcome
    assert said in words
    reachable = "127.0.0.1" in said
    assert ("cannot be read from here" in person.check("adapter and base model")[1]) is not reachable


async def test_a_reader_is_told_before_anything_is_sent(provisioned):
    """The rights that are missing are named, with the role that has them."""
    provisioned.give(maximumInstanceCount=2)
    person = Person()
    with provisioned.faults() as faults:
        faults.add("read-only")
        told = await refused(provisioned, person)

    assert person.check("may deploy in this group")[0] == "failure"
    assert "Microsoft.App/containerApps/write" in told
    assert "Contributor" in told


async def test_an_unregistered_provider_is_offered_and_registered(ground):
    """Agreed to, it is registered and Provision goes on; a preview only says so."""
    async with ground.client(ResourceManagementClient) as client:
        await client.providers.unregister("Microsoft.OperationalInsights")
    seen = Person()
    await ground.what_if(seen)
    person = Person("yes")
    await ground.provision(person)

    assert seen.check("resource providers registered")[0] == "failure"
    assert "Microsoft.OperationalInsights" in person.asked[0].items[0].label
    assert person.check("resource providers registered")[0] == "pass"


async def test_a_storage_account_of_somebody_else_is_told(provisioned, tmp_path_factory):
    """Storage accounts are named in the whole world: the name is taken, and not ours in this group."""
    other = make_ground(tmp_path_factory.mktemp("somebody-else"), provisioned.home)
    other.give(storageAccountName=provisioned.config["STORAGE_ACCOUNT_NAME"])
    told = await refused_without_group(other, Person())

    assert "names free" in told
    assert "already taken" in told


async def test_an_app_cannot_move_to_another_environment(provisioned):
    """Azure would refuse it at the very end; the two ways out are named."""
    provisioned.give(acaEnvironmentName="another", acaEnvironmentStorageName="another")
    told = await refused(provisioned, Person())

    assert "cannot move to another" in told
    assert "another name to acaAppName" in told


async def test_what_validate_refuses_is_told_in_azures_words(provisioned):
    """The innermost code and message; nothing is sent."""
    path = provisioned.workspace.provision_folder / "inference.json"
    document = json.loads(path.read_text())
    app = next(one for one in document["resources"].values() if one["type"] == "Microsoft.App/containerApps")
    app["properties"]["template"]["scale"]["minReplicas"] = 7
    path.write_text(json.dumps(document))
    person = Person()
    told = await refused(provisioned, person)

    assert person.check("validate passes")[0] == "failure"
    assert "ContainerAppInvalidScaleSettings" in told


def safetensors(path, **shapes):
    """A file with only the header of a safetensors file, and as many bytes as it says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header, offset = {}, 0
    for key, shape in shapes.items():
        size = 4
        for one in shape:
            size *= one
        header[key] = {"dtype": "F32", "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    with path.open("wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        stream.truncate(8 + len(text) + offset)


def model(folder, inputs, *, base_inputs=8):
    """An adapter for one layer, and its base model."""
    adapter, base = folder / "models/mine", folder / "model-cache/org/base"
    layer = "model.layers.0.q_proj"
    safetensors(
        adapter / "adapter_model.safetensors",
        **{
            f"base_model.model.{layer}.lora_A.weight": [2, inputs],
            f"base_model.model.{layer}.lora_B.weight": [8, 2],
        },
    )
    (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "org/base"}))
    safetensors(base / "model.safetensors", **{f"{layer}.weight": [8, base_inputs]})
    (base / "config.json").write_text("{}")


async def test_a_fitting_adapter_passes(ground):
    """Headers alone tell."""
    model(ground.workspace.folder, 8)
    person = Person()
    await ground.what_if(person)

    assert person.check("adapter and base model")[0] == "pass"


async def test_an_adapter_of_another_base_model_fails_before_anything_is_billed(ground):
    """The layer and the two sizes are named."""
    model(ground.workspace.folder, 16)
    told = await refused_without_group(ground, Person())

    assert "model.layers.0.q_proj has 8 inputs, the adapter 16" in told


async def test_an_adapter_in_pickle_files_fails(ground):
    """What would not be served is not deployed."""
    model(ground.workspace.folder, 8)
    (ground.workspace.folder / "models/mine/adapter_model.safetensors").rename(
        ground.workspace.folder / "models/mine/adapter_model.bin"
    )

    assert "no adapter_model.safetensors" in await refused_without_group(ground, Person())


async def test_a_base_model_larger_than_the_gpu_fails(ground):
    """34 GB of 32-bit numbers are 17 GB when loaded: too much for a T4, little for an A100 (the file is sparse)."""
    base = ground.workspace.folder / "model-cache/org/base"
    safetensors(base / "model.safetensors", **{"model.layers.0.q_proj.weight": [8_500_000, 1000]})
    (base / "config.json").write_text("{}")
    person = Person()
    await ground.what_if(person)
    ground.give(workloadProfileType="Consumption-GPU-NC8as-T4")

    assert person.check("adapter and base model")[0] == "pass"
    assert "17.0 GB of weights, 16 GB on the GPU" in await refused_without_group(ground, Person())


async def test_a_dedicated_profile_needs_an_environment_that_has_it(provisioned):
    """It cannot be added to one, so the error lists what there is."""
    provisioned.give(workloadProfileType="NC24-A100")

    with pytest.raises(ValueImpossible, match=r"workloadProfileType: NC24-A100 is not serverless.*gpu \(Consumption"):
        await provisioned.provision()


CHANGES = [
    Change("/s/resourceGroups/g/providers/Microsoft.App/containerApps/new", "Create"),
    Change(
        "/s/resourceGroups/g/providers/Microsoft.App/managedEnvironments/env",
        "Modify",
        (PropertyChange("properties.a[0].b", "Modify", 1, 2), PropertyChange("properties.secret", "Modify", "x", "y")),
    ),
    Change("/s/resourceGroups/g/providers/Microsoft.App/jobs/mine", "Ignore"),
    Change("/s/resourceGroups/g/providers/Microsoft.App/jobs/odd", "Unsupported"),
]


async def test_the_preview_is_agreed_to_once_and_shows_details_when_asked():
    """Provision, Show details, Cancel: details are said without an end of the question."""
    person = Person("details", "provision")
    answer = await agree(person, Preview.of(CHANGES, Basis.AZURE), offer_only_me=False)

    assert answer == "provision"
    assert [item.label for item in person.asked[0].items] == ["Provision", "Show details", "Cancel"]
    assert person.asked[0].option == "--yes"
    assert "~ properties.a[0].b: 1 -> 2" in person.text
    assert "preview" in person.text.lower()


async def test_cancelling_the_preview_changes_nothing():
    """Dismissed, which says so."""
    with pytest.raises(Dismissed):
        await agree(Person("cancel"), Preview.of(CHANGES, Basis.AZURE), offer_only_me=False)


async def test_only_my_address_is_offered_where_every_address_may_come():
    """The choice comes back, so that the address is asked for."""
    assert (
        await agree(Person(Answer.ONLY_MY_ADDRESS), Preview.of(CHANGES, Basis.AZURE), offer_only_me=True)
        is Answer.ONLY_MY_ADDRESS
    )


def test_no_secret_is_previewed_and_what_is_not_foreseen_counts_as_a_change():
    """A property that may hold a secret is named without its value."""
    preview = Preview.of(CHANGES, Basis.AZURE)

    assert "properties.secret: (not shown)" in "\n".join(line.text for line in preview.tree(details=True))
    assert {one.id.rpartition("/")[2] for one in preview.modify} == {"odd", "env"}
    assert len(preview.ignore) == 1


@pytest.mark.parametrize(("least", "said"), [(0, "no GPU is billed"), (2, "all the time")])
def test_what_is_billed_is_said_in_words_without_a_price(least, said):
    """When a GPU is billed, and where prices are."""
    values = {"minimumInstanceCount": least, "maximumInstanceCount": 3, "workloadProfileType": "T4"}
    text = "\n".join(what_is_billed(values, new_account=True))

    assert said in text
    assert PRICES in text
    assert "$" not in text


async def test_a_refused_what_if_is_no_obstacle(provisioned):
    """It only informs: its own right may be missing. The deployment is sent, and the preview says why it is empty."""
    provisioned.give(concurrentRequests=7)
    person = Person()
    with provisioned.faults() as faults:
        faults.add(
            "status", method="POST", path="/whatIf", status=403, code="AuthorizationFailed", message="No.", count=2
        )
        preview = await provisioned.what_if(person)
        await provisioned.provision()

    assert "No preview: Azure does not say what would change: No (AuthorizationFailed)." in person.text
    assert {name for name, ids in preview.as_json().items() if ids} == {"whatIf"}
    assert len(await provisioned.deployments()) == 2


async def test_the_share_tells_where_the_workspace_has_no_model(provisioned):
    """An adapter where fine-tuning leaves it: first without its weights, then whole, then with its base model."""
    config = provisioned.config
    share = provisioned.home / "shares" / config["STORAGE_ACCOUNT_NAME"] / config["FILE_SHARE_NAME"]
    adapter, base = share / "models/qlora/qlora/gpu-cpu_model/adapter", share / "model-cache/org/base"
    adapter.mkdir(parents=True)
    (adapter / "adapter_config.json").write_text('{"base_model_name_or_path": "org/base"}')
    told = []
    for step in ("no weights", "no base", "whole"):
        if step == "no base":
            (adapter / "adapter_model.safetensors").write_bytes(b"")
        if step == "whole":
            base.mkdir(parents=True)
            (base / "config.json").write_text("{}")
        person = Person()
        await provisioned.what_if(person)
        told.append(person.check("adapter and base model"))

    assert [outcome for outcome, _words in told] == ["failure", "warning", "pass"]
    assert "no adapter_model.safetensors" in told[0][1]
    assert "it would be downloaded" in told[1][1]
