"""Asks where to provision: this computer or an Azure subscription, the resource group, its location."""

from dataclasses import dataclass
from typing import Final

from ai_toolkit.azure.resource_manager import ResourceManager, list_locations, list_subscriptions
from ai_toolkit.cloud import LOCAL_LOCATION, LOCAL_RESOURCE_GROUP, Cloud, open_cloud
from ai_toolkit.errors import SubscriptionUnknown, UsageError
from ai_toolkit.ui import Choice, Input, Pick, Ui, WentBack, confirm
from ai_toolkit.workspace import LOCAL_SUBSCRIPTION, Workspace

_TITLE: Final = "Provision Azure Container Apps for inference"
_AZURE: Final = "azure"
_NEW_GROUP: Final = "+"


@dataclass(frozen=True)
class Answers:
    """What the caller knows already; None is asked. `agreed` skips the question before something is created."""

    subscription: str | None = None
    resource_group: str | None = None
    location: str | None = None
    agreed: bool = False


@dataclass(frozen=True)
class Place:
    """Where to provision; `new` when the resource group is to be created."""

    subscription: str
    resource_group: str
    location: str
    new: bool


async def choose_subscription(ui: Ui, answers: Answers, workspace: Workspace) -> str:
    """The subscription's id. "This computer" can be chosen before any sign-in."""
    if answers.subscription is not None:
        return answers.subscription
    target = workspace.target_or_none()
    current = target.subscription if target else workspace.finetuning().get("SUBSCRIPTION_ID")
    while True:
        here = "current" if current == LOCAL_SUBSCRIPTION else ""
        local = Choice(LOCAL_SUBSCRIPTION, "This computer (local cloud, no Azure subscription needed)", here)
        azure = Choice(_AZURE, "An Azure subscription…", "" if here or not current else f"current: {current}")
        question = Pick(
            _TITLE, "Where should the model run?", (local, azure), steps=3, option="--local or --subscription"
        )
        if await ui.pick(question) == LOCAL_SUBSCRIPTION:
            return LOCAL_SUBSCRIPTION
        try:
            return await _azure_subscription(ui, current)
        except WentBack:
            continue


async def _azure_subscription(ui: Ui, current: str | None) -> str:
    ui.report("reading subscriptions")
    async with open_cloud(None) as cloud:
        found = await list_subscriptions(cloud.connection)
    if not found:
        raise UsageError(
            "This sign-in sees no Azure subscription.",
            "Sign in with another account, or choose This computer.",
        )
    found.sort(key=lambda one: (one.id != current, one.name))
    items = tuple(
        Choice(one.id, one.name, f"{one.id}{', current' if one.id == current else ''}", disabled=not one.enabled)
        for one in found
    )
    question = Pick(_TITLE, "Choose a subscription", items, step=2, steps=3, can_go_back=True, option="--subscription")
    return await ui.pick(question)


async def choose_place(ui: Ui, cloud: Cloud, manager: ResourceManager, subscription: str, answers: Answers) -> Place:
    """Resource group and location in the subscription. Raises SubscriptionUnknown, Dismissed."""
    if subscription == LOCAL_SUBSCRIPTION:
        name = answers.resource_group or LOCAL_RESOURCE_GROUP
        group = await manager.resource_group(name)
        location = group.location if group else answers.location or LOCAL_LOCATION
        return Place(subscription, name, location, new=group is None)
    subscriptions = await list_subscriptions(cloud.connection)
    known = next((one.id for one in subscriptions if one.id.lower() == subscription.lower()), None)
    if known is None:
        raise SubscriptionUnknown(subscription, [f"{one.name} {one.id}" for one in subscriptions])
    subscription = known  # as Azure spells it: the default names hang on its case
    name = answers.resource_group or await _pick_group(ui, manager)
    if name == _NEW_GROUP:
        prompt = "Name of the new resource group"
        name = await ui.input(Input(_TITLE, prompt, step=3, steps=3, option="--resource-group"))
    group = await manager.resource_group(name)
    if group is not None:
        return Place(subscription, group.name, group.location, new=False)
    location = answers.location or await _pick_location(ui, cloud, subscription)
    if not answers.agreed:
        await confirm(ui, f"The resource group {name} does not exist in {location}.", f"Create {name}")
    return Place(subscription, name, location, new=True)


async def _pick_group(ui: Ui, manager: ResourceManager) -> str:
    groups = await manager.resource_groups()
    items = (
        Choice(_NEW_GROUP, "Create new resource group…"),
        *(Choice(group.name, group.name, group.location) for group in groups),
    )
    return await ui.pick(Pick(_TITLE, "Choose a resource group", items, step=3, steps=3, option="--resource-group"))


async def _pick_location(ui: Ui, cloud: Cloud, subscription: str) -> str:
    items = tuple(Choice(name, label, name) for name, label in await list_locations(cloud.connection, subscription))
    return await ui.pick(Pick(_TITLE, "Choose a location", items, step=3, steps=3, option="--location"))
