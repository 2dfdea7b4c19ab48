"""Which changes of the parameters need a new revision, as a table."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ai_toolkit.azure.container_app import ContainerApp
from ai_toolkit.deploy.parameter_changes import Parameterised, changed_template
from ai_toolkit.errors import ValueImpossible
from ai_toolkit.workspace.template import Template
from ai_toolkit.workspace.workspace import Parameters

CONTENT = json.loads((Path(__file__).parents[2] / "infra/provision/inference.json").read_text())
DEFAULTS = {name: about.get("defaultValue") for name, about in CONTENT["parameters"].items()}
COMMANDS = ["cd /mount/inference", "python3 start.py"]


def wanted(**given):
    return Parameterised(Template(CONTENT, "sha"), Parameters(Path("p"), {"defaultCommands": COMMANDS, **given}))


def app(**changes):
    """The app as Provision makes it of the defaults: what is wanted of an empty one, taken over."""
    container = {"name": "inference", "image": "none"}
    empty = ContainerApp(
        "app", "host", "app--1", "app--1", (), 1, "", "", "westus3", {"ai-toolkit": "0.1.0"},
        {"containers": [container, {"name": "sidecar", "image": "mine"}], "scale": {}},
    )  # fmt: skip
    template = changed_template(wanted(**changes), empty)
    assert template is not None
    return replace(empty, template=dict(template))


def test_what_the_parameters_ask_for_already_needs_no_revision():
    """Also where Azure has added values of its own."""
    running = app()
    running.template["scale"]["pollingInterval"] = 30
    running.template["containers"][0]["resources"] = {"cpu": 24}

    assert changed_template(wanted(), running) is None


@pytest.mark.parametrize(
    ("given", "place", "value"),
    [
        ({"image": "docker.io/mine:1"}, ("containers", 0, "image"), "docker.io/mine:1"),
        ({"minimumInstanceCount": 1}, ("scale", "minReplicas"), 1),
        ({"maximumInstanceCount": 3}, ("scale", "maxReplicas"), 3),
        ({"cooldownSeconds": 60}, ("scale", "cooldownPeriod"), 60),
        ({"concurrentRequests": 8}, ("scale", "rules", 0, "http", "metadata", "concurrentRequests"), "8"),
    ],
)
def test_a_changed_parameter_needs_a_revision_with_its_value(given, place, value):
    """Each parameter that means something of a revision; the other containers stay as they are."""
    template = changed_template(wanted(**given), app())

    found = template
    for key in place:
        found = found[key]
    assert found == value
    assert template["containers"][1] == {"name": "sidecar", "image": "mine"}


def test_changed_commands_stand_between_the_template_s_own_lines():
    """The template's variables go before and after them."""
    template = changed_template(wanted(defaultCommands=["python3 other.py"]), app())

    lines = template["containers"][0]["command"][2].splitlines()
    assert "python3 other.py" in lines
    assert "python3 start.py" not in lines
    assert lines[0] == CONTENT["variables"]["beforeCommands"][0].splitlines()[0]


def test_with_several_replicas_the_probe_asks_whether_the_model_is_ready():
    """One replica is asked whether it lives: an unready one gets no traffic, and a person would see a hang."""
    paths = {
        most: {probe["httpGet"]["path"] for probe in app(maximumInstanceCount=most).template["containers"][0]["probes"]}
        for most in (1, 2)
    }

    assert paths[1] == {"/health"}
    assert "/ready" in paths[2]


@pytest.mark.parametrize("given", [{"apiKey": "x"}, {"maximumInstanceCount": "many"}, {"unknown": 1}])
def test_parameters_that_azure_would_refuse_are_refused_before(given):
    """Nothing is compared with what cannot be."""
    with pytest.raises(ValueImpossible):
        changed_template(wanted(**given), app())


@pytest.mark.parametrize("content", [{}, {**CONTENT, "variables": {}}, {**CONTENT, "resources": []}])
def test_a_template_of_another_make_is_left_as_it_is(content):
    """What its parameters mean is for Provision to say."""
    other = Parameterised(Template({**content, "parameters": CONTENT["parameters"]}, "sha"), wanted().given)

    assert changed_template(other, app()) is None
    assert changed_template(None, app()) is None
