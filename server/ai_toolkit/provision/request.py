"""What is wanted, read from the workspace in one step, and where it is wanted: the beginning of a Provision."""

import asyncio
import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from ai_toolkit.azure.connect import LOCAL_RESOURCE_GROUP, Cloud
from ai_toolkit.azure.deployments import Deployments
from ai_toolkit.azure.resource_manager import ResourceManager
from ai_toolkit.azure.subscription_state import SubscriptionState
from ai_toolkit.provision.hidden import secrets_in
from ai_toolkit.provision.installs_at_start import warning as warning_of_installs
from ai_toolkit.provision.microsoft_template import offer_ours
from ai_toolkit.provision.model_fit import ModelsHere, app_settings, models_here
from ai_toolkit.ui import Ui
from ai_toolkit.workspace import parameter_rules
from ai_toolkit.workspace.elsewhere import template_for
from ai_toolkit.workspace.fine_tuning import FineTuning, fine_tuning_of
from ai_toolkit.workspace.given_parameters import given_parameters
from ai_toolkit.workspace.template import Template, check_outputs, workspace_template
from ai_toolkit.workspace.workspace import LOCAL_SUBSCRIPTION, Parameters, Workspace

_MOST_OF_FOLDER: Final = 40
"""Characters of a folder's name in that of its resource group, which has 90 at most."""


@dataclass(frozen=True)
class NamedPlace:
    """The subscription and the resource group that the workspace names already; `note` marks them in a list."""

    subscription: str | None
    resource_group: str | None
    note: str
    folder: Path

    @property
    def own_group(self) -> str:
        """A name for the folder's resource group on this computer: the same whenever it is asked for, no other's."""
        real = self.folder.resolve()
        plain = re.sub(r"[^a-z0-9]+", "-", real.name.lower()).strip("-")[:_MOST_OF_FOLDER] or "workspace"
        return f"{LOCAL_RESOURCE_GROUP}-{plain}-{hashlib.sha256(os.path.normcase(real).encode()).hexdigest()[:6]}"

    def mark(self, value: str, named: str | None) -> str:
        """The note for a value that is the named one, else nothing."""
        return self.note if named is not None and value.lower() == named.lower() else ""


@dataclass(frozen=True)
class Wanted:
    """What the workspace's files say; `models` is None where they hold no adapter and no base model."""

    template: Template
    given: Parameters
    fine_tuning: FineTuning
    named: NamedPlace
    models: ModelsHere | None
    app_settings: Mapping[str, Any] = field(default_factory=dict)

    def placed(self, place: "Place") -> "Wanted":
        """The same with the template as it is deployed there: what ids of other groups name is used where it is."""
        return replace(self, template=template_for(self.template, self.given, place.subscription, place.resource_group))

    @property
    def secrets(self) -> tuple[str, ...]:
        """The texts that are given for secure parameters, and are never shown."""
        return secrets_in(self.given.values, self.template.secure)


@dataclass(frozen=True)
class Place:
    """Where to provision; `new` when the resource group is to be created, for that `workspace` on this computer."""

    subscription: str
    resource_group: str
    location: str
    new: bool
    workspace: str | None = None

    @property
    def group_id(self) -> str:
        return f"/subscriptions/{self.subscription}/resourceGroups/{self.resource_group}"


@dataclass(frozen=True)
class Site:
    """Where to provision, and what can be asked there."""

    cloud: Cloud
    manager: ResourceManager
    place: Place
    deployments: Deployments
    state: SubscriptionState

    @property
    def local(self) -> bool:
        return self.place.subscription == LOCAL_SUBSCRIPTION

    @property
    def group_id(self) -> str:
        return self.place.group_id


async def read_workspace(workspace: Workspace, ui: Ui, *, offer: bool) -> Wanted:
    """What the workspace's files want; with `offer`, a template of Microsoft's may be replaced by ours first.

    Raises WorkspaceError for the first file or value that cannot be right, Dismissed.
    """
    await offer_ours(workspace, ui, ask=offer)
    template = await workspace_template(workspace)
    given = (await given_parameters(workspace)).spelled_as(template.parameters)
    parameter_rules.check(given, template.parameters)
    parameter_rules.check_complete(given, template.parameters)
    check_outputs(workspace, template)
    for warning in (*given.warnings, warning_of_installs(given.values.get("defaultCommands"))):
        if warning:
            ui.announce(warning)
    models = await asyncio.to_thread(models_here, workspace.folder)
    tuned = fine_tuning_of(workspace.folder, workspace.finetuning_path, workspace.finetuning())
    settings = await asyncio.to_thread(app_settings, workspace.folder)
    return Wanted(template, given, tuned, named_place(workspace), models, settings)


def named_place(workspace: Workspace) -> NamedPlace:
    """What `inference.config.json` names, else what fine-tuning's file does. Raises for a file that cannot be read."""
    target = workspace.target_or_none()
    if target is not None:
        return NamedPlace(target.subscription, target.resource_group, "current", workspace.folder)
    tuned = workspace.finetuning()
    group = tuned.get("RESOURCE_GROUP_NAME")
    return NamedPlace(tuned.get("SUBSCRIPTION_ID"), group, "of fine-tuning", workspace.folder)
