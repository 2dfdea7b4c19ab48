"""Templates made of ours by random edits: Provision, Deploy, Provision is quiet, and nothing fails unforeseen."""

import asyncio
import copy
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.edited_app import Nobody, with_small_app
from tests.support.edited_template import into_a_module
from tests.support.provisioning import Person, make_ground

from ai_toolkit.deploy.wanted_template import changed_template
from ai_toolkit.endpoint.address import open_app
from ai_toolkit.provision.choose_target import Answers
from ai_toolkit.provision.run import provision
from ai_toolkit.workspace.workspace import LOCAL_SUBSCRIPTION

QUIET = "Nothing changed since the last provisioning"
APP = "Microsoft.App/containerApps"


@pytest.fixture(scope="module")
def stopped(tmp_path_factory, cloud_home):
    """A provisioned app that is stopped, so that templates are put and no replica starts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AITK_LOCAL_CLOUD_HOME", str(cloud_home))
        app = with_small_app(make_ground(tmp_path_factory.mktemp("any"), cloud_home))
        asyncio.run(app.ground.provision())
        asyncio.run(app.post("stop"))
        yield app


def _app(content):
    return content["resources"]["app"]


def _container(content):
    containers = _template(content).get("containers")
    return containers[0] if isinstance(containers, list) else None


def _template(content):
    found = _app(content)["properties"]["template"]
    return found if isinstance(found, dict) else {}


def removes(*path):
    def edit(content):
        at = _app(content)["properties"]
        for key in path[:-1]:
            at = at.get(key) if isinstance(at, dict) else at[key] if isinstance(at, list) and len(at) > key else None
        if isinstance(at, dict):
            at.pop(path[-1], None)

    return edit


def moves(*path):
    """Into a variable, as people do who want to see the shape."""

    def edit(content):
        at = _app(content)["properties"]
        for key in path[:-1]:
            if not isinstance(at, dict | list):
                return
            at = at[key] if isinstance(at, list) else at.get(key)
        if not isinstance(at, dict) or path[-1] not in at or "copy" in json.dumps(at[path[-1]]):
            return
        value = at[path[-1]]
        if isinstance(value, str) or "reference(" in json.dumps(value):
            return
        name = "_".join(map(str, path))
        content["variables"][name] = value
        at[path[-1]] = f"[variables('{name}')]"

    return edit


def adds(key, item):
    def edit(content):
        at = _template(content)
        at[key] = [*at.get(key, []), item] if isinstance(at.get(key, []), list) else at[key]

    return edit


def adds_env(value):
    def edit(content):
        container = _container(content)
        if container is not None and isinstance(container.get("env"), list):
            container["env"] = [*container["env"], {"name": f"ADDED_{len(container['env'])}", "value": value}]

    return edit


def makes_optional(content):
    content["parameters"]["word"] = {"type": "string", "nullable": True}
    adds_env("[coalesce(parameters('word'), 'none')]")(content)


def loops(content):
    container = _container(content)
    if container is not None and isinstance(container.get("env"), list) and "copy" not in container:
        given = container.pop("env")
        content["variables"]["given"] = given
        loop = {"name": "env", "count": len(given), "input": "[variables('given')[copyIndex('env')]]"}
        container["copy"] = [loop]


def has_a_condition(content):
    content["parameters"]["wantsAccount"] = {"type": "bool", "defaultValue": True}
    content["resources"]["storageAccount"]["condition"] = "[parameters('wantsAccount')]"


def has_tags(content):
    _app(content)["tags"] = "[union(variables('allTags'), createObject('team', toLower('ML')))]"


def reads_what_exists(content):
    """A resource that is only named, and a value that only the deployment knows."""
    content["resources"]["known"] = {
        "existing": True,
        "type": "Microsoft.OperationalInsights/workspaces",
        "apiVersion": "2025-02-01",
        "name": "[parameters('acaLogAnalyticsName')]",
    }
    adds_env("[reference('known').customerId]")(content)


IMAGE = "docker.io/library/busybox:1"
SMALL = {"cpu": 0.5, "memory": "1Gi"}
EDITS = (
    removes("template", "scale", "rules"),
    removes("template", "scale", "cooldownPeriod"),
    removes("template", "containers", 0, "probes"),
    removes("configuration", "ingress", "stickySessions"),
    removes("configuration", "ingress", "allowInsecure"),
    removes("configuration", "ingress", "ipSecurityRestrictions"),
    moves("template"),
    moves("template", "scale"),
    moves("template", "containers"),
    moves("template", "volumes"),
    moves("template", "containers", 0, "env"),
    moves("template", "containers", 0, "probes"),
    moves("configuration", "ingress"),
    adds("containers", {"name": "sidecar", "image": IMAGE, "resources": SMALL}),
    adds("initContainers", {"name": "first", "image": IMAGE, "resources": SMALL}),
    adds("volumes", {"name": "scratch", "storageType": "EmptyDir"}),
    adds_env("[toUpper('word')]"),
    adds_env("[[not an expression]"),
    adds_env("[if(greater(parameters('maximumInstanceCount'), 1), 'many', 'one')]"),
    makes_optional,
    loops,
    has_a_condition,
    has_tags,
    reads_what_exists,
)


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chosen=st.lists(st.sampled_from(EDITS), min_size=1, max_size=5, unique=True), module=st.booleans())
def test_provision_deploy_provision_is_quiet(stopped, chosen, module):
    """Whatever was edited, in a module too: no question, no error, no revision; a second Provision does nothing."""
    path = stopped.workspace.provision_folder / "inference.json"
    original = path.read_text()
    content = copy.deepcopy(json.loads(original))
    for edit in chosen:
        if not (module and edit is reads_what_exists):  # which stands outside of the module
            edit(content)
    if module:
        into_a_module(content)
    path.write_text(json.dumps(content))
    try:
        told = asyncio.run(_road(stopped))
    finally:
        path.write_text(original)

    assert told["wanted"] is None, told["deploy"]
    assert QUIET in told["again"]


async def _road(stopped):
    answers = Answers(LOCAL_SUBSCRIPTION, stopped.ground.group, agreed=True)
    # What an earlier example's template had and this one has not is somebody's addition to this one.
    await provision(stopped.workspace, Person(), Answers(**{**vars(answers), "remove_additions": True}))
    deploy, again = Person(), Person()
    async with open_app(stopped.workspace) as own:
        wanted = await changed_template(stopped.workspace, own, deploy)
    await provision(stopped.workspace, again, answers)
    return {"wanted": wanted, "deploy": deploy.text, "again": again.text}


PORTAL = (
    {"template": {"scale": {"cooldownPeriod": 901}}},
    {"template": {"scale": {"maxReplicas": 4}}},
    {"template": {"scale": {"pollingInterval": 60}}},
    {"configuration": {"ingress": {"allowInsecure": True}}},
    {"configuration": {"ingress": {"external": False}}},
    {"configuration": {"ingress": {"targetPort": 9000}}},
    {"configuration": {"maxInactiveRevisions": 7}},
)
UNSPOKEN = ({"template": {"scale": {"pollingInterval": 60}}}, {"configuration": {"maxInactiveRevisions": 7}})
"""Of what the template does not speak."""


@settings(max_examples=3, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=st.lists(st.sampled_from(PORTAL), min_size=1, max_size=3, unique_by=str), module=st.booleans())
def test_what_was_changed_in_the_portal_stays_until_a_person_wants_it_back(stopped, edits, module):
    """Nobody asked, neither Provision nor Deploy changes the app; put back, the next Provision is quiet."""
    path = stopped.workspace.provision_folder / "inference.json"
    original = path.read_text()
    content = json.loads(original)
    if module:
        into_a_module(content)
    path.write_text(json.dumps(content))
    try:
        edited, left, told, quiet = asyncio.run(_portal_road(stopped, edits))
    finally:
        path.write_text(original)

    assert left == edited
    assert (QUIET in told) == all(edit in UNSPOKEN for edit in edits)
    assert QUIET in quiet


async def _portal_road(stopped, edits):
    answers = Answers(LOCAL_SUBSCRIPTION, stopped.ground.group, agreed=True, remove_additions=True)
    await provision(stopped.workspace, Person(), Answers(**{**vars(answers), "put_back": True}))
    for edit in edits:
        await stopped.patch(**edit)
    edited = _wanted(await stopped.read())
    nobody = Nobody()
    await provision(stopped.workspace, nobody, answers)
    async with open_app(stopped.workspace) as own:
        await changed_template(stopped.workspace, own, Nobody())
    left = _wanted(await stopped.read())
    await provision(stopped.workspace, Person(), Answers(**{**vars(answers), "put_back": True}))
    quiet = Person()
    await provision(stopped.workspace, quiet, answers)
    return edited, left, nobody.text, quiet.text


def _wanted(app):
    return app["properties"]["template"], app["properties"]["configuration"]
