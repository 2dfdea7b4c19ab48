"""The view "Endpoint": each fact that `aitk status` knows is a row, with the actions that suit it beside it."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from ai_toolkit.deploy.deployed import ServedAdapter
from ai_toolkit.deploy.status import Live, Loaded, State, Status
from ai_toolkit.editor.commands import COMMANDS
from ai_toolkit.editor.endpoint_rows import rows_of
from ai_toolkit.editor.status_bar import StatusBar
from ai_toolkit.prices.price_list import Hourly
from ai_toolkit.prices.running_cost import Running
from ai_toolkit.workspace.workspace import Workspace

NOW = datetime(2026, 11, 26, 21, 0, tzinfo=UTC)
TARGET = {
    "SUBSCRIPTION_ID": "11111111-1111-4111-8111-111111111111",
    "RESOURCE_GROUP_NAME": "group",
    "STORAGE_ACCOUNT_NAME": "account",
    "FILE_SHARE_NAME": "share",
    "ACA_APP_NAME": "app",
    "ACA_APP_ENDPOINT": "app.example",
}
ON_SHARE = frozenset({"models/pirate/adapter_config.json", "model-cache/org/base/config.json"})
HOURLY = Hourly(2.0, "USD", "2026-08-01")


@pytest.fixture
def workspace(tmp_path):
    folder = tmp_path / "with spaces"
    (folder / "infra").mkdir(parents=True)
    (folder / "infra/inference.config.json").write_text(json.dumps(TARGET))
    return Workspace(folder)


def live(**changes):
    facts = {
        "revision": "app--1",
        "replicas": (),
        "failure": "",
        "deployed": "2026-11-26T20:00:00+00:00",
        "commit": "abcdef0123456789",
        "newer": (),
        "has_files": True,
        "on_share": ON_SHARE,
        "loaded": None,
        "sent_adapters": (ServedAdapter("pirate", "0123456789abcdef"),),
    }
    return Live(**{**facts, **changes})


def rows(workspace, found, state=State.LIVE, told=None):
    status = Status(state, "a sentence", False, "https://app.example", found)
    return {row.label: row for row in rows_of(workspace, status, told, NOW)}


def test_a_sleeping_model_is_told_from_the_share_with_the_hash_that_was_sent(workspace):
    found = rows(workspace, live())

    assert list(found) == ["Endpoint", "Model", "Adapter", "Deployed", "Replica"]
    assert found["Endpoint"].description == "app.example · Azure, group"
    assert found["Model"].description == "org/base"
    assert found["Adapter"].description == "pirate · SHA-256 0123456789ab…"
    assert "abcdef012345" in found["Deployed"].description
    assert "asleep" in found["Replica"].description


def test_a_running_replica_s_own_words_win_and_its_cost_so_far_stands_there(workspace):
    told = Loaded(True, "ready", "org/told", (ServedAdapter("told", "ff" * 32),), ("One at a time.",), "cuda", "bf16")
    running = Running((NOW - timedelta(hours=2),), HOURLY)
    found = rows(workspace, live(replicas=("r",), running=running), told=told)

    assert found["Model"].description == "org/told on cuda, bf16"
    assert found["Adapter"].tooltip.endswith("ff" * 32)
    assert "(2 h 0 min)" in found["Replica"].description
    assert found["Cost"].description == "about 4.00 USD until now, 2.00 USD an hour each"
    assert "One at a time." in found


def test_newer_files_are_rows_that_open_and_deploy_stands_beside(workspace):
    found = rows(workspace, live(newer=("inference/a b.py", "inference/settings.toml")), State.NEWER_FILES)[
        "Newer here"
    ]

    assert (found.description, found.actions) == ("2 files", ("deployInference",))
    assert found.rows[0].file == (workspace.folder / "inference/a b.py").as_uri()


def test_after_a_failed_start_bring_the_previous_deploy_back_is_beside_it(workspace):
    found = rows(workspace, live(failure="It ended."), State.FAILED)

    assert (found["Failed"].description, found["Failed"].actions) == ("It ended.", ("bringBack", "showLogs"))


def test_what_could_not_be_looked_at_says_why_and_nothing_provisioned_has_no_rows(workspace):
    assert list(rows(workspace, None)) == ["Endpoint", "a sentence"]
    workspace.target_path.unlink()

    assert rows(workspace, None, State.NOT_PROVISIONED) == {}


@pytest.mark.parametrize(
    "found",
    [live(), live(rest="It is stopped."), live(starting="it starts"), live(has_files=False), live(deployed=None)],
)
def test_every_action_beside_a_row_is_a_command(workspace, found):
    """Also of an app that was stopped, one that starts, and one that nobody deployed to."""
    actions = {action for row in rows(workspace, found).values() for action in row.actions}

    assert actions
    assert actions <= COMMANDS.keys()


def test_what_a_replica_told_holds_while_that_replica_runs(workspace):
    """A look that asks nobody keeps it in sight; another replica, or another deploy, has said nothing yet."""
    shown = []
    bar = StatusBar(shown.append, lambda _work: None)
    told = Loaded(True, "ready", "org/told")

    def model(found):
        bar.show(workspace, Status(State.LIVE, "", False, "https://app.example", found))
        return next(row.description for row in shown[-1].rows if row.label == "Model")

    assert model(live(replicas=("r1",), loaded=told)) == "org/told"
    assert model(live(replicas=("r1",))) == "org/told"
    assert model(live(replicas=("r2",))) == "org/base"
    assert model(live(replicas=("r1",), deployed="2026-11-26T21:00:00+00:00")) == "org/base"
    bar.working(workspace)
    assert [row.label for row in shown[-1].rows][:2] == ["Endpoint", "Model"]
