"""What a running replica came to, by a clock of the test's own."""

from datetime import UTC, datetime, timedelta

import pytest

from ai_toolkit.prices.price_list import Hourly
from ai_toolkit.prices.running_cost import Running, duration_in_words, hourly_of, running

BEGAN = datetime(2026, 11, 26, 14, 0, tzinfo=UTC)
HOURLY = Hourly(1.5588, "USD", "2026-08-01")
ONE = Running((BEGAN,), HOURLY)


@pytest.mark.parametrize(("after", "amount"), [(0, 0), (30, 0.7794), (60, 1.5588), (24 * 60, 37.4112)])
def test_a_replica_costs_by_the_time_since_it_began(after, amount):
    """From its first second, and nothing before it."""
    assert ONE.amount(BEGAN + timedelta(minutes=after)) == pytest.approx(amount)


def test_each_replica_counts_from_its_own_beginning():
    """Two that began an hour apart."""
    two = Running((BEGAN, BEGAN + timedelta(hours=1)), HOURLY)
    now = BEGAN + timedelta(hours=2)

    assert two.amount(now) == pytest.approx(3 * HOURLY.amount)
    assert "2 replicas run, the first since" in two.in_words(now)


def test_a_clock_that_lags_costs_nothing():
    """A replica of the future has not run yet."""
    assert ONE.amount(BEGAN - timedelta(minutes=5)) == 0


def test_since_when_and_how_much_is_one_sentence():
    """With the price and the day of the list that it is from."""
    said = ONE.in_words(BEGAN + timedelta(hours=2, minutes=30))

    assert "(2 h 30 min): about 3.90 USD (1.56 USD an hour each, list of 2026-08-01)." in said


def test_without_a_price_nothing_is_guessed():
    """It is said that there is none, and where the list is."""
    said = Running((BEGAN,)).in_words(BEGAN + timedelta(hours=2))

    assert "aitk prices" in said
    assert "USD" not in said
    assert Running((BEGAN,)).as_json(BEGAN)["amount"] is None


def test_this_computer_bills_nothing():
    """And says so."""
    here = Running((BEGAN,), None, local=True)

    assert here.in_words(BEGAN + timedelta(hours=9)).endswith("on this computer nothing is billed.")


def test_nothing_that_runs_costs_nothing():
    """No sentence, no warning."""
    asleep = Running((), HOURLY, always=1)

    assert (asleep.in_words(BEGAN), asleep.warning(BEGAN), asleep.amount(BEGAN)) == ("", "", None)


@pytest.mark.parametrize(
    ("idle", "ran", "warned"),
    [(300, 59, False), (300, 61, True), (30, 30, False), (30, 61, True), (1800, 300, False), (1800, 361, True)],
)
def test_a_replica_that_outlives_its_idle_time_by_far_is_told(idle, ran, warned):
    """Twelve times its idle time, and an hour at least."""
    found = Running((BEGAN,), HOURLY, idle=timedelta(seconds=idle)).warning(BEGAN + timedelta(minutes=ran))

    assert bool(found) == warned


def test_replicas_that_always_run_are_told_at_once():
    """minimumInstanceCount above 0 is billed day and night."""
    found = Running((BEGAN,), HOURLY, always=2).warning(BEGAN)

    assert "minimumInstanceCount is 2" in found


def test_the_app_is_read_as_azure_tells_of_it(tmp_path, monkeypatch):
    """Its containers' sizes, a sidecar's too, its scale, its profile and region."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    template = {
        "containers": [
            {"resources": {"cpu": 8, "memory": "56Gi"}},
            {"resources": {"cpu": 0.5, "memory": "512Mi"}},
        ],
        "scale": {"minReplicas": 1, "cooldownPeriod": 600},
    }
    found = running((BEGAN,), profile_type="Consumption-GPU-NC8as-T4", region="eastus", template=template, local=False)

    assert found.hourly.amount == pytest.approx(3600 * (0.000073 + 8.5 * 0.000024 + 56.5 * 0.000003))
    assert (found.always, found.idle) == (1, timedelta(minutes=10))
    assert hourly_of("Consumption-GPU-NC8as-T4", "eastus", {"containers": [{"resources": {}}]}) is None


def test_durations_are_for_people():
    """Minutes, hours, days."""
    times = (timedelta(seconds=-5), timedelta(minutes=5), timedelta(hours=3, minutes=2), timedelta(days=2, hours=3))

    assert [duration_in_words(one) for one in times] == ["0 min", "5 min", "3 h 2 min", "2 d 3 h"]
