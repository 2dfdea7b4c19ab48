"""Settings that the app would not start with are found before anything is stopped or sent."""

import shutil

import pytest

from ai_toolkit.deploy.app_settings import check_settings
from ai_toolkit.errors import FileMalformed, ValueImpossible
from ai_toolkit.workspace.template import templates_folder


@pytest.fixture
def app(workspace):
    """The shipped app in the workspace."""
    uncompiled = shutil.ignore_patterns("__pycache__")
    shutil.copytree(templates_folder() / "inference", workspace / "inference", ignore=uncompiled, dirs_exist_ok=True)
    return workspace


def settings(folder, text, encoding="utf-8"):
    (folder / "inference" / "settings.toml").write_bytes(text.encode(encoding))


async def test_the_shipped_settings_are_taken_and_nothing_is_left_behind(app):
    """Whether they fit is asked of the app's own code, which leaves no compiled files in the workspace."""
    await check_settings(app)

    assert not list((app / "inference").rglob("__pycache__"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("max_batch = 0", "max_batch: 0 is less than 1"),
        ('dtype = "float8"', "'float8' is not one of"),
        ("serve_base = 1", "is not true or false"),
        ('base_modle = "auto"', "unknown key 'base_modle'"),
        ("adapters = []", "adapters"),
    ],
)
async def test_what_the_app_would_refuse_is_refused_here(app, text, said):
    """In the app's own words, with the file."""
    settings(app, text)

    with pytest.raises(ValueImpossible, match=r"settings\.toml") as raised:
        await check_settings(app)
    assert said in raised.value.problem


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
async def test_what_is_not_toml_has_its_place(app, encoding):
    """Line and column, also behind a byte-order mark and CRLF."""
    settings(app, "max_batch = 4\r\ndtype = float16\r\n", encoding)

    with pytest.raises(FileMalformed, match=r"settings\.toml, line 2, column 9: this is not TOML"):
        await check_settings(app)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
async def test_settings_count_however_they_were_saved(app, encoding):
    """The app reads what people's editors write, so this is no mistake."""
    settings(app, 'max_batch = 4\r\ndtype = "float16"\r\n', encoding)

    await check_settings(app)


async def test_an_app_of_another_make_has_settings_of_its_own(workspace):
    """Of these only the form is known."""
    settings(workspace, "colour = 'red'")

    await check_settings(workspace)


async def test_a_folder_without_settings_is_no_mistake(workspace):
    """The app has a default for each."""
    (workspace / "inference/settings.toml").unlink()

    await check_settings(workspace)
