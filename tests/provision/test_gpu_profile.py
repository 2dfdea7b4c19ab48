"""Which workload profile the app runs on, and which quota is its GPU's, as tables."""

from pathlib import Path

import pytest

from ai_toolkit.azure.container_apps import ManagedEnvironment
from ai_toolkit.azure.quota import Quota, gpu_quota, read_usages
from ai_toolkit.errors import ValueImpossible
from ai_toolkit.provision.gpu_profile import Profile, choose_profile
from ai_toolkit.provision.settings import Setting, Settings, Source
from ai_toolkit.workspace.workspace import Parameters

A100, T4, DEDICATED = "Consumption-GPU-NC24-A100", "Consumption-GPU-NC8as-T4", "NC24-A100"


def settings(**given):
    """The template's defaults, and what the parameters file gives."""
    by_name = {
        "workloadProfileType": Setting(A100, Source.DEFAULT),
        "workloadProfileName": Setting("gpu", Source.DEFAULT),
    }
    by_name |= {name: Setting(value, Source.FILE, "inference.parameters.json") for name, value in given.items()}
    return Settings(Parameters(Path("p")), by_name)


def environment(**profiles):
    return ManagedEnvironment("env", "group", "westus3", tuple(profiles.items()), {})


@pytest.mark.parametrize(
    ("wanted", "there", "profile"),
    [
        (settings(), None, Profile("gpu", A100, missing=False)),
        (settings(workloadProfileType=T4), None, Profile("gpu", T4, missing=False)),
        (settings(), environment(), Profile("gpu", A100, missing=True)),
        (settings(), environment(Consumption="Consumption"), Profile("gpu", A100, missing=True)),
        (settings(), environment(ours=A100), Profile("ours", A100, missing=False)),
        (settings(), environment(first=A100, gpu=A100), Profile("gpu", A100, missing=False)),
        (settings(), environment(gpu=T4), Profile("gpu2", A100, missing=True)),
        (settings(), environment(gpu=T4, gpu2="D4"), Profile("gpu3", A100, missing=True)),
        (settings(workloadProfileName="mine"), environment(ours=A100), Profile("mine", A100, missing=True)),
        (settings(workloadProfileName="ours"), environment(ours=T4), Profile("ours", T4, missing=False)),
        (
            settings(workloadProfileName="ours", workloadProfileType=T4),
            environment(ours=T4),
            Profile("ours", T4, missing=False),
        ),
        (settings(workloadProfileType=DEDICATED), environment(d=DEDICATED), Profile("d", DEDICATED, missing=False)),
    ],
)
def test_the_profile_that_is_there_or_one_to_add(wanted, there, profile):
    """A name or a type that somebody chose counts; what is the default takes what the environment has."""
    assert choose_profile(wanted, there) == profile


@pytest.mark.parametrize(
    ("wanted", "there", "said"),
    [
        (settings(workloadProfileType=DEDICATED), None, "NC24-A100 is not serverless"),
        (settings(workloadProfileType=DEDICATED), environment(gpu=T4), r"its profiles: gpu \("),
        (
            settings(workloadProfileName="ours", workloadProfileType=A100),
            environment(ours=T4),
            "ours is a profile of type Consumption-GPU-NC8as-T4, not Consumption-GPU-NC24-A100",
        ),
    ],
)
def test_a_profile_that_cannot_be_had_is_refused_by_name(wanted, there, said):
    """A dedicated profile is made with its environment only, and a named one has the type that it has."""
    with pytest.raises(ValueImpossible, match=said):
        choose_profile(wanted, there)


SERVERLESS_A100 = Quota("SubscriptionConsumptionNCA100Gpus", 0, 1)
DEDICATED_A100 = Quota("SubscriptionNCA100Gpus", 0, 24)
T4S = Quota("SubscriptionConsumptionT4Gpus", 0, 1)


@pytest.mark.parametrize(
    ("kind", "quotas", "name"),
    [
        (A100, [DEDICATED_A100, SERVERLESS_A100], SERVERLESS_A100.name),
        (DEDICATED, [SERVERLESS_A100, DEDICATED_A100], DEDICATED_A100.name),
        (DEDICATED, [SERVERLESS_A100], None),
        (A100, [DEDICATED_A100], None),
        (T4, [SERVERLESS_A100, T4S], T4S.name),
        (T4, [SERVERLESS_A100], None),
        (
            A100,
            [SERVERLESS_A100, Quota("ManagedEnvironmentConsumptionNCA100Gpus", 1, 1)],
            "ManagedEnvironmentConsumptionNCA100Gpus",
        ),
        (A100, [Quota("ManagedEnvironmentCount", 0, 20)], None),
        ("Consumption", [SERVERLESS_A100], None),
        (A100, None, None),
    ],
)
def test_the_quota_of_a_profile_s_gpu(kind, quotas, name):
    """Serverless and dedicated GPUs have quotas of their own; None where Azure lists none, which is not zero."""
    found = gpu_quota(kind, quotas)

    assert (found.name if found else None) == name


def test_usages_are_read_as_azure_writes_them():
    """The recorded form, of an environment and of a region; an empty list says nothing."""
    recorded = [
        {
            "name": {"value": "ManagedEnvironmentCount", "localizedValue": "Managed Environment Count"},
            "usage": 12,
            "currentValue": 12,
            "limit": 50,
        }
    ]

    assert read_usages(recorded) == [Quota("ManagedEnvironmentCount", 12, 50)]
    assert read_usages([]) is None
