"""Asks where to provision: this computer or an Azure subscription, the resource group, its location."""

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final

from ai_toolkit.azure.connect import LOCAL_LOCATION, Cloud, open_cloud
from ai_toolkit.azure.resource_manager import (
    ResourceGroup,
    ResourceManager,
    Subscription,
    list_locations,
)
from ai_toolkit.azure.tenants import TenantSubscriptions, find_subscription, read_tenants
from ai_toolkit.command_titles import Title
from ai_toolkit.errors import SignInNeeded, SubscriptionDisabled, SubscriptionUnknown, UsageError
from ai_toolkit.operating_system import CANNOT_RUN_HERE
from ai_toolkit.provision.request import NamedPlace, Place
from ai_toolkit.provision.wizard import Wizard
from ai_toolkit.ui import Choice, Input, Pick, Ui, confirm
from ai_toolkit.workspace.workspace import GUID, LOCAL_SUBSCRIPTION

_AZURE: Final = "azure"
_SIGN_IN: Final = "sign-in"
_NEW_GROUP: Final = "+"
_LIKE_AN_ID: Final = re.compile(r"[0-9a-fA-F-]{24,48}")
# Source: https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules#microsoftresources
# Letters and digits of any alphabet are allowed; the editor's own check leaves other alphabets to `_is_group_name`.
_GROUP_PATTERN: Final = r"[A-Za-z0-9_().\u00aa-\uffff-]{0,89}[A-Za-z0-9_()\u00aa-\uffff-]"
_GROUP_HINT: Final = "1 to 90 letters, digits, underscores, hyphens, periods and parentheses; no period at the end"


@dataclass(frozen=True)
class Answers:
    """What the caller knows already; None is asked. `agreed` skips the question before something is created.

    `put_back` undoes what somebody changed since; `remove_additions` takes away what somebody added to it;
    `proposed_gpu` takes the GPU that is proposed.
    """

    subscription: str | None = None
    resource_group: str | None = None
    location: str | None = None
    agreed: bool = False
    put_back: bool = False
    remove_additions: bool = False
    proposed_gpu: bool = False

    def filled(self, named: NamedPlace) -> "Answers":
        """Agreed to, and with what the workspace names where nothing else was said."""
        subscription = self.subscription or named.subscription
        same = subscription is not None and subscription.lower() == (named.subscription or "").lower()
        group = self.resource_group or (named.resource_group if same else None)
        return replace(self, subscription=subscription, resource_group=group, agreed=True)


@dataclass(frozen=True)
class Chosen:
    """The place, the cloud that it is in, as seen in the subscription's tenant, and its resource manager."""

    cloud: Cloud
    manager: ResourceManager
    place: Place


@asynccontextmanager
async def choose_target(ui: Ui, answers: Answers, named: NamedPlace) -> AsyncIterator[Chosen]:
    """The place to provision in, asked for as far as `answers` leave it open, and its cloud while the context lasts.

    Raises Dismissed, SignInNeeded, SubscriptionUnknown, SubscriptionDisabled, UsageError.
    """
    _check(answers)
    async with AsyncExitStack() as stack:
        wizard = Wizard(ui)
        questions = _Questions(ui, wizard, answers, named, stack)
        yield await wizard.run(questions.ask)


class _Questions:
    """The questions in their order; what was looked up is kept, because Back asks some of them again."""

    def __init__(self, ui: Ui, wizard: Wizard, answers: Answers, known: NamedPlace, stack: AsyncExitStack) -> None:
        self._ui = ui
        self._wizard = wizard
        self._answers = answers
        self._known = known
        self._stack = stack
        self._clouds: dict[str, Cloud] = {}
        self._managers: dict[str, ResourceManager] = {}
        self._groups: dict[str, list[ResourceGroup]] = {}
        self._tenants: list[TenantSubscriptions] | None = None
        self._told: str | None = None

    async def ask(self) -> Chosen:
        where = self._answers.subscription or await self._where()
        if where == LOCAL_SUBSCRIPTION:
            return await self._local()
        if self._answers.subscription is not None:
            cloud, subscription = await self._given_subscription(self._answers.subscription)
        else:
            cloud, subscription = await self._pick_subscription()
        manager = await self._manager(cloud, subscription.id)
        place = await self._group(cloud, manager, subscription.id)
        return Chosen(cloud, manager, place)

    async def _where(self) -> str:
        current = self._known.subscription
        here = self._known.note if current == LOCAL_SUBSCRIPTION else ""
        about = CANNOT_RUN_HERE[0] if CANNOT_RUN_HERE else _note(self._local_group, here)
        label = "This computer (local cloud, no Azure subscription needed)"
        local = Choice(LOCAL_SUBSCRIPTION, label, about, disabled=CANNOT_RUN_HERE is not None)
        named = f"{self._known.note}: {current}" if current and not here else ""
        azure = Choice(_AZURE, "An Azure subscription…", named)
        question = Pick(
            Title.PROVISION, "Where should the model run?", (local, azure), option="--local or --subscription"
        )
        return await self._wizard.pick(question, following=2)

    @property
    def _local_group(self) -> str:
        """The group that the workspace names on this computer, an older version's included; else one of its own."""
        named = self._known.resource_group if self._known.subscription == LOCAL_SUBSCRIPTION else None
        return named or self._known.own_group

    async def _local(self) -> Chosen:
        cloud = await self._cloud(LOCAL_SUBSCRIPTION)
        manager = await self._manager(cloud, LOCAL_SUBSCRIPTION)
        name = self._answers.resource_group or self._local_group
        group = await manager.resource_group(name)
        location = group.location if group else self._answers.location or LOCAL_LOCATION
        return Chosen(
            cloud,
            manager,
            Place(LOCAL_SUBSCRIPTION, name, location, new=group is None, workspace=str(self._known.folder)),
        )

    async def _given_subscription(self, wanted: str) -> tuple[Cloud, Subscription]:
        cloud = await self._cloud(_AZURE)
        found = await find_subscription(cloud.connection, await self._id_of(cloud, wanted))
        if found is None:
            tenants = await self._read_tenants(cloud)
            known = [f"{one.name} {one.id}" for tenant in tenants for one in tenant.subscriptions]
            raise SubscriptionUnknown(wanted, known)
        if not found.enabled:
            raise SubscriptionDisabled(found.name, found.id)
        await self._tell_account(cloud)
        return cloud, found

    async def _id_of(self, cloud: Cloud, wanted: str) -> str:
        """The id of the subscription that is given by its id or its name. Raises SubscriptionUnknown, UsageError."""
        if GUID.fullmatch(wanted.strip()):
            return wanted.strip()
        tenants = await self._read_tenants(cloud)
        every = [one for tenant in tenants for one in tenant.subscriptions]
        named = [one for one in every if one.name.casefold() == wanted.strip().casefold()]
        if not named:
            raise SubscriptionUnknown(wanted, [f"{one.name} {one.id}" for one in every])
        if len(named) > 1:
            ids = ", ".join(one.id for one in named)
            raise UsageError(f"{len(named)} subscriptions have the name {wanted}.", f"Give the id of one: {ids}.")
        return named[0].id

    async def _pick_subscription(self) -> tuple[Cloud, Subscription]:
        cloud = await self._cloud(_AZURE)
        begin = self._wizard.place
        while True:
            problem = None
            tenants: list[TenantSubscriptions] = []
            try:
                tenants = await self._read_tenants(cloud)
                await self._tell_account(cloud)
            except SignInNeeded as error:
                if not self._can_sign_in(cloud):
                    raise
                problem = " ".join(error.details) or error.reason
            readable = [one for one in tenants if one.subscriptions]
            tenant = readable[0] if readable else None
            if len(readable) > 1:
                chosen = await self._wizard.pick(self._tenant_question(cloud, tenants), following=2)
                tenant = next((one for one in readable if one.tenant.id == chosen), None)
            if tenant is not None or len(readable) <= 1:
                unreadable = tenants if len(readable) <= 1 else []
                question = self._subscription_question(cloud, tenant, unreadable, problem)
                chosen = await self._wizard.pick(question, following=1)
            if chosen != _SIGN_IN:
                break
            self._wizard.return_to(begin)
            await self._sign_in(cloud)
        assert tenant is not None  # only subscriptions of one can be chosen
        seen = self._clouds.setdefault(tenant.tenant.id, cloud.in_tenant(tenant.tenant.id))
        return seen, next(one for one in tenant.subscriptions if one.id == chosen)

    def _tenant_question(self, cloud: Cloud, tenants: list[TenantSubscriptions]) -> Pick:
        def names(one: TenantSubscriptions) -> str:
            return next((mark for each in one.subscriptions if (mark := self._mark_of(each))), "")

        items = [
            Choice(one.tenant.id, one.tenant.name, _note(_counted(len(one.subscriptions)), names(one)))
            for one in sorted(tenants, key=lambda one: (not names(one), one.tenant.name.lower()))
            if one.subscriptions
        ]
        items += [_unreadable(one) for one in tenants if not one.subscriptions]
        placeholder = f"Choose a tenant. {self._told}"
        return Pick(Title.PROVISION, placeholder, (*items, *self._sign_in_item(cloud)), option="--subscription")

    def _subscription_question(
        self, cloud: Cloud, tenant: TenantSubscriptions | None, others: list[TenantSubscriptions], problem: str | None
    ) -> Pick:
        found = tenant.subscriptions if tenant else ()
        items = [
            Choice(
                one.id,
                one.name,
                _note(one.id, "" if one.enabled else "disabled in Azure", self._mark_of(one)),
                disabled=not one.enabled,
            )
            for one in sorted(found, key=lambda one: (not self._mark_of(one), not one.enabled, one.name.lower()))
        ]
        if problem is not None:
            items.append(Choice("problem", "Not signed in", problem, disabled=True))
        elif not items:
            items.append(Choice("problem", "This account sees no subscription", disabled=True))
        items += [_unreadable(one) for one in others if not one.subscriptions]
        placeholder = f"Choose a subscription. {self._told}" if problem is None else "Sign in to choose a subscription"
        return Pick(Title.PROVISION, placeholder, (*items, *self._sign_in_item(cloud)), option="--subscription")

    async def _group(self, cloud: Cloud, manager: ResourceManager, subscription: str) -> Place:
        name = self._answers.resource_group or await self._pick_group(manager, subscription)
        typed = name == _NEW_GROUP
        if typed:
            name = await self._new_name()
        group = await manager.resource_group(name) if _is_group_name(name) else None
        if group is not None:
            if typed:
                self._ui.announce(f"The resource group {group.name} exists already, in {group.location}: it is used.")
            return Place(subscription, group.name, group.location, new=False)
        if not _is_group_name(name):
            raise UsageError(f'"{name}" cannot be the name of a resource group.', f"It takes {_GROUP_HINT}.")
        location = await self._location(cloud, manager, subscription)
        if not typed and not self._answers.agreed:
            await confirm(self._ui, f"The resource group {name} does not exist in {location}.", f"Create {name}")
        return Place(subscription, name, location, new=True)

    async def _pick_group(self, manager: ResourceManager, subscription: str) -> str:
        groups = await self._groups_of(manager, subscription)
        marks = {group.name: self._known.mark(group.name, self._known.resource_group) for group in groups}
        items = [
            Choice(group.name, group.name, _note(group.location, marks[group.name]))
            for group in sorted(groups, key=lambda group: (not marks[group.name], group.name.lower()))
        ]
        new = Choice(_NEW_GROUP, "Create new resource group…")
        first = 1 if items and marks[items[0].id] else 0
        shown = (*items[:first], new, *items[first:])
        return await self._wizard.pick(
            Pick(Title.PROVISION, "Choose a resource group", shown, option="--resource-group")
        )

    async def _new_name(self) -> str:
        question = Input(
            Title.PROVISION,
            "Name of the new resource group",
            option="--resource-group",
            pattern=_GROUP_PATTERN,
            hint=_GROUP_HINT,
        )
        while True:
            name = await self._wizard.input(question, following=1)
            if _is_group_name(name):
                return name
            self._ui.announce(f'"{name}" cannot be the name of a resource group: it takes {_GROUP_HINT}.')
            self._wizard.return_to(self._wizard.place - 1)

    async def _location(self, cloud: Cloud, manager: ResourceManager, subscription: str) -> str:
        self._ui.report("reading locations")
        known = dict(await list_locations(cloud.connection, subscription))
        given = self._answers.location
        if given is not None:
            plain = given.replace(" ", "").lower()
            if plain not in known:
                raise UsageError(
                    f"{given} is not a location of this subscription.", f"Choose one of {', '.join(known)}."
                )
            return plain
        groups = await self._groups_of(manager, subscription)
        named = next((one.location for one in groups if self._known.mark(one.name, self._known.resource_group)), None)
        items = tuple(
            Choice(name, label, _note(name, self._known.mark(name, named)))
            for name, label in sorted(known.items(), key=lambda one: (one[0] != named, one[1]))
        )
        return await self._wizard.pick(Pick(Title.PROVISION, "Choose a location", items, option="--location"))

    async def _cloud(self, subscription: str) -> Cloud:
        if subscription not in self._clouds:
            opened = open_cloud(LOCAL_SUBSCRIPTION if subscription == LOCAL_SUBSCRIPTION else None)
            self._clouds[subscription] = await self._stack.enter_async_context(opened)
        return self._clouds[subscription]

    async def _manager(self, cloud: Cloud, subscription: str) -> ResourceManager:
        if subscription not in self._managers:
            self._managers[subscription] = await self._stack.enter_async_context(cloud.resource_manager(subscription))
        return self._managers[subscription]

    async def _groups_of(self, manager: ResourceManager, subscription: str) -> list[ResourceGroup]:
        if subscription not in self._groups:
            self._ui.report("reading resource groups")
            self._groups[subscription] = await manager.resource_groups()
        return self._groups[subscription]

    async def _read_tenants(self, cloud: Cloud) -> list[TenantSubscriptions]:
        if self._tenants is None:
            self._ui.report("reading subscriptions")
            self._tenants = await read_tenants(cloud)
        return self._tenants

    async def _tell_account(self, cloud: Cloud) -> None:
        if cloud.account is not None and self._told is None:
            self._told = f"Signed in as {await cloud.account.account()}"
            self._ui.announce(f"{self._told}.")

    def _can_sign_in(self, cloud: Cloud) -> bool:
        return cloud.account is not None and cloud.account.can_sign_in

    def _sign_in_item(self, cloud: Cloud) -> tuple[Choice, ...]:
        if not self._can_sign_in(cloud):
            return ()
        return (Choice(_SIGN_IN, "Sign in to Azure…", "with another account" if self._told else "opens a browser"),)

    async def _sign_in(self, cloud: Cloud) -> None:
        """A sign-in that fails is told, and the question comes again: the person may dismiss it."""
        assert cloud.account is not None  # or it would not have been offered
        self._ui.report("waiting for the sign-in")
        try:
            notice = await cloud.account.sign_in()
        except SignInNeeded as error:
            self._ui.announce(str(error))
            return
        if notice is not None:
            self._ui.announce(notice)
        self._tenants = self._told = None
        self._managers.clear()
        self._groups.clear()

    def _mark_of(self, subscription: Subscription) -> str:
        return self._known.mark(subscription.id, self._known.subscription)


def _unreadable(one: TenantSubscriptions) -> Choice:
    reason = f"cannot be read: {one.problem}" if one.problem else "no subscription"
    return Choice(one.tenant.id, one.tenant.name, reason, disabled=True)


def _counted(subscriptions: int) -> str:
    return "1 subscription" if subscriptions == 1 else f"{subscriptions} subscriptions"


def _note(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def _check(answers: Answers) -> None:
    """Says what cannot be an answer before anybody signs in or Azure is asked. Raises UsageError."""
    subscription, group = (answers.subscription or "").strip(), answers.resource_group
    if _LIKE_AN_ID.fullmatch(subscription) and not GUID.fullmatch(subscription):
        advice = "It has 32 hexadecimal digits, in groups of 8, 4, 4, 4 and 12; a subscription's name is taken too."
        raise UsageError(f"{subscription} is no id of a subscription.", advice)
    if group is not None and not _is_group_name(group):
        raise UsageError(f'"{group}" cannot be the name of a resource group.', f"It takes {_GROUP_HINT}.")


def _is_group_name(name: str) -> bool:
    """Whether Azure takes it: letters and digits of any alphabet, some signs, no period at the end."""
    return bool(re.fullmatch(r"[\w().-]{0,89}[\w()-]", name))
