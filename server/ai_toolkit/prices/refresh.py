"""Fetches the prices of Container Apps from Azure's public retail prices API.

Source: https://learn.microsoft.com/rest/api/cost-management/retail-prices/azure-retail-prices
"""

import json
import os
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp

from ai_toolkit.azure.network import page_in_between, raise_if_blocked, session
from ai_toolkit.errors import AiToolkitError, CloudUnreachable
from ai_toolkit.prices.price_list import GPU_METERS, METERS, OtherForm, Price, PriceList, newest, price_list

_API: Final = "https://prices.azure.com/api/retail/prices"
_SERVICE: Final = "Azure Container Apps"
_QUERY: Final = {
    "api-version": "2023-01-01-preview",
    "$filter": f"serviceName eq '{_SERVICE}' and priceType eq 'Consumption'",
}
_LIMIT: Final = aiohttp.ClientTimeout(total=120, connect=20)
_MOST_PAGES: Final = 200
_MOST_BYTES: Final = 16_000_000
_OK: Final = 200


async def refresh(url: str | None = None, currency: str | None = None) -> PriceList:
    """The prices of today, which are in the user's data folder then; where that fails the old list stays.

    `currency` is ISO 4217's code; None asks in the one of the list that is there.
    `url` stands in for Azure's address, as the environment variable `AITK_RETAIL_PRICES` does. Raises
    CloudUnreachable, NetworkProblem, and AiToolkitError for an answer of another form.
    """
    address = url or os.environ.get("AITK_RETAIL_PRICES") or _API
    wanted = (currency or price_list().currency).upper()
    try:
        found = _read(await _pages(address, wanted), datetime.now(UTC).date(), address, wanted)
    except OtherForm as error:
        raise AiToolkitError(
            f"{address} answered in a form that is not known here: {error}.",
            "The list of prices that was there stays. Try again later, or with a newer version.",
        ) from error
    try:
        found.write()
    except OSError as error:
        raise AiToolkitError(
            f"The list of prices cannot be written: {error}.", "Make room or give the right, and run it again."
        ) from error
    return found


async def _pages(address: str, currency: str) -> list[Mapping[str, Any]]:
    """Every row of every page. Raises OtherForm."""
    rows: list[Mapping[str, Any]] = []
    seen: set[str] = set()
    following: str | None = address
    try:
        async with session(address, timeout=_LIMIT) as asked:
            while following is not None:
                if following in seen or len(seen) >= _MOST_PAGES:
                    raise OtherForm("its pages do not end")
                seen.add(following)
                query = {**_QUERY, "currencyCode": f"'{currency}'"} if following == address else None
                async with asked.get(following, params=query, allow_redirects=False) as answer:
                    page = await _json(answer)
                if not isinstance(page, dict) or not isinstance(page.get("Items"), list):
                    raise OtherForm("it has no list Items")
                rows += page["Items"]
                following = _next(page.get("NextPageLink"), address)
    except (aiohttp.ClientError, TimeoutError) as error:
        raise_if_blocked(error, address, offline=True)
        raise CloudUnreachable(address, str(error) or type(error).__name__) from error
    return rows


async def _json(answer: aiohttp.ClientResponse) -> Any:  # noqa: ANN401  (any JSON)
    if answer.status != _OK:
        raise CloudUnreachable(str(answer.url.with_query(None)), f"it answered {answer.status}")
    if answer.content_type == "text/html":
        raise page_in_between(str(answer.url), answer.status)
    content = await answer.content.read(_MOST_BYTES)
    while not answer.content.at_eof() and len(content) < _MOST_BYTES:
        content += await answer.content.read(_MOST_BYTES - len(content))
    if not answer.content.at_eof():
        raise OtherForm("a page is too large")
    try:
        return json.loads(content)
    except ValueError as error:
        raise OtherForm("it is no JSON") from error


def _next(link: object, address: str) -> str | None:
    """The next page's address, which is at the same host. Raises OtherForm."""
    if link is None or link == "":
        return None
    here, there = urlsplit(address), urlsplit(link) if isinstance(link, str) else None
    if there is None or there.hostname != here.hostname or there.scheme != here.scheme:
        raise OtherForm("its next page is elsewhere")
    return str(link)


def _read(rows: list[Mapping[str, Any]], today: date, address: str, wanted: str) -> PriceList:
    """What concerns us of all the rows, which are in the wanted currency.

    Raises OtherForm for one that cannot be read, and where no GPU has a price.
    """
    ours = []
    currencies = set()
    for row in rows:
        if not isinstance(row, Mapping):
            raise OtherForm("a price is no object")
        if row.get("serviceName") != _SERVICE or row.get("type", "Consumption") != "Consumption":
            continue
        if row.get("meterName") not in METERS or row.get("isPrimaryMeterRegion") is False:
            continue
        if str(row.get("effectiveStartDate") or "")[:10] > today.isoformat():
            continue
        ours.append((row, Price.read(row)))
        currencies.add(row.get("currencyCode"))
    if not {price.meter for _row, price in ours} & {*GPU_METERS.values()}:
        raise OtherForm("no GPU of Container Apps has a price in it")
    currency = next(iter(currencies))
    if len(currencies) != 1 or not isinstance(currency, str):
        raise OtherForm("its prices are not of one currency")
    if currency != wanted:
        raise OtherForm(f"its prices are in {currency}, and {wanted} was asked for")
    return PriceList(today.isoformat(), address, currency, newest(ours))
