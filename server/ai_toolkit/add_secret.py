"""Use-case: Add Azure Container Apps secret for inference: a secret that the app reads as an environment variable."""

import asyncio
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ai_toolkit.cloud import open_cloud
from ai_toolkit.errors import UsageError
from ai_toolkit.ui import Input, Ui, WentBack
from ai_toolkit.workspace import Workspace

if TYPE_CHECKING:
    from ai_toolkit.azure.container_apps import ContainerApp, ContainerApps

_TITLE: Final = "Add Azure Container Apps secret for inference"
_VARIABLE: Final = r"[A-Za-z_][A-Za-z0-9_]{0,99}"
_LOOK_AGAIN_SECONDS: Final = 0.3


@dataclass(frozen=True)
class SecretAdded:
    """The environment variable, and the container app's secret that it takes its value from."""

    variable: str
    secret: str


async def add_secret(workspace: Workspace, ui: Ui) -> SecretAdded:
    """Asks for name and value, and gives the app a revision that has the secret as an environment variable."""
    target = workspace.target()
    variable, value = await _ask(ui)
    if variable.upper().startswith("AITK_"):
        raise UsageError(f"{variable} belongs to AI Toolkit.", "Choose a name that does not begin with AITK_.")
    # Azure's rule for a secret's name: lower-case letters, digits, hyphens; as for fine-tuning, HF_TOKEN is hf-token.
    secret = re.sub(r"[^a-z0-9]+", "-", variable.lower()).strip("-")
    async with (
        open_cloud(target.subscription) as cloud,
        cloud.container_apps(target.subscription, target.resource_group) as apps,
    ):
        app = await apps.app(target.app)
        ui.report(f"adding {secret}", 10)
        adding = asyncio.ensure_future(apps.add_secret(target.app, secret, value, variable))
        try:
            await _make_room(apps, app, adding, ui)
            await adding
        finally:
            adding.cancel()
    ui.announce(f"{target.app} has the secret {secret}, as the environment variable {variable}.")
    return SecretAdded(variable, secret)


async def _make_room(apps: "ContainerApps", before: "ContainerApp", adding: "asyncio.Future[None]", ui: Ui) -> None:
    """Ends the old revision's replicas as soon as there is a new one, which waits for their GPU."""
    while not adding.done():
        now = await apps.app(before.name)
        if now.active_revision != before.active_revision:
            if await apps.replicas(before.name, before.active_revision):
                ui.report("restarting the replica with the secret", 50)
                await apps.deactivate(before.name, before.active_revision)
            return
        await asyncio.sleep(_LOOK_AGAIN_SECONDS)


async def _ask(ui: Ui) -> tuple[str, str]:
    variable = ""
    while True:
        hint = "letters, digits and underscores, not beginning with a digit"
        prompt = "Name of the environment variable, such as HF_TOKEN"
        name = Input(_TITLE, prompt, variable, steps=2, option="NAME", pattern=_VARIABLE, hint=hint)
        variable = await ui.input(name)
        prompt = f"Value of {variable}; it goes to the container app and is stored nowhere else"
        value = Input(
            _TITLE, prompt, password=True, step=2, steps=2, can_go_back=True, pattern=r"[\s\S]+", hint="a value"
        )
        try:
            return variable, await ui.input(value)
        except WentBack:
            continue
