"""Where to provision, on a cloud that knows one subscription: the rest is asked, or refused by name."""

import pytest

from ai_toolkit.choose_target import Answers, choose_place, choose_subscription
from ai_toolkit.cloud import open_cloud
from ai_toolkit.errors import SubscriptionUnknown
from ai_toolkit.workspace import LOCAL_SUBSCRIPTION, Workspace

OTHER = "11111111-2222-3333-4444-555555555555"


class Person:
    """Answers given in advance; an unforeseen question fails the test."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    async def pick(self, question):
        self.asked.append(question)
        return self.answers.pop(0)

    input = pick

    def report(self, message, percentage=None):
        pass

    announce = report


async def test_unknown_subscription_is_refused_with_those_that_are_known(empty_road, monkeypatch):
    """The sentence names what was asked for and what there is; nothing is created."""
    monkeypatch.setenv("AITK_LOCAL_CLOUD_HOME", str(empty_road.home))
    async with open_cloud(LOCAL_SUBSCRIPTION) as cloud, cloud.resource_manager(LOCAL_SUBSCRIPTION) as manager:
        with pytest.raises(SubscriptionUnknown, match=f"{OTHER}.*This computer {LOCAL_SUBSCRIPTION}"):
            await choose_place(Person(), cloud, manager, OTHER, Answers(resource_group="some"))

        assert await manager.resource_groups() == []


async def test_this_computer_is_offered_before_any_sign_in(tmp_path):
    """The first picker needs no cloud and no account; the choice of this computer ends the questions."""
    person = Person(LOCAL_SUBSCRIPTION)
    chosen = await choose_subscription(person, Answers(), Workspace(tmp_path))

    assert chosen == LOCAL_SUBSCRIPTION
    assert [item.id for item in person.asked[0].items] == [LOCAL_SUBSCRIPTION, "azure"]
