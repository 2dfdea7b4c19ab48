"""The options that several commands have."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import click
from click.core import ParameterSource

from ai_toolkit.azure.sign_in_choice import CREDENTIALS, SIGN_IN, SignIn
from ai_toolkit.workspace.workspace import Workspace


def _as_workspace(_context: click.Context, _option: click.Parameter, folder: Path) -> Workspace:
    return Workspace(folder.absolute())


workspace_option = click.option(
    "--workspace",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    callback=_as_workspace,
    show_default="the current folder",
    help="The folder with infra/ and inference/.",
)
_json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
credential_option = click.option(
    "--credential",
    type=click.Choice([name for name in CREDENTIALS if name != "vscode"]),
    default="auto",
    envvar="AITK_CREDENTIAL",
    show_default=True,
    show_envvar=True,
    expose_value=False,
    callback=lambda _context, _option, chosen: SIGN_IN.set(SignIn(partial(_same, chosen))),
    help="Whose Azure account: that of the Azure CLI, of azd, of the environment, or of a browser sign-in.",
)
yes_option = click.option("--yes", is_flag=True, help="Agree to what is shown instead of being asked.")

_Command: TypeAlias = Callable[..., Any]


def common(command: _Command) -> _Command:
    """A command with the options that all of them have."""
    return workspace_option(credential_option(_json_option(command)))


async def _same(chosen: str) -> str:
    return chosen


def is_given(option: str) -> bool:
    """Whether the running command's option was written, and is not from an environment variable or the default."""
    return click.get_current_context().get_parameter_source(option) is ParameterSource.COMMANDLINE
