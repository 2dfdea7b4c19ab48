"""What is known to be wrong is said before anything is sent, with its place, unless it is sent all the same."""

import shutil

import pytest
from tests.support.azure_files import AzureFiles, put
from tests.support.provisioning import Person

from ai_toolkit.deploy.known_wrong import check_files, check_plan
from ai_toolkit.deploy.local_files import local_files
from ai_toolkit.deploy.sync_plan import plan_sync
from ai_toolkit.errors import WorkspaceError
from ai_toolkit.workspace.template import add_to_workspace, templates_folder
from ai_toolkit.workspace.workspace import Workspace

PARAMETERS = "infra/provision/inference.parameters.json"


@pytest.fixture
def own(workspace):
    """A workspace with the shipped templates and app."""
    shutil.rmtree(workspace)
    add_to_workspace(workspace)
    return Workspace(workspace)


async def looked(own, tmp_path, *, force=False, **on_share):
    """What is said of the plan, with these files on the share."""
    person, azure_files = Person(), AzureFiles(tmp_path / f"shares{len(list(tmp_path.iterdir()))}")
    put(azure_files.folder, **on_share)
    async with azure_files.opened() as share:
        plan = await plan_sync(share, local_files(own.folder))
        await check_plan(own, plan, share, person, force=force)
    return person.text


async def test_what_is_shipped_is_not_wrong(own, tmp_path):
    await check_files(own, Person(), force=False)

    assert not await looked(own, tmp_path)


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        (PARAMETERS, '{"parameters": {"acaAppName": {"value": "Not Allowed"}}}', "line 1, column 41: acaAppName: "),
        (PARAMETERS, '{"parameters":\n{"maximumInstanceCount": {"value": "two"}}}', "line 2, column 3"),
        ("inference/settings.toml", "max_batch = '4'", "max_batch: '4' is not a whole number"),
    ],
)
async def test_what_the_editor_underlines_is_refused(own, file, text, said):
    """Types too, with line and column."""
    (own.folder / file).write_text(text)
    with pytest.raises(WorkspaceError) as raised:
        await check_files(own, Person(), force=False)
    person = Person()
    await check_files(own, person, force=True)

    assert said in raised.value.message
    assert "--force" in raised.value.advice
    assert said in person.text


@pytest.mark.parametrize(
    ("text", "said"),
    [("def f(:\n    pass\n", "line 1, column 7"), ("x = 1\nreturn = 2\n", "line 2, column 8"), ("a\0b", "null bytes")],
)
async def test_code_that_does_not_compile_is_refused(own, tmp_path, text, said):
    (own.folder / "inference" / "mine.py").write_text(text)
    with pytest.raises(WorkspaceError, match=r"mine\.py") as raised:
        await looked(own, tmp_path)

    assert said in raised.value.message
    assert "cannot compile" in raised.value.message
    assert "Sent all the same" in await looked(own, tmp_path, force=True)
    assert not list((own.folder / "inference").rglob("__pycache__"))


async def test_code_that_is_on_the_share_already_is_not_judged_again(own, tmp_path):
    """Another Python may take what this one does not."""
    (own.folder / "inference" / "mine.py").write_text("def f(:")

    assert not await looked(own, tmp_path, **{"inference/mine.py": "def f(:"})


async def test_a_model_that_is_nowhere_is_refused(own, tmp_path):
    """And one that lies on the share alone, where fine-tuning left it, is not."""
    shipped = (templates_folder() / "inference" / "settings.toml").read_text("utf-8")
    settings = own.folder / "inference" / "settings.toml"
    settings.write_text(shipped.replace('adapters = "auto"', 'adapters = ["qlora/mine"]'))
    with pytest.raises(WorkspaceError, match="models/qlora/mine is neither here nor"):
        await looked(own, tmp_path)

    assert not await looked(own, tmp_path, **{"models/qlora/mine/adapter_config.json": "{}"})
