"""What was given on the command line and cannot be an answer: said before anybody signs in or Azure is asked."""

import pytest
from tests.support.provisioning import Person

from ai_toolkit.errors import UsageError
from ai_toolkit.provision.choose_target import Answers, choose_target
from ai_toolkit.provision.request import NamedPlace


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        (Answers("1234abcd-0000-0000-0000-00000000000"), "no id of a subscription"),  # a digit is missing
        (Answers("1234abcd00000000000000000000000000"), "no id of a subscription"),
        (Answers("1234abcd-0000-0000-0000-000000000000", "ends."), "cannot be the name of a resource group"),
        (Answers("1234abcd-0000-0000-0000-000000000000", "a/b"), "cannot be the name of a resource group"),
        (Answers("Team's subscription", ""), "cannot be the name of a resource group"),
    ],
)
async def test_what_cannot_be_is_said_before_anything_is_asked(answers, said, monkeypatch, tmp_path):
    """Nothing could be reached: the cloud that it would ask is at an address where nobody listens."""
    monkeypatch.setenv("ARM_CLOUD_METADATA_URL", "http://127.0.0.1:9/")
    person = Person()
    with pytest.raises(UsageError, match=said):
        async with choose_target(person, answers, NamedPlace(None, None, "", tmp_path)):
            pass

    assert person.reports == []
