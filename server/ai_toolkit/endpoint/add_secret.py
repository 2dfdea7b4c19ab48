"""Use-case: Add Azure Container Apps secret for inference: a secret that the app reads as an environment variable."""

import re
from dataclasses import dataclass
from typing import Final

from ai_toolkit.command_titles import Title
from ai_toolkit.endpoint.address import open_app
from ai_toolkit.endpoint.revisions import new_revision, wait_until_it_serves
from ai_toolkit.errors import TrafficPinned, UsageError
from ai_toolkit.ui import Input, Ui, WentBack
from ai_toolkit.workspace.workspace import Workspace

_VARIABLE: Final = r"[A-Za-z_][A-Za-z0-9_]{0,99}"


@dataclass(frozen=True)
class SecretAdded:
    """The environment variable, and the container app's secret that it takes its value from."""

    variable: str
    secret: str


async def add_secret(workspace: Workspace, ui: Ui) -> SecretAdded:
    """Asks for name and value, and gives the app a revision that has the secret as an environment variable."""
    workspace.named_target()  # what is not provisioned is said before a value is asked for
    variable, value = await _ask(ui)
    if variable.upper().startswith("AITK_"):
        raise UsageError(f"{variable} belongs to AI Toolkit.", "Choose a name that does not begin with AITK_.")
    # Azure's rule for a secret's name: lower-case letters, digits, hyphens; as for fine-tuning, HF_TOKEN is hf-token.
    secret = re.sub(r"[^a-z0-9]+", "-", variable.lower()).strip("-")
    async with open_app(workspace) as own:
        apps, app = own.apps, own.app
        if not app.takes_new_traffic():
            raise TrafficPinned(app.name, (one.name for one in app.serving))
        ui.report(f"adding {secret}", 10)
        async with new_revision(apps, app, await apps.with_secret(app, secret, value, variable), ui) as made:
            await wait_until_it_serves(apps, app.name, made, ui)
    ui.announce(f"{app.name} has the secret {secret}, as the environment variable {variable}.")
    return SecretAdded(variable, secret)


async def _ask(ui: Ui) -> tuple[str, str]:
    variable = ""
    while True:
        hint = "letters, digits and underscores, not beginning with a digit"
        prompt = "Name of the environment variable, such as HF_TOKEN"
        name = Input(Title.ADD_SECRET, prompt, variable, steps=2, option="NAME", pattern=_VARIABLE, hint=hint)
        variable = await ui.input(name)
        prompt = f"Value of {variable}; it goes to the container app and is stored nowhere else"
        value = Input(
            Title.ADD_SECRET,
            prompt,
            password=True,
            step=2,
            steps=2,
            can_go_back=True,
            pattern=r"[\s\S]+",
            hint="a value",
        )
        try:
            return variable, await ui.input(value)
        except WentBack:
            continue
