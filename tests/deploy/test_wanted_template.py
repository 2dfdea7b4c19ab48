"""What a new revision is made of: the template as Resource Manager evaluates it, laid over what the app has."""

import copy
import json
from pathlib import Path

import pytest
from tests.support.local_cloud.plans import plan_of

from ai_toolkit.deploy.wanted_template import compare_template, unknown_places, without_missing_secrets

CONTENT = json.loads((Path(__file__).parents[2] / "infra/provision/inference.json").read_text())
GROUP = {"id": "/subscriptions/s/resourceGroups/g", "name": "g", "location": "westus3"}
COMMANDS = ["cd /mount/inference", "python3 start.py"]


def wanted(edit=lambda app: None, **given):
    """The app's `template` as a what-if tells it of our template, after an edit of its app."""
    content = copy.deepcopy(CONTENT)
    edit(content["resources"]["app"]["properties"]["template"])
    values = {"defaultCommands": COMMANDS, "createEnvironment": False, **given}
    plan = plan_of(content, {name: {"value": value} for name, value in values.items()}, GROUP, "d")
    [app] = [one for one in plan.resources if one.type.endswith("containerApps")]
    return app.known_body()["properties"]["template"]


def live(**given):
    """The same as Azure answers it, with values of Azure's own."""
    template = wanted(**given)
    template["scale"]["pollingInterval"] = 30
    template["scale"]["minReplicas"] = None
    template["containers"][0]["resources"]["ephemeralStorage"] = "8Gi"
    for probe in template["containers"][0]["probes"]:
        probe["successThreshold"] = 1
    return template


def test_what_the_template_says_already_needs_no_revision():
    """Also where Azure has added values of its own, and others a container or a variable."""
    now = live()
    now["containers"].append({"name": "sidecar", "image": "mine"})
    now["containers"][0]["env"].append({"name": "HF_TOKEN", "secretRef": "hf-token"})

    assert compare_template(now, wanted()) is None


@pytest.mark.parametrize(
    ("given", "place", "value"),
    [
        ({"image": "docker.io/mine:1"}, ("containers", 0, "image"), "docker.io/mine:1"),
        ({"minimumInstanceCount": 1}, ("scale", "minReplicas"), 1),
        ({"maximumInstanceCount": 3}, ("scale", "maxReplicas"), 3),
        ({"maximumInstanceCount": 3}, ("containers", 0, "probes", 2, "httpGet", "path"), "/ready"),
        ({"cooldownSeconds": 60}, ("scale", "cooldownPeriod"), 60),
        ({"concurrentRequests": 8}, ("scale", "rules", 0, "http", "metadata", "concurrentRequests"), "8"),
    ],
)
def test_a_changed_parameter_needs_a_revision_with_its_value(given, place, value):
    """Every parameter that means something of a revision; what others added stays."""
    now = live()
    now["containers"].append({"name": "sidecar", "image": "mine"})
    found = compare_template(now, wanted(**given))

    at = found.template
    for key in place:
        at = at[key]
    assert at == value
    assert found.template["containers"][1] == {"name": "sidecar", "image": "mine"}


def env(name, value):
    def edit(template):
        template["containers"][0]["env"].append({"name": name, "value": value})

    return edit


def adds(key, item):
    def edit(template):
        template.setdefault(key, []).append(item)

    return edit


def sets(**changed):
    def edit(template):
        template["containers"][0].update(changed)

    return edit


WORD_OF_THE_IMAGE = "[if(greater(parameters('maximumInstanceCount'), 1), 'a:1', 'b:1')]"


@pytest.mark.parametrize(
    ("edit", "changed"),
    [
        (env("MINE", "[toUpper('word')]"), ["template.containers.inference.env.MINE"]),
        (sets(image=WORD_OF_THE_IMAGE), ["template.containers.inference.image"]),
        (sets(command=["python3", "[concat('a', 'b')]"]), ["template.containers.inference.command"]),
        (adds("containers", {"name": "sidecar", "image": "x:1"}), ["template.containers.sidecar"]),
        (adds("initContainers", {"name": "first", "image": "x:1"}), ["template.initContainers"]),
        (adds("volumes", {"name": "scratch", "storageType": "EmptyDir"}), ["template.volumes.scratch"]),
        (lambda template: template["scale"]["rules"].append({"name": "night", "custom": {"type": "cron"}}),
         ["template.scale.rules.night"]),
        (lambda template: template["containers"][0]["probes"][0].update(failureThreshold=5),
         ["template.containers.inference.probes.Startup.failureThreshold"]),
    ],
)  # fmt: skip
def test_what_somebody_wrote_into_the_template_is_wanted(edit, changed):
    """Of whatever it is made: a revision gets it, and then has it."""
    found = compare_template(live(), wanted(edit))

    assert [one.path for one in found.changed] == changed
    assert compare_template({**live(), **found.template}, wanted(edit)) is None


def test_what_only_a_deployment_knows_is_left_as_it_is_and_named():
    """The app keeps the value that it has."""
    edit = sets(image="[reference(resourceId('Microsoft.App/containerApps', 'other'), '2025-07-01').template.image]")
    evaluated = wanted(edit, cooldownSeconds=60)
    found = compare_template(live(), evaluated)

    assert list(unknown_places(evaluated)) == ["containers.inference.image"]
    assert [one.path for one in found.changed] == ["template.scale.cooldownPeriod"]
    assert found.template["containers"][0]["image"] == live()["containers"][0]["image"]


def test_a_variable_of_a_secret_that_the_app_lacks_is_left_out_and_named():
    """Azure refuses a reference to what is not there; a Provision adds both."""
    evaluated = wanted(lambda template: template["containers"][0]["env"].append({"name": "T", "secretRef": "mine"}))
    known, missing = without_missing_secrets(evaluated, {"api-key"})
    alone, both = without_missing_secrets(evaluated, ())

    assert missing == {"mine"}
    assert compare_template(live(), known) is None
    assert both == {"mine", "api-key"}
    assert [one["name"] for one in alone["containers"][0]["env"]] == ["AITK_SHARE", "AITK_NOTHING_DEPLOYED_YET"]


def test_a_container_that_was_renamed_is_not_kept_beside_itself():
    """It is the app's own: two of them would want one port."""
    found = compare_template(live(), wanted(sets(name="app")))

    assert [one["name"] for one in found.template["containers"]] == ["app"]


def test_a_revision_s_suffix_is_used_once():
    """Azure refuses a second revision of the same name."""
    now = {**live(), "revisionSuffix": "mine"}
    found = compare_template(now, {**wanted(cooldownSeconds=60), "revisionSuffix": "mine"})

    assert "revisionSuffix" not in found.template
