"""What an endpoint would serve, foreseen from the share's files and the settings."""

import pytest
from tests.support.trainer_folders import CHECKPOINTS

from ai_toolkit.deploy.offered_models import DEFAULT, final_folders, foreseen, told_by
from ai_toolkit.workspace.workspace import Workspace

BASE = "model-cache/org/base/config.json"
PIRATE = "models/pirate/adapter_config.json"


@pytest.fixture
def workspace(tmp_path):
    (tmp_path / "inference").mkdir()
    return Workspace(tmp_path)


def names(on_share, workspace, settings=""):
    (workspace.folder / "inference/settings.toml").write_text(settings)
    return [(one.name, one.fine_tuned) for one in foreseen(on_share, workspace)]


def test_adapters_stand_before_their_base(workspace):
    """As the endpoint names them: the paths below models/ and model-cache/."""
    share = {BASE, PIRATE, "models/a/b/adapter_config.json", "inference/start.py"}

    assert names(share, workspace) == [("a/b", True), ("pirate", True), ("org/base", False)]


def test_steps_of_a_training_are_no_models(workspace):
    """Unless there is nothing else: then the last one."""
    steps = {f"models/run/checkpoint-{step}/adapter_config.json" for step in (1, 2)}

    assert names({BASE, *steps, "models/run/adapter_config.json"}, workspace)[0] == ("run", True)
    assert names(steps, workspace) == [("run/checkpoint-2", True)]


@pytest.mark.parametrize(("there", "served"), CHECKPOINTS)
def test_which_steps_are_offered_is_what_the_app_serves(there, served):
    """The same cases as the app's own."""
    assert final_folders(there) == served


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ('adapters = "none"', [("org/base", False)]),
        ('adapters = ["x/y"]', [("x/y", True), ("org/base", False)]),
        ('[adapters]\nparrot = "x/y"', [("parrot", True), ("org/base", False)]),
        ("serve_base = false", [("pirate", True)]),
        ('base_model = "hub/model@0123"', [("pirate", True), ("hub/model", False)]),
        ("this is = no [toml", [("pirate", True), ("org/base", False)]),
    ],
)
def test_settings_decide(workspace, settings, expected):
    """What they name is called so; what they switch off is not offered."""
    assert names({BASE, PIRATE}, workspace, settings) == expected


def test_whole_model_is_the_fine_tuned_one(workspace):
    """A merged or full fine-tuning lies below models/ and has no base beside it."""
    assert names({"models/merged/config.json"}, workspace) == [("merged", True)]


def test_where_nothing_is_known_the_default_answers(workspace):
    """A request that names no model is answered by every endpoint."""
    assert foreseen((), workspace) == (DEFAULT,)


def test_the_endpoint_s_own_word_counts(workspace):
    """Its limits too; the settings tell how long an answer is."""
    (workspace.folder / "inference/settings.toml").write_text("max_new_tokens = 100")
    entries = [{"id": "base", "max_model_len": 2048}, {"id": "t", "parent": "base"}, {"no": "id"}]
    tuned, base = told_by(entries, workspace)

    assert (tuned.name, tuned.fine_tuned, tuned.answer_tokens) == ("t", True, 100)
    assert (base.name, base.fine_tuned, base.context_tokens) == ("base", False, 2048)
