"""What an app's JSON says of what serves, what comes, and why nothing answers: as tables."""

import pytest

from ai_toolkit.azure.container_app import ContainerApp, Rest


def revision(name, *, active=True, traffic=0, state="Running", created="1"):
    about = {"active": active, "trafficWeight": traffic, "runningState": state, "createdTime": created}
    return {"name": name, "properties": about}


def app(*revisions, latest="new", ready="old", mode="Single", status="Running", ingress=None, scale=None):
    properties = {
        "latestRevisionName": latest,
        "latestReadyRevisionName": ready,
        "runningStatus": status,
        "configuration": {
            "activeRevisionsMode": mode,
            "ingress": {"external": True, "fqdn": "host"} if ingress is None else ingress,
        },
        "template": {"scale": scale or {}},
    }
    return ContainerApp.read("app", {"location": "x", "properties": properties}, revisions)


OLD, NEW = revision("old", traffic=100), revision("new", state="Processing", created="2")


@pytest.mark.parametrize(
    ("found", "serving", "coming"),
    [
        (app(OLD, NEW), ["old"], "new"),
        (app(NEW, OLD), ["old"], "new"),
        (app(OLD, revision("new", state="Failed", created="2")), ["old"], "new"),
        (app(revision("old", active=False), revision("new", created="2"), ready="new"), ["new"], None),
        (app(OLD, revision("new", active=False, created="2", state="Stopped")), ["old"], None),
        (app(OLD, revision("new", active=False, created="2", state="Stopped"), ready="new"), ["old"], None),
        (app(NEW, ready=""), [], "new"),
        (app(revision("old", active=False), NEW), [], "new"),
        (app(revision("old", active=False), revision("new", active=False)), [], None),
        (app(revision("old", traffic=80), revision("new", traffic=20), mode="Multiple"), ["old", "new"], None),
        (app(revision("old", traffic=100), revision("new"), mode="Multiple", ready="new"), ["old"], "new"),
    ],
)
def test_what_serves_is_by_what_was_ready_and_by_traffic(found, serving, coming):
    """Never by which is the latest alone."""
    assert [one.name for one in found.serving] == serving
    assert (found.coming.name if found.coming else None) == coming


@pytest.mark.parametrize(
    ("found", "rest"),
    [
        (app(OLD), None),
        (app(OLD, status="Stopped"), Rest.STOPPED),
        (app(revision("old", active=False)), Rest.DEACTIVATED),
        (app(OLD, ingress={}), Rest.NO_INGRESS),
        (app(OLD, ingress={"external": False, "fqdn": "app.internal.host"}), Rest.INTERNAL),
        (app(OLD, scale={"maxReplicas": 0}), Rest.NO_REPLICAS),
        (app(OLD, scale={"rules": [{"name": "q", "azureQueue": {}}]}), Rest.NOT_WOKEN),
        (app(OLD, scale={"minReplicas": 1, "rules": [{"name": "q", "azureQueue": {}}]}), None),
        (app(OLD, scale={"rules": [{"name": "h", "http": {}}, {"name": "q", "custom": {}}]}), None),
    ],
)
def test_silence_that_somebody_wanted_has_its_reason(found, rest):
    """And sleep, which a request ends, has none."""
    assert found.rest is rest


@pytest.mark.parametrize(
    ("found", "takes"),
    [
        (app(OLD, NEW), True),
        (app(revision("old", traffic=100), revision("new"), mode="Multiple"), False),
        (app(revision("old"), revision("new", traffic=100), mode="Multiple"), True),
    ],
)
def test_a_new_revision_gets_traffic_unless_weights_name_others(found, takes):
    """So that none is made that nobody reaches."""
    assert found.takes_new_traffic() is takes
