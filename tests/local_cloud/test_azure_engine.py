"""The local cloud's templates against what Azure's own engine makes of them (AZURE_ENGINE), over HTTP."""

import json
from dataclasses import replace

import aiohttp
import pytest
from tests.support.local_cloud.engine import GROUP, LOCATION, SUBSCRIPTION, Engine, cases, folder, needs_engine, read

from ai_toolkit.local_cloud.resource_manager.subscriptions import subscription_document
from ai_toolkit.local_cloud.template.partial import as_text
from ai_toolkit.local_cloud.template.plan import make_plan
from ai_toolkit.local_cloud.template.site import Site
from ai_toolkit.local_cloud.template.surroundings import DeploymentSurroundings

pytestmark = needs_engine

CASES = cases()
SHARED = "shared"  # a group that some of the cases look into


@pytest.fixture
async def engine(clients):
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {clients.token}"}) as session:
        engine = Engine(session, clients.status.resource_manager)
        await engine.make_group()
        await engine.make_group(SHARED)
        yield engine


def same(one, other):
    """Equal as JSON: keys in any order, and 1 is not true."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def differs(found, wanted):
    """Whether the local cloud's answer is another than Azure's: a refusal may have its own words."""
    if "error" in wanted:
        return "error" not in found
    return "value" not in found or not same(found["value"], wanted["value"])


async def test_every_expression_gives_what_azure_gives(engine):
    """Values equal as JSON, and a refusal where Azure refuses."""
    wanted = read("functions.json")
    found = {expression: await engine.value_of(expression) for expression in wanted}

    assert {each: (found[each], wanted[each]) for each in wanted if differs(found[each], wanted[each])} == {}


async def test_a_refused_expression_says_function_and_place(engine):
    """In every refusal: where in the template, and which function, unless the template itself says why."""
    refused = [each for each, answer in read("functions.json").items() if "error" in answer]
    said = {expression: (await engine.value_of(expression)).get("error", "") for expression in refused}
    silent = {each: words for each, words in said.items() if "outputs.o" not in words}

    assert silent == {}


async def test_every_parameter_has_the_value_that_azure_gives_it(engine):
    """Types are checked in all their depth; a null is not given."""
    wanted = read("parameters.json")
    found = [await engine.value_of_parameter(case) for case in wanted]

    assert [(case, one) for case, one in zip(wanted, found, strict=True) if differs(one, case)] == []


def shown(changes):
    """What a what-if says will be, by id, as a snapshot has it: with whole names."""
    found = {}
    for change in changes:
        if change["changeType"] != "Ignore":
            after = change["after"]
            name = after["name"] if change["changeType"] == "Unsupported" else whole_name(after["id"])
            found[after["id"]] = {**after, "name": name}
    return found


def whole_name(identifier):
    """`account/default/share` of an id."""
    last = identifier.rpartition("/providers/")[2]
    return "/".join(last.split("/")[2::2]) if "/providers/" in identifier else identifier.rpartition("/")[2]


@pytest.mark.parametrize("case", CASES)
async def test_a_what_if_says_what_azure_makes_of_a_template(engine, case):
    """Every resource, those of modules too, with every expression evaluated that can be before the deployment."""
    template, parameters = read(f"cases/{case}/main.json"), read(f"cases/{case}/parameters.json")["parameters"]
    scope = SUBSCRIPTION if case == "subscription-scope" else f"{SUBSCRIPTION}/resourceGroups/{GROUP}"
    changes = await engine.what_if(template, parameters, scope=scope)
    if not (folder() / "cases" / case / "snapshot.json").exists():
        assert "error" in changes
        return
    snapshot = read(f"cases/{case}/snapshot.json")
    assert isinstance(changes, list), changes
    found = shown(changes)
    wanted = {resource["id"]: resource for resource in snapshot["predictedResources"]}

    assert found.keys() == wanted.keys()
    assert {each: (found[each], wanted[each]) for each in wanted if not same(found[each], wanted[each])} == {}


def outputs_of(found):
    """Values by name: Resource Manager changes the case of names, and a nullable output may have none."""
    return {name.upper(): output.get("value") for name, output in found.items()}


@pytest.mark.parametrize("case", CASES)
def test_outputs_are_known_as_far_as_azure_knows_them(case):
    """Each with its value, or the expression for what only the running deployment knows."""
    if not (folder() / "cases" / case / "snapshot.json").exists():
        return
    given = read(f"cases/{case}/parameters.json")["parameters"]
    of = f"{SUBSCRIPTION}/resourceGroups/{GROUP}"
    group = {"id": of, "name": GROUP, "location": LOCATION, "type": "Microsoft.Resources/resourceGroups"}
    site = Site(subscription_document(SUBSCRIPTION.rpartition("/")[2]), group, "inference", None, lambda _: group)
    if case == "subscription-scope":
        site = replace(site, group=None, location=LOCATION)
    plan = make_plan(read(f"cases/{case}/main.json"), given, site, DeploymentSurroundings())
    found = {name: as_text(output["value"]) for name, output in plan.known_outputs().items()}

    assert same(found, read(f"cases/{case}/snapshot.json")["outputs"]), found


@pytest.mark.parametrize("case", [each for each in CASES if each in {
    "loops-and-batches", "nullable-and-unions", "subscription-scope", "fine-tuning-job",
}])  # fmt: skip  # those without an app, whose container would have to run
async def test_a_deployment_has_the_outputs_that_azure_predicts(engine, case):
    """What was made has the names and ids that the snapshot says; a secure output is withheld."""
    template, parameters = read(f"cases/{case}/main.json"), read(f"cases/{case}/parameters.json")["parameters"]
    scope = SUBSCRIPTION if case == "subscription-scope" else f"{SUBSCRIPTION}/resourceGroups/{GROUP}"
    ended = await engine.deploy(template, parameters, scope=scope)
    snapshot = read(f"cases/{case}/snapshot.json")
    secret = {name.upper() for name, one in template["outputs"].items() if one["type"].lower().startswith("secure")}
    wanted = {name.upper(): value for name, value in snapshot["outputs"].items() if name.upper() not in secret}
    assert ended.get("provisioningState") == "Succeeded", ended
    found = outputs_of(ended["outputs"])
    for each in snapshot["predictedResources"]:
        status, made, _ = await engine.ask("GET", each["id"], version=each["apiVersion"])

        assert (status, made["id"].lower()) == (200, each["id"].lower()), made
    assert {name: value for name, value in found.items() if name not in secret} == wanted
    assert [found[name] for name in secret] == [None] * len(secret)
