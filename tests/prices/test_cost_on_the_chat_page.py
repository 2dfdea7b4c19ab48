"""What the chat page says of its replica's cost: by a clock of the test's own, and by the note that a deploy leaves."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from tests.support.azure_files import AzureFiles

from ai_toolkit.azure.container_app import ContainerApp
from ai_toolkit.deploy.price_note import PRICE_PATH, leave_price
from ai_toolkit.prices.price_list import PriceList, own_path
from aitk_app.chat.running_cost import PRICE, running_cost

BEGAN = datetime(2026, 11, 26, 14, 0, tzinfo=UTC)
REPLICA = {"AITK_STARTED": str(BEGAN.timestamp()), "CONTAINER_APP_REVISION": "app--2"}
T4 = "Consumption-GPU-NC8as-T4"
PRICES = PriceList.read(
    json.dumps(
        {
            "date": "2999-01-01",
            "source": "a test",
            "currency": "EUR",
            "prices": [
                {"armRegionName": "westus3", "meterName": meter, "unitOfMeasure": unit, "retailPrice": amount}
                for meter, unit, amount in (
                    ("Standard NC T4 v3 GPU Usage", "1 Hour", 1.0),
                    ("Standard vCPU Active Usage", "1 Hour", 0.1),
                    ("Standard Memory Active Usage", "1 GiB Hour", 0.01),
                )
            ],
        }
    )
)


def app(region="westus3"):
    template = {"containers": [{"resources": {"cpu": 8, "memory": "56Gi"}}]}
    return ContainerApp("app", "host", "app--2", "app--2", (), 1, "", "", region, {}, template)


@pytest.fixture(autouse=True)
def own_list(tmp_path, monkeypatch):
    """A price list of the test's own."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    PRICES.write()
    assert own_path().is_relative_to(tmp_path)


async def test_what_a_deploy_leaves_is_what_the_page_tells(tmp_path):
    """The price of this size in this region; of a region without numbers the note goes, and only the time is told."""
    files = AzureFiles(tmp_path / "shares")
    now = BEGAN + timedelta(hours=2, minutes=30)
    async with files.opened() as share:
        await leave_price(share, app(), T4)
        changes = files.changes
        await leave_price(share, app(), T4)
        again = files.changes
        told = running_cost(files.folder, REPLICA, now)
        await leave_price(share, app("nowhere"), T4)
        without = running_cost(files.folder, REPLICA, now)

    assert str(PRICE_PATH) == PRICE
    assert again == changes
    assert told == (
        "This replica has run since 2026-11-26 14:00 UTC (2 h 30 min): about 5.90 EUR "
        "(2.36 EUR an hour, list of 2999-01-01)."
    )
    assert without == "This replica has run since 2026-11-26 14:00 UTC (2 h 30 min)."
    assert not (files.folder / PRICE).exists()


@pytest.mark.parametrize(
    "note",
    [
        '{"revision": "app--1", "hourly": 1, "currency": "USD", "listDate": "2026-08-01"}',
        '{"revision": "app--2", "hourly": NaN, "currency": "USD", "listDate": "2026-08-01"}',
        '{"revision": "app--2", "hourly": "much", "currency": "USD", "listDate": "2026-08-01"}',
        '{"revision": "app--2"}',
        "[]",
        "no JSON",
    ],
)
def test_a_price_of_another_revision_or_form_is_no_price(tmp_path, note):
    """It may be another size of replica: no guess."""
    (tmp_path / ".aitk").mkdir()
    (tmp_path / PRICE).write_text(note)

    assert running_cost(tmp_path, REPLICA, BEGAN + timedelta(days=1, hours=2)).endswith("14:00 UTC (1 d 2 h).")


@pytest.mark.parametrize(
    "environment",
    [{}, {"AITK_STARTED": "yesterday"}, {"AITK_STARTED": "1e400"}, {"AITK_STARTED": str(BEGAN.timestamp() + 9e5)}],
)
def test_without_a_known_beginning_nothing_is_told(tmp_path, environment):
    """Run by hand, or by a clock that went back."""
    assert not running_cost(tmp_path, environment, BEGAN)
