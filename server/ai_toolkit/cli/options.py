"""The options that several commands have."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

import click
from click.core import ParameterSource

from ai_toolkit.azure.sign_in_choice import CREDENTIALS, SIGN_IN, SignIn
from ai_toolkit.workspace.workspace import Workspace

_Command: TypeAlias = Callable[..., Any]
_CHOSEN: Final = "ai_toolkit."
"""What the options that concern every command's output begin with, among what a context keeps."""


def _as_workspace(_context: click.Context, _option: click.Parameter, folder: Path) -> Workspace:
    try:
        here = folder.absolute()
    except FileNotFoundError as error:
        raise click.UsageError("The current folder was deleted. Go to another one, or name it: --workspace.") from error
    if not here.is_dir():
        what = "is no folder" if here.exists() else "does not exist"
        raise click.BadParameter(f"the folder {here} {what}.", param_hint="--workspace")
    return Workspace(here)


def _keep(context: click.Context, option: click.Parameter, *, value: bool) -> None:
    if value:
        context.meta[f"{_CHOSEN}{option.name}"] = True


def chosen(name: str) -> bool:
    """Whether the running command was given `--debug` or `--verbose`."""
    context = click.get_current_context(silent=True)
    return bool(context and context.meta.get(f"{_CHOSEN}{name}"))


def _flag(name: str, about: str) -> Callable[[_Command], _Command]:
    return click.option(
        f"--{name}",
        is_flag=True,
        expose_value=False,
        callback=lambda context, option, value: _keep(context, option, value=value),
        help=about,
    )


workspace_option = click.option(
    "--workspace",
    type=click.Path(path_type=Path),
    default=Path(),
    callback=_as_workspace,
    show_default="the current folder",
    help="The folder with infra/ and inference/.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
verbose_option = _flag("verbose", "Tell everything, also what is as usual.")
debug_option = _flag("debug", "Show this program's own log on stderr (aitk logs --own keeps it).")
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


def common(command: _Command) -> _Command:
    """A command with the options that all of them have."""
    return workspace_option(credential_option(json_option(verbose_option(debug_option(command)))))


async def _same(chosen: str) -> str:
    return chosen


def is_given(option: str) -> bool:
    """Whether the running command's option was written, and is not from an environment variable or the default."""
    return click.get_current_context().get_parameter_source(option) is ParameterSource.COMMANDLINE
