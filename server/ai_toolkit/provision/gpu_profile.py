"""The workload profile that the app runs on."""

from collections.abc import Mapping
from dataclasses import dataclass

from ai_toolkit.azure.container_apps import ManagedEnvironment
from ai_toolkit.provision.gpu_need import SERVERLESS
from ai_toolkit.provision.settings import Settings, Source


@dataclass(frozen=True)
class Profile:
    """The workload profile to run on; `missing` when an existing environment gets it first, by PATCH."""

    name: str
    type: str
    missing: bool


def choose_profile(settings: Settings, environment: ManagedEnvironment | None) -> Profile:
    """A profile of the wanted type that the environment has, else one to add.

    Raises ValueImpossible for a dedicated profile that it has not.
    """
    wanted = settings.by_name["workloadProfileType"]
    named = settings.by_name["workloadProfileName"]
    there: Mapping[str, str] = dict(environment.workload_profiles) if environment else {}
    known = next((name for name in there if name.lower() == str(named.value).lower()), None)
    if known is not None and named.source is not Source.DEFAULT:
        if wanted.source is not Source.DEFAULT and there[known] != wanted.value:
            problem = f"{known} is a profile of type {there[known]}, not {wanted.value}"
            raise settings.given.wrong("workloadProfileName", problem)
        return Profile(known, there[known], missing=False)
    of_type = [name for name, kind in there.items() if kind == wanted.value]
    if of_type and named.source is Source.DEFAULT:
        return Profile(named.value if named.value in of_type else of_type[0], wanted.value, missing=False)
    if wanted.value not in SERVERLESS:
        listed = ", ".join(f"{name} ({kind})" for name, kind in there.items()) or "none"
        raise settings.given.wrong(
            "workloadProfileType",
            f"{wanted.value} is not serverless, so an existing environment must have it; its profiles: {listed}. "
            f"Serverless are {' and '.join(SERVERLESS)}",
        )
    name, number = named.value, 2
    while name.lower() in {one.lower() for one in there}:
        name, number = f"{named.value}{number}", number + 1
    return Profile(name, wanted.value, missing=environment is not None)
