"""The list of prices, and what a replica costs by it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_toolkit.prices.price_list import (
    GPU_METERS,
    METERS,
    OtherForm,
    Price,
    PriceList,
    amount_in_words,
    own_path,
    price_list,
    shipped,
)

T4, A100 = "Consumption-GPU-NC8as-T4", "Consumption-GPU-NC24-A100"


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


def test_the_shipped_list_is_dated_and_names_its_source():
    """Only numbers that were read somewhere, on a day."""
    found = shipped()

    assert found.date == "2026-08-01"
    assert "https://" in found.source
    assert {one.meter for one in found.prices} <= METERS


@pytest.mark.parametrize(("profile", "size", "an_hour"), [(T4, (8, 56), 1.5588), (A100, (24, 220), 6.354)])
def test_a_replica_costs_its_gpu_its_vcpus_and_its_memory(profile, size, an_hour):
    """GPU, vCPU and memory are three meters, and all three are billed."""
    assert shipped().hourly(profile, "East US", *size).amount == pytest.approx(an_hour)


@pytest.mark.parametrize(("profile", "region"), [(T4, "westus3"), ("NC24-A100", "eastus"), ("Consumption", "eastus")])
def test_what_the_list_does_not_price_is_not_guessed(profile, region):
    """Another region, a dedicated profile, one without a GPU."""
    assert shipped().hourly(profile, region, 8, 56) is None


def test_half_a_price_is_none():
    """A list that lacks a meter gives no price, instead of one that is too low."""
    whole = shipped()
    for left_out in whole.prices:
        rest = tuple(one for one in whole.prices if one is not left_out)
        priced = [PriceList("2026-08-01", "", "USD", rest).hourly(profile, "eastus", 8, 56) for profile in GPU_METERS]

        assert None in priced


@pytest.mark.parametrize(
    ("unit", "amount"), [("1 Second", 3.6), ("1 GiB Second", 3.6), ("1 Hour", 0.001), ("100 Seconds", 0.036)]
)
def test_a_unit_is_read(unit, amount):
    """Azure prices by the second, by the hour, and by more than one of them."""
    assert Price("eastus", "m", unit, 0.001).an_hour == pytest.approx(amount)


def test_the_users_own_list_is_taken_where_it_is_newer():
    """What `aitk prices --refresh` wrote; after an update of the package, the newer of the two."""
    newer = PriceList("2027-01-01", "here", "EUR", shipped().prices)
    newer.write()
    assert price_list() == newer

    PriceList("2020-01-01", "here", "EUR", ()).write()
    assert price_list() == shipped()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"date": "x", "source": "", "currency": "", "prices": []}', "null"])
def test_a_list_that_cannot_be_read_counts_for_nothing(text):
    """The one in the package stays."""
    own_path().parent.mkdir(parents=True)
    own_path().write_text(text)

    assert price_list() == shipped()


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["date", "source", "currency", "prices", "meterName", "retailPrice", "unitOfMeasure", "armRegionName"]
    ), inner, max_size=5),
    max_leaves=8,
)  # fmt: skip


@given(_JSON)
def test_any_other_json_is_refused_in_words(document):
    """A list, or OtherForm: nothing else comes out of a file."""
    try:
        found = PriceList.read(json.dumps(document))
    except OtherForm:
        return

    assert isinstance(found, PriceList)


def test_small_amounts_say_something():
    """Not "0.00"."""
    assert [amount_in_words(amount, "USD") for amount in (1.5588, 0.0004, 0)] == ["1.56 USD", "0.0004 USD", "0.00 USD"]
