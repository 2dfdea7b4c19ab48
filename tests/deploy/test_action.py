"""The cheapest action that is enough, and what counts as loaded, as tables."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ai_toolkit.azure.container_app import ContainerApp, Revision
from ai_toolkit.deploy.action import Action, Options, cheapest_action, loaded_is, only_adapters_changed, stale_adapters
from ai_toolkit.deploy.current_app import Running
from ai_toolkit.deploy.manifest import Entry, Manifest
from ai_toolkit.deploy.sync_plan import Plan

ADAPTER = "models/mine"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
CODE = {"inference/start.py": Entry(5, "code"), "inference/settings.toml": Entry(1, "settings")}
WEIGHTS = {f"{ADAPTER}/adapter_model.safetensors": Entry(9, "weights")}
DEPLOYED = Manifest({**CODE, **WEIGHTS})


def served(*, code=None, weights="weights", changed=False, replaceable=True):
    """What `/version` says."""
    adapter = {
        "id": "mine",
        "path": ADAPTER,
        "files": {"adapter_model.safetensors": weights},
        "changed": changed,
        "replaceable": replaceable,
    }
    return {"code": code or {path: entry.sha256 for path, entry in CODE.items()}, "adapters": [adapter]}


def plan(*, changed=(), removed=(), after=DEPLOYED, before=DEPLOYED):
    return Plan((), tuple(changed), tuple(removed), (), (), 0, {}, {}, {}, before, after)


def running(*, replicas=("one",), loaded=None, properties=None, created=NOW):
    serving = Revision("app--1", "Running", "", traffic=100)
    app = ContainerApp("app", "host", "app--1", "app--1", (serving,), 1, "", "", "westus3", {}, {})
    return Running(app, "https://host", "key", replicas, created, loaded, properties or {}, bool(properties))


NEW_WEIGHTS = Manifest({**CODE, f"{ADAPTER}/adapter_model.safetensors": Entry(9, "newer")})
NEW_CODE = Manifest({**DEPLOYED.files, "inference/start.py": Entry(5, "newer")})
ADAPTER_SENT = plan(changed=[f"{ADAPTER}/adapter_model.safetensors"], after=NEW_WEIGHTS)
CODE_SENT = plan(changed=["inference/start.py"], after=NEW_CODE)


@pytest.mark.parametrize(
    ("done", "runs", "options", "action"),
    [
        (plan(), running(loaded=served()), Options(), Action.NOTHING),
        (plan(), running(loaded=served()), Options(restart=True), Action.RESTART),
        (plan(), running(loaded=served(weights="older")), Options(), Action.LOAD_ADAPTERS),
        (plan(), running(loaded=served(changed=True)), Options(), Action.LOAD_ADAPTERS),
        (plan(), running(loaded={}), Options(), Action.RESTART),
        (ADAPTER_SENT, running(loaded=served()), Options(), Action.LOAD_ADAPTERS),
        (ADAPTER_SENT, running(loaded=served(replaceable=False)), Options(), Action.RESTART),
        (ADAPTER_SENT, running(loaded=served(), replicas=("one", "two")), Options(), Action.RESTART),
        (ADAPTER_SENT, running(replicas=()), Options(), Action.LATER),
        (ADAPTER_SENT, running(replicas=()), Options(wake=True), Action.WAKE),
        (ADAPTER_SENT, running(replicas=()), Options(restart=True), Action.LATER),
        (CODE_SENT, running(loaded=served()), Options(), Action.RESTART),
        (CODE_SENT, running(loaded=None), Options(), Action.RESTART),
        (None, running(loaded=served()), Options(previous=True), Action.RESTART),
        (None, running(replicas=()), Options(previous=True), Action.LATER),
        (plan(), running(loaded=served(), properties={"template": {}}), Options(), Action.NEW_REVISION),
        (plan(), running(replicas=(), properties={"template": {}}), Options(wake=True), Action.NEW_REVISION),
    ],
)
def test_the_cheapest_action_that_is_enough(done, runs, options, action):
    """A new revision where the app must differ; nothing runs: later; else as little as makes what runs new."""
    assert cheapest_action(done, runs, options) is action


@pytest.mark.parametrize(
    ("made", "action"),
    [
        (NOW + timedelta(minutes=1), Action.NOTHING),
        (NOW - timedelta(minutes=1), Action.RESTART),
        (None, Action.NOTHING),
    ],
)
def test_an_app_without_hashes_is_judged_by_its_replica_s_age(made, action):
    """Younger than the newest code on the share: it has loaded that."""
    written = Manifest({path: replace(entry, written=NOW.isoformat()) for path, entry in CODE.items()})

    assert cheapest_action(plan(after=written, before=written), running(created=made), Options()) is action


@pytest.mark.parametrize(
    ("version", "manifest", "loaded"),
    [
        (served(), DEPLOYED, True),
        (served(), NEW_CODE, False),
        (served(), NEW_WEIGHTS, False),
        (served(changed=True), DEPLOYED, False),
        (served(weights="fine-tuned on the share"), Manifest(CODE), True),
        (served(code={"inference/start.py": "code"}), DEPLOYED, False),
        ({"code": {path: entry.sha256 for path, entry in CODE.items()}}, DEPLOYED, True),
        ({}, DEPLOYED, False),
    ],
)
def test_what_counts_as_loaded(version, manifest, loaded):
    """The hashes of all code, and of every adapter that a deploy put there; others say themselves that they changed."""
    assert loaded_is(version, manifest) is loaded


def test_only_the_adapters_that_differ_are_stale():
    """The one whose file differs from what was deployed, by its name and folder; never one that is only evaluated."""
    other = {"id": "other", "path": "models/other", "files": {"adapter_model.safetensors": "x"}}
    evaluated = other | {"id": "other@candidate-1", "path": ".aitk/candidates/1", "changed": True}
    version = served()
    version["adapters"] += [other, evaluated]

    stale = list(stale_adapters(version, NEW_WEIGHTS))

    assert [(one.id, one.path) for one in stale] == [("mine", ADAPTER)]


@pytest.mark.parametrize(
    ("version", "done", "only"),
    [
        (served(), ADAPTER_SENT, True),
        (served(), CODE_SENT, False),
        (None, ADAPTER_SENT, False),
        (served(), plan(changed=["models/new/adapter_config.json"], after=DEPLOYED), False),
        (served(), plan(removed=[f"{ADAPTER}/adapter_config.json"], after=NEW_WEIGHTS), True),
    ],
)
def test_a_swap_is_enough_only_where_nothing_else_is_missing(version, done, only):
    """New content of adapters that the replica serves already, and nothing beside them."""
    assert only_adapters_changed(version, done) is only


@pytest.mark.parametrize(
    ("loading", "made", "options", "action"),
    [
        (True, NOW, Options(), Action.FOLLOW),
        (True, NOW, Options(restart=True), Action.RESTART),
        (True, NOW - timedelta(hours=1), Options(), Action.RESTART),
        (False, NOW, Options(), Action.RESTART),
    ],
)
def test_a_replica_that_loads_what_is_wanted_is_followed(loading, made, options, action):
    """One that is older than the files, or has failed, is restarted."""
    written = (NOW - timedelta(minutes=1)).isoformat()
    there = Manifest({path: replace(entry, written=written) for path, entry in DEPLOYED.files.items()})
    runs = replace(running(loaded={}, created=made), loading=loading)

    assert cheapest_action(plan(after=there, before=there), runs, options) is action
