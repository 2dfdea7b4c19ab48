"""Where to provision, through the real SDKs: the local cloud acts as Azure, with tenants of every kind."""

import asyncio
import gc
import json
import re
import webbrowser

import aiohttp
import pytest
from azure.core.exceptions import HttpResponseError
from tests.support.azure_account import (
    CLOSED,
    CONTOSO,
    FABRIKAM,
    FABRIKAM_REFUSES,
    NORTHWIND,
    NORTHWIND_READABLE,
    PARTNER,
    RESEARCH,
    USER,
    Azure,
    contoso,
)

from ai_toolkit.azure.connect import open_cloud
from ai_toolkit.azure.sign_in_choice import SIGN_IN, SignIn
from ai_toolkit.errors import Dismissed, SignInNeeded, SubscriptionDisabled, SubscriptionUnknown, UsageError
from ai_toolkit.local_cloud import control
from ai_toolkit.local_cloud.faults import FaultInjection
from ai_toolkit.provision.choose_target import Answers, choose_target
from ai_toolkit.provision.request import named_place
from ai_toolkit.ui import WentBack
from ai_toolkit.workspace.workspace import LOCAL_SUBSCRIPTION, Workspace

OTHER = "11111111-2222-3333-4444-555555555555"
BACK = object()
FIRST = "Where should the model run?"


class Person:
    """Answers given in advance, by what is seen; an unforeseen question fails the test."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []
        self.told = []

    async def pick(self, question):
        answer = await self.input(question)
        chosen = [item for item in question.items if item.label == answer]
        assert len(chosen) == 1, f"{answer} is not in {[item.label for item in question.items]}"
        assert not chosen[0].disabled
        return chosen[0].id

    async def input(self, question):
        self.asked.append(question)
        assert self.answers, f"unforeseen: {question}"
        answer = self.answers.pop(0)
        if answer is BACK:
            assert question.can_go_back
            raise WentBack
        if answer is None:
            raise Dismissed
        return answer

    def report(self, message, percentage=None):
        pass

    def announce(self, message, _tone=None):
        self.told.append(message)

    def lines(self, asked):
        """The lines of a pick, by its place or by what it asks."""
        question = self.asked[asked] if isinstance(asked, int) else self.question(asked)
        return [(item.label, item.description, item.disabled) for item in question.items]

    def question(self, text):
        return next(one for one in self.asked if text in getattr(one, "placeholder", getattr(one, "prompt", "")))


@pytest.fixture
async def azure(tmp_path, monkeypatch):
    """An Azure with one tenant of two subscriptions, one of them disabled; nobody is signed in to it."""
    started = await Azure.start(tmp_path)
    for name in ("AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_TENANT_ID", "AZURE_AUTHORITY_HOST"):
        monkeypatch.delenv(name, raising=False)
    for name, value in started.environment.items():
        monkeypatch.setenv(name, value)
    yield started
    await control.stop(started.home)


@pytest.fixture
async def signed_in(azure):
    """The same, and the Azure CLI is signed in."""
    azure.install_cli()
    return azure


async def groups_of(subscription, *names):
    async with open_cloud(subscription) as cloud, cloud.resource_manager(subscription) as manager:
        for name in names:
            await manager.create_resource_group(name, "westus3")


async def chosen_by(person, workspace, answers=None):
    async with choose_target(person, answers or Answers(), named_place(workspace)) as chosen:
        return chosen.place


async def test_this_computer_is_offered_before_any_sign_in(tmp_path, monkeypatch):
    """The first picker needs no cloud and no account; the choice of this computer ends the questions."""
    monkeypatch.setenv("AITK_LOCAL_CLOUD_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AITK_RESOURCE_MANAGER", "https://127.0.0.1:9")
    person = Person("This computer (local cloud, no Azure subscription needed)")
    place = await chosen_by(person, Workspace(tmp_path))
    await control.stop(tmp_path / "home")

    assert (place.subscription, place.resource_group) == (
        LOCAL_SUBSCRIPTION,
        named_place(Workspace(tmp_path)).own_group,
    )
    assert person.lines(0)[0][0].startswith("This computer")
    assert len(person.asked) == 1


async def test_the_way_to_a_new_resource_group(signed_in, tmp_path):
    """Subscription, "Create new resource group…", its name, its location; who is signed in is seen."""
    person = Person("An Azure subscription…", "Research", "Create new resource group…", "new-models", "Norway East")
    place = await chosen_by(person, Workspace(tmp_path))

    assert (place.subscription, place.resource_group, place.location, place.new) == (
        RESEARCH,
        "new-models",
        "norwayeast",
        True,
    )
    assert f"Signed in as {USER} (Azure CLI)" in person.asked[1].placeholder
    assert person.told == [f"Signed in as {USER} (Azure CLI)."]
    assert person.lines(1) == [
        ("Research", RESEARCH, False),
        ("Closed", f"{CLOSED}, disabled in Azure", True),
        ("Sign in to Azure…", "with another account", False),
    ]
    assert [(one.step, one.steps, one.can_go_back) for one in person.asked] == [
        (1, 3, False),
        (2, 3, True),
        (3, 3, True),
        (4, 5, True),
        (5, 5, True),
    ]


async def test_back_leads_through_every_question_and_keeps_what_was_typed(signed_in, tmp_path):
    """From the location back to the first pick and forth again; subscriptions are not read anew."""
    person = Person(
        *("An Azure subscription…", "Research", "Create new resource group…", "mine", BACK, BACK, BACK, BACK),
        *("An Azure subscription…", "Research", "Create new resource group…", "mine", "West US 3"),
    )
    place = await chosen_by(person, Workspace(tmp_path))
    names = [one for one in person.asked if getattr(one, "prompt", "")]

    assert (place.resource_group, place.location) == ("mine", "westus3")
    assert [one.value for one in names] == ["", "mine", "mine"]
    assert len(signed_in.cli_calls) == 2  # the home tenant's token and that of the only tenant


async def test_back_to_this_computer_after_looking_at_azure(signed_in, tmp_path):
    """Nothing of the abandoned way remains."""
    person = Person("An Azure subscription…", BACK, "This computer (local cloud, no Azure subscription needed)")
    place = await chosen_by(person, Workspace(tmp_path))

    assert place.subscription == LOCAL_SUBSCRIPTION


async def test_a_tenant_that_refuses_is_one_disabled_line_with_its_reason(signed_in, tmp_path):
    """It is asked once and stands in nobody's way; the tenant is not asked, for only one can be read."""
    signed_in.knows(contoso(), FABRIKAM_REFUSES)
    person = Person("An Azure subscription…", "Research", None)
    with pytest.raises(Dismissed):
        await chosen_by(person, Workspace(tmp_path))
    (line,) = [line for line in person.lines(1) if line[0] == "Fabrikam"]

    assert line[2]
    assert re.search(r"cannot be read: .*AADSTS50076", line[1])
    assert sum(FABRIKAM in call for call in signed_in.cli_calls) == 1


async def test_the_tenant_is_asked_when_several_can_be_read(signed_in, tmp_path):
    """Theirs are the subscriptions that follow, and what was chosen is reached in its own tenant."""
    signed_in.knows(contoso(), NORTHWIND_READABLE, FABRIKAM_REFUSES)
    person = Person("An Azure subscription…", "Northwind", "Partner", "Create new resource group…", "g", "West US 3")
    async with choose_target(person, Answers(), named_place(Workspace(tmp_path))) as chosen:
        await chosen.manager.create_resource_group(chosen.place.resource_group, chosen.place.location)
        groups = await chosen.manager.resource_groups()

    assert [line[0] for line in person.lines("Choose a tenant")] == [
        "Contoso",
        "Northwind",
        "Fabrikam",
        "Sign in to Azure…",
    ]
    assert [line[0] for line in person.lines("Choose a subscription")] == ["Partner", "Sign in to Azure…"]
    assert [group.name for group in groups] == ["g"]


@pytest.mark.parametrize(
    ("file", "note"), [("inference.config.json", "current"), ("finetuning.config.json", "of fine-tuning")]
)
async def test_what_the_workspace_names_comes_first_and_marked(signed_in, tmp_path, file, note):
    """Tenant, subscription and resource group of the config file lead their lists."""
    signed_in.knows(contoso({"id": OTHER, "name": "Another"}), NORTHWIND_READABLE)
    await groups_of(PARTNER, "a-first", "named")
    infra = tmp_path / "workspace" / "infra"
    infra.mkdir(parents=True)
    named = {"SUBSCRIPTION_ID": PARTNER, "RESOURCE_GROUP_NAME": "named"}
    names = ("STORAGE_ACCOUNT_NAME", "FILE_SHARE_NAME", "ACA_APP_NAME")
    values = named | dict.fromkeys(names, "some") | {"ACA_APP_ENDPOINT": "https://some.example"}
    (infra / file).write_text(json.dumps(values if note == "current" else named))
    person = Person("An Azure subscription…", "Northwind", "Partner", "named")
    place = await chosen_by(person, Workspace(tmp_path / "workspace"))

    assert not place.new
    assert person.lines(0)[1][1] == f"{note}: {PARTNER}"
    assert person.lines(1)[0] == ("Northwind", f"1 subscription, {note}", False)
    assert person.lines(2)[0] == ("Partner", f"{PARTNER}, {note}", False)
    assert person.lines(3)[:3] == [
        ("named", f"westus3, {note}", False),
        ("Create new resource group…", "", False),
        ("a-first", "westus3", False),
    ]


async def test_nobody_signed_in_is_a_line_and_not_a_loop(azure, tmp_path):
    """It says what was looked for; a sign-in is offered and not begun, and one may go back or leave."""
    person = Person("An Azure subscription…", BACK, "An Azure subscription…", None)
    with pytest.raises(Dismissed):
        await chosen_by(person, Workspace(tmp_path))
    (missing, offered) = person.lines(1)

    assert missing[0] == "Not signed in"
    assert missing[2]
    assert re.search(r"Azure CLI: .*Azure Developer CLI: .*environment variables: .*browser: nobody", missing[1])
    assert offered == ("Sign in to Azure…", "opens a browser", False)


# The SDK leaves the closing of its redirect server to the garbage collector.
unclosed_by_the_sdk = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@unclosed_by_the_sdk
async def test_the_browser_opens_when_sign_in_is_chosen_and_not_before(azure, tmp_path, monkeypatch):
    """The person signs in on the page; the subscriptions follow in the same pick, and further tenants' need no page."""
    monkeypatch.setattr(webbrowser, "_tryorder", None)  # it reads BROWSER once per process
    monkeypatch.setenv("BROWSER", azure.install_browser())
    azure.knows(contoso(), NORTHWIND_READABLE)
    person = Person("An Azure subscription…", "Sign in to Azure…", "Contoso", "Research", None)
    with pytest.raises(Dismissed):
        await chosen_by(person, Workspace(tmp_path))

    gc.collect()

    assert len(azure.opened) == 1
    assert person.lines(1)[0][0] == "Not signed in"
    assert f"Signed in as {USER} (browser)" in person.asked[2].placeholder
    assert person.lines(2)[1] == ("Northwind", "1 subscription", False)
    assert person.told[0].startswith("This computer has no encrypted store")


@unclosed_by_the_sdk
async def test_a_sign_in_that_fails_is_told_and_may_be_left(azure, tmp_path, monkeypatch):
    """The same question comes again; nothing loops without the person."""
    monkeypatch.setattr(webbrowser, "_tryorder", None)  # it reads BROWSER once per process
    monkeypatch.setenv("BROWSER", azure.install_browser(denies=True))
    person = Person("An Azure subscription…", "Sign in to Azure…", BACK, None)
    with pytest.raises(Dismissed):
        await chosen_by(person, Workspace(tmp_path))

    gc.collect()

    assert "did not accept the sign-in" in person.told[-1]


async def test_a_given_subscription_is_found_in_whatever_tenant_it_is(signed_in, tmp_path):
    """Its id is enough, in any case; the answer's spelling is Azure's."""
    signed_in.knows(contoso(), NORTHWIND_READABLE)
    person = Person()
    answers = Answers(PARTNER.upper(), "some", "West US 3", agreed=True)
    place = await chosen_by(person, Workspace(tmp_path), answers)

    assert (place.subscription, place.location, place.new) == (PARTNER, "westus3", True)
    assert signed_in.cli_calls[-1].endswith(f"--tenant {NORTHWIND}")


async def test_a_subscription_may_be_given_by_its_name(signed_in, tmp_path):
    """In any case and in any tenant; a name that two have is answered with their ids, one that none has with all."""
    signed_in.knows(contoso(), NORTHWIND_READABLE)
    place = await chosen_by(Person(), Workspace(tmp_path), Answers("partner", "some", "westus3", agreed=True))
    with pytest.raises(SubscriptionUnknown, match=f"Partner {PARTNER}"):
        await chosen_by(Person(), Workspace(tmp_path), Answers("Nobody's", "some", agreed=True))
    twins = [{"id": RESEARCH, "name": "Twin"}, {"id": CLOSED, "name": "twin"}]
    signed_in.knows(contoso(*twins))
    with pytest.raises(UsageError, match=f"{RESEARCH}, {CLOSED}"):
        await chosen_by(Person(), Workspace(tmp_path), Answers("Twin", "some", agreed=True))

    assert place.subscription == PARTNER


@pytest.mark.parametrize(
    ("answers", "error", "said"),
    [
        (Answers(OTHER, "some"), SubscriptionUnknown, f"{OTHER}.*Research {RESEARCH}"),
        (Answers(CLOSED, "some"), SubscriptionDisabled, "Closed.*disabled"),
        (Answers(RESEARCH, "ends."), UsageError, 'ends."? cannot be the name'),
        (Answers(RESEARCH, "some", "moon"), UsageError, "moon.*westus3"),
    ],
)
async def test_given_answers_that_cannot_be_are_refused_by_name(signed_in, tmp_path, answers, error, said):
    """Before anything is created."""
    with pytest.raises(error, match=said):
        await chosen_by(Person(), Workspace(tmp_path), answers)


async def test_a_name_that_azure_would_refuse_is_asked_again(signed_in, tmp_path):
    """A person who types a symbol that the editor's own check let through is told the rule."""
    person = Person(
        "An Azure subscription…", "Research", "Create new resource group…", "pile-of-→", "gruppe-æ", "West US 3"
    )
    place = await chosen_by(person, Workspace(tmp_path))

    assert place.resource_group == "gruppe-æ"
    assert "pile-of-→" in person.told[-1]
    assert not re.fullmatch(person.asked[3].pattern, "ends.")
    assert not re.fullmatch(person.asked[3].pattern, "x" * 91)


async def test_an_expired_token_is_renewed_on_the_way(signed_in):
    """Azure refuses it in the middle: a new one is fetched, and the caller notices nothing; also when it writes."""
    async with open_cloud(RESEARCH) as cloud, cloud.resource_manager(RESEARCH) as manager:
        await manager.create_resource_group("one", "westus3")
        before = len(signed_in.cli_calls)
        with FaultInjection(signed_in.home) as faults:
            fault = faults.add("expired-token", port="management", path="/resourcegroups/two")
            await manager.create_resource_group("two", "westus3")
            hits = faults.hits(fault)
        names = [group.name for group in await manager.resource_groups()]

    assert hits == 1
    assert names == ["one", "two"]
    assert len(signed_in.cli_calls) == before + 1


async def test_a_short_lived_token_is_replaced_in_time(signed_in):
    """Each request of a long piece of work carries a token that still holds."""
    signed_in.knows(contoso(), tokenSeconds=1)
    async with open_cloud(RESEARCH) as cloud, cloud.resource_manager(RESEARCH) as manager:
        await manager.resource_groups()
        token = await cloud.account.get_token_info(cloud.connection.scope)
        await asyncio.wait_for(until_refused(signed_in, token.token), 10)
        await manager.create_resource_group("late", "westus3")

        assert [group.name for group in await manager.resource_groups()] == ["late"]


async def until_refused(azure, token):
    """Returns when the token has expired: the cloud itself says so."""
    headers = {"Authorization": f"Bearer {token}"}
    url = f"{azure.status.resource_manager}/subscriptions?api-version=2022-12-01"
    async with aiohttp.ClientSession(headers=headers) as session:
        while True:
            async with session.get(url) as answer:
                if answer.status == 401:
                    return


async def test_a_service_principal_of_the_environment(azure, monkeypatch, tmp_path):
    """Signed in at the place that the Resource Manager itself names, by the SDK's own credential."""
    monkeypatch.setenv("AZURE_CLIENT_ID", "deployer")
    monkeypatch.setenv("AZURE_CLIENT_SECRET", azure.status.token_file.read_text().strip())
    monkeypatch.setenv("AZURE_TENANT_ID", CONTOSO)
    person = Person()
    await chosen_by(person, Workspace(tmp_path), Answers(RESEARCH, "some", "westus3", agreed=True))

    assert person.told == ["Signed in as deployer (environment variables)."]


async def test_the_chosen_credential_is_the_only_one_that_is_tried(signed_in):
    """`--credential environment` does not fall back to the Azure CLI."""

    async def environment():
        return "environment"

    before = SIGN_IN.set(SignIn(environment))
    try:
        async with open_cloud(None) as cloud:
            with pytest.raises(SignInNeeded, match="environment variables"):
                await cloud.account.account()
    finally:
        SIGN_IN.reset(before)

    assert signed_in.cli_calls == []


async def test_a_disabled_subscription_can_be_read_and_not_written(signed_in):
    """As Azure has it: 409 with its own code."""
    async with open_cloud(CLOSED) as cloud, cloud.resource_manager(CLOSED) as manager:
        assert await manager.resource_groups() == []
        with pytest.raises(HttpResponseError, match="ReadOnlyDisabledSubscription"):
            await manager.create_resource_group("some", "westus3")
