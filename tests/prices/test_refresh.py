"""`aitk prices --refresh`, against a server that answers as Azure's retail prices API is documented to."""

import json
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from ai_toolkit.errors import AiToolkitError, CloudUnreachable, NetworkProblem
from ai_toolkit.prices.price_list import MEMORY, VCPU, own_path, price_list
from ai_toolkit.prices.refresh import refresh

T4, A100 = "Consumption-GPU-NC8as-T4", "Consumption-GPU-NC24-A100"


def row(meter, price, region="westus3", unit="1 Second", **changes):
    """Source: https://learn.microsoft.com/rest/api/cost-management/retail-prices/azure-retail-prices."""
    return {
        "currencyCode": "USD",
        "tierMinimumUnits": 0.0,
        "retailPrice": price,
        "unitPrice": price,
        "armRegionName": region,
        "location": "US West 3",
        "effectiveStartDate": "2025-01-01T00:00:00Z",
        "meterId": "000a794b-bdb0-58be-a0cd-0c3a0f222923",
        "meterName": meter,
        "productId": "DZH318Z0BQPS",
        "skuId": "DZH318Z0BQPS/00TG",
        "productName": "Azure Container Apps",
        "skuName": "Standard",
        "serviceName": "Azure Container Apps",
        "serviceId": "DZH3180HX10K",
        "serviceFamily": "Containers",
        "unitOfMeasure": unit,
        "type": "Consumption",
        "isPrimaryMeterRegion": True,
        "armSkuName": "",
        **changes,
    }


ROWS = [
    row("Standard NC T4 v3 GPU Usage", 0.0001),
    row("Standard NC A100 v4 GPU Usage", 0.0005),
    row(VCPU, 0.0, tierMinimumUnits=0.0),  # what a subscription has for free
    row(VCPU, 0.00002, tierMinimumUnits=1800.0),
    row(MEMORY, 0.000004, unit="1 GiB Second", effectiveStartDate="2020-01-01T00:00:00Z"),
    row(MEMORY, 0.000003, unit="1 GiB Second"),
    row(MEMORY, 9.0, unit="1 GiB Second", effectiveStartDate="2199-01-01T00:00:00Z"),
    row("Standard Requests", 0.4, unit="1M"),
    row(VCPU, 7.0, type="DevTestConsumption", tierMinimumUnits=1800.0),
    row(VCPU, 8.0, serviceName="Virtual Machines", tierMinimumUnits=1800.0),
]


def page(items, following=None):
    return {
        "BillingCurrency": "USD",
        "CustomerEntityId": "Default",
        "CustomerEntityType": "Retail",
        "Items": items,
        "NextPageLink": following,
        "Count": len(items),
    }


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


@asynccontextmanager
async def server(answer):
    """Answers each request by `answer(request, its own address)`; yields the address and the requests."""
    asked = []

    async def handle(request):
        asked.append(request)
        found = answer(request, str(request.url.with_query(None)))
        return found if isinstance(found, web.StreamResponse) else web.json_response(found)

    app = web.Application()
    app.router.add_get("/api/retail/prices", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/api/retail/prices", asked
    finally:
        await runner.cleanup()


def in_two_pages(request, here):
    skip = int(request.query.get("$skip", 0))
    return page(ROWS[skip : skip + 5], f"{here}?$filter=x&$skip={skip + 5}" if skip + 5 < len(ROWS) else None)


async def test_every_page_is_read_and_the_price_in_force_is_kept(monkeypatch):
    """Not the free tier's, not one of a date to come, not another service's."""
    async with server(in_two_pages) as (address, asked):
        monkeypatch.setenv("AITK_RETAIL_PRICES", address)
        found = await refresh()

    assert price_list() == found
    assert len(asked) == 2
    assert "serviceName eq 'Azure Container Apps'" in asked[0].query["$filter"]
    assert found.hourly(T4, "westus3", 8, 56).amount == pytest.approx(3600 * (0.0001 + 8 * 0.00002 + 56 * 0.000003))
    assert found.hourly(A100, "westus3", 24, 220).currency == "USD"
    assert found.hourly(A100, "eastus", 24, 220) is None


def _elsewhere(_request, _here):
    return page(ROWS, "http://example.org/api/retail/prices?$skip=100")


def _endless(_request, here):
    return page(ROWS, f"{here}?$skip=1")


async def test_prices_come_in_the_currency_that_is_asked_for_and_stay_in_it():
    """The next refresh asks in the same; an answer in another one leaves the old list."""

    def in_euros(_request, _here):
        return page([{**one, "currencyCode": "EUR"} for one in ROWS])

    async with server(in_euros) as (address, asked):
        found = await refresh(address, "eur")
        again = await refresh(address)
        with pytest.raises(AiToolkitError, match="are in EUR, and CHF was asked for"):
            await refresh(address, "CHF")

    assert [one.query["currencyCode"] for one in asked] == ["'EUR'", "'EUR'", "'CHF'"]
    assert found.currency == again.currency == price_list().currency == "EUR"


@pytest.mark.parametrize(
    "answer",
    [
        lambda *_: [],
        lambda *_: {"value": ROWS},
        lambda *_: page([]),
        lambda *_: page([{**ROWS[0], "retailPrice": "cheap"}]),
        lambda *_: page([{**ROWS[0], "unitOfMeasure": "1 Moon"}]),
        lambda *_: page([ROWS[0], {**ROWS[1], "currencyCode": "EUR"}]),
        lambda *_: page(["a price"]),
        lambda *_: web.Response(text="not JSON", content_type="application/json"),
        lambda *_: web.Response(text=json.dumps(page(ROWS))[:-20], content_type="application/json"),
        lambda *_: web.Response(text="<html>Sign in</html>", content_type="text/html"),
        lambda *_: web.Response(status=302, headers={"Location": "http://example.org/"}),
        lambda *_: web.Response(status=429),
        lambda *_: page(ROWS[2:]),
        _elsewhere,
        _endless,
    ],
)
async def test_an_answer_of_another_form_leaves_the_old_list(answer):
    """In one sentence, whatever came."""
    before = price_list()
    async with server(answer) as (address, _asked):
        with pytest.raises(AiToolkitError):
            await refresh(address)

    assert price_list() == before
    assert not own_path().exists()


async def test_nobody_there_leaves_the_old_list():
    """As every other address that does not answer."""
    async with server(in_two_pages) as (address, _asked):
        gone = address
    with pytest.raises(CloudUnreachable):
        await refresh(gone)
    with pytest.raises(NetworkProblem, match=r"its name is not found\. This computer seems to be offline"):
        await refresh("https://prices.nowhere.invalid/api")

    assert not own_path().exists()
