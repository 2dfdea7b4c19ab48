"""What decides, before anything is sent or billed, whether a deployment can succeed."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from ai_toolkit.azure.deployments import Refusal
from ai_toolkit.azure.policies import CODE as POLICY_CODE
from ai_toolkit.azure.policies import Violation
from ai_toolkit.azure.quota import Quota, gpu_quota, least
from ai_toolkit.azure.subscription_state import Provider
from ai_toolkit.errors import PreflightFailed
from ai_toolkit.known_causes import cause_of_code
from ai_toolkit.provision.gpu_need import SERVERLESS
from ai_toolkit.provision.gpu_profile import Profile
from ai_toolkit.provision.model_fit import Fit
from ai_toolkit.provision.settings import Settings
from ai_toolkit.provision.survey import Existing
from ai_toolkit.ui import Line, Tone

_PROFILE_CHECK: Final = "region offers the GPU profile"
_QUOTA_CHECK: Final = "GPU quota left"
_MODEL_CHECK: Final = "adapter and base model"
GPU_CHECKS: Final = frozenset({_PROFILE_CHECK, _QUOTA_CHECK, _MODEL_CHECK})
"""The names of the checks that another GPU may mend."""
_SHARED_KEY: Final = "shared key allowed"


class Outcome(StrEnum):
    """How a check ended."""

    PASS = "pass"  # noqa: S105  (a word)
    WARNING = "warning"
    FAILURE = "failure"


_TONES: Final = {Outcome.PASS: Tone.DETAIL, Outcome.WARNING: Tone.WARNING, Outcome.FAILURE: Tone.BAD}


@dataclass(frozen=True)
class Check:
    """One check by name: what it found, and what to do unless it passed."""

    name: str
    outcome: Outcome
    says: str
    advice: str = ""
    everywhere: bool = False
    """Whether it concerns this computer as much as Azure."""

    def in_words(self, *, local: bool = False) -> Line:
        """The check for a person; what passed, and on this computer what only Azure can leave open, is a detail."""
        advice = f" {self.advice}" if self.advice and self.outcome is not Outcome.PASS else ""
        tone = _TONES[self.outcome]
        if local and tone is Tone.WARNING and not self.everywhere:
            tone = Tone.DETAIL
        return Line(f"    {self.outcome.value:8} {self.name}: {self.says}{advice}", tone)


@dataclass(frozen=True)
class Facts:
    """What was asked of the cloud; None where it does not tell. `group_exists`: else nothing in it could be asked."""

    signed_in_to: str
    group_exists: bool
    providers: tuple[Provider, ...]
    forbidden: list[str] | None
    profile_types: frozenset[str] | None
    quotas: list[Quota] | None
    nodes: Quota | None  # of a dedicated profile of an existing environment
    refusal: Refusal | None
    fit: Fit


def preflight(facts: Facts, settings: Settings, existing: Existing, profile: Profile | None) -> list[Check]:
    """Every check, in the order in which a person mends them. `profile`: None for a template of another make."""
    location = str(settings.value("location"))
    return [
        Check("signed in", Outcome.PASS, facts.signed_in_to),
        _providers(facts.providers),
        _rights(facts),
        _location(facts.providers, location, existing),
        *([_profile(facts.profile_types, profile, location), _quota(facts, profile, existing)] if profile else []),
        _shared_key(facts, existing),
        _network_rules(existing),
        _policies(facts),
        _names(existing, settings),
        Check("template compiles", Outcome.PASS, "it is ARM JSON that fits its Bicep file"),
        _validates(facts),
        _model(facts.fit),
    ]


def in_words(checks: Iterable[Check], *, local: bool) -> list[Line]:
    """How many passed, and each check; see `Check.in_words`."""
    found = list(checks)
    lines = [check.in_words(local=local) for check in found]
    telling = any(line.tone is not Tone.DETAIL for line in lines)
    passed = sum(check.outcome is Outcome.PASS for check in found)
    return [Line(f"Checks: {passed} passed{':' if telling else '.'}", Tone.PLAIN if telling else Tone.GOOD), *lines]


def account_still_works(existing: Existing) -> list[Check]:
    """What somebody changed of the account since, so that the share can be mounted no longer, or by fewer."""
    found = (_key_is_refused(existing), _network_rules(existing))
    return [one for one in found if one is not None and one.outcome is not Outcome.PASS]


def raise_failures(checks: Iterable[Check]) -> None:
    """Raises PreflightFailed with every check that failed."""
    failed = [(check.name, check.says, check.advice) for check in checks if check.outcome is Outcome.FAILURE]
    if failed:
        raise PreflightFailed(failed)


def _providers(providers: Iterable[Provider]) -> Check:
    missing = [one.namespace for one in providers if not one.registered]
    name = "resource providers registered"
    if not missing:
        return Check(name, Outcome.PASS, ", ".join(one.namespace for one in providers))
    commands = "; ".join(f"az provider register --namespace {one}" for one in missing)
    advice = f"Agree to register when you are asked, or run: {commands}."
    return Check(name, Outcome.FAILURE, f"{', '.join(missing)} is not registered in this subscription.", advice)


def _rights(facts: Facts) -> Check:
    name = "may deploy in this group"
    if facts.forbidden is None:
        says = "not known: Azure does not say" if facts.group_exists else "not known until the resource group exists"
        return Check(name, Outcome.WARNING, f"{says}.")
    if facts.forbidden:
        advice = "Ask for the role Contributor on the resource group, or choose another group."
        return Check(name, Outcome.FAILURE, f"this account may not {', '.join(facts.forbidden)}.", advice)
    return Check(name, Outcome.PASS, "yes")


def _location(providers: Iterable[Provider], location: str, existing: Existing) -> Check:
    name = "location"
    offered = {
        _plain(display)
        for one in providers
        if one.namespace.lower() == "microsoft.app"
        for display in one.locations.get("managedEnvironments", ())
    }
    where = existing.environment
    if where is not None and not where.workload_profiles:
        advice = "Name an environment with workload profiles in acaEnvironmentName, or a new one."
        says = f"{where.name} is an environment of the first kind (Consumption only), which takes no GPU profile."
        return Check(name, Outcome.FAILURE, says, advice)
    if where is not None and _plain(where.location) != _plain(location):
        advice = f"Write {_plain(where.location)} to location, or name another environment."
        says = f"a container app lives where its environment does: {where.name} is in {where.location}, not {location}."
        return Check(name, Outcome.FAILURE, says, advice)
    if offered and _plain(location) not in offered:
        advice = f"Choose one of {', '.join(sorted(offered))}."
        return Check(name, Outcome.FAILURE, f"Container Apps is not offered in {location}.", advice)
    return Check(name, Outcome.PASS, location)


def _profile(offered: frozenset[str] | None, profile: Profile, location: str) -> Check:
    name = _PROFILE_CHECK
    if offered is None:
        return Check(name, Outcome.WARNING, f"not known: Azure does not say what {location} offers.")
    if profile.type not in offered:
        gpus = ", ".join(sorted(one for one in offered if one in SERVERLESS)) or "no GPU profile"
        advice = "Choose another location, or another workloadProfileType."
        return Check(name, Outcome.FAILURE, f"{location} offers {gpus}, not {profile.type}.", advice)
    return Check(name, Outcome.PASS, f"{profile.type} in {location}")


def _quota(facts: Facts, profile: Profile, existing: Existing) -> Check:
    name = _QUOTA_CHECK
    quota = least(gpu_quota(profile.type, facts.quotas), facts.nodes)
    if quota is None:
        advice = "See the subscription's usage page (Microsoft.App) in the portal."
        return Check(name, Outcome.WARNING, "not known: Azure lists no quota for this GPU.", advice)
    says = f"{quota.used} of {quota.limit} used ({quota.name})"
    whose = "environment's" if quota.name.startswith("ManagedEnvironment") else "subscription's"
    if quota.limit == 0:
        advice = (
            f"Ask for quota on the subscription's usage page (Microsoft.App), by the name {quota.name}, "
            "or choose another region or GPU."
        )
        return Check(name, Outcome.FAILURE, f"the {whose} quota is 0 ({quota.name}).", advice)
    if quota.used >= quota.limit and not existing.app:
        advice = "The replica waits until another one gives its GPU back; ask for more quota, or stop the other."
        return Check(name, Outcome.WARNING, f"{says}.", advice)
    return Check(name, Outcome.PASS, says)


def _shared_key(facts: Facts, existing: Existing) -> Check:
    name = _SHARED_KEY
    if (refused := _key_is_refused(existing)) is not None:
        return refused
    forbidding = [one for one in _violations(facts) if one.concerns("allowSharedKeyAccess")]
    if forbidding:
        advice = "Name an account that takes its key in storageAccountName, or ask the policy's owner for an exemption."
        return Check(name, Outcome.FAILURE, " ".join(one.in_words() for one in forbidding), advice)
    if existing.account is None and not facts.group_exists:
        return Check(name, Outcome.WARNING, "not known until the resource group exists.")
    return Check(name, Outcome.PASS, "the account takes its key" if existing.account else "no policy forbids it")


def _key_is_refused(existing: Existing) -> Check | None:
    if existing.account is None or existing.account.shared_key:
        return None
    advice = "Allow shared-key access on the account, or name another one in storageAccountName."
    says = f"{existing.account.name} does not allow access by account key, which mounting a file share needs."
    return Check(_SHARED_KEY, Outcome.FAILURE, says, advice)


def _network_rules(existing: Existing) -> Check:
    """Who may reach the account: the app's mount, and Deploy from here, are two of those who must."""
    name, account = "account's network rules", existing.account
    if account is None:
        return Check(name, Outcome.PASS, "a new account lets everybody in who has its key")
    if account.closed and not account.private_endpoints:
        advice = "Allow public access under Networking of the account, or name another one in storageAccountName."
        says = f"{account.name} is closed to every network, and has no private endpoint."
        return Check(name, Outcome.FAILURE, says, advice)
    if account.closed or account.only_from is not None:
        listed = ", ".join(account.only_from or ()) or "its private endpoints"
        advice = "The app's environment and this computer must be among them: neither can be seen from here."
        return Check(name, Outcome.WARNING, f"{account.name} lets in {listed} only.", advice)
    return Check(name, Outcome.PASS, f"{account.name} lets in every network")


def _policies(facts: Facts) -> Check:
    name = "policies"
    if not facts.group_exists:
        return Check(name, Outcome.WARNING, "not known until the resource group exists.")
    if facts.refusal is None or facts.refusal.code != POLICY_CODE:
        return Check(name, Outcome.PASS, "none forbids the deployment")
    words = " ".join(one.in_words() for one in facts.refusal.policies) or f"{facts.refusal.message}."
    advice = (
        "Give what it looks at in infra/provision/inference.parameters.json or inference.bicep, "
        "name an existing resource in its place, or ask the policy's owner for an exemption."
    )
    return Check(name, Outcome.FAILURE, words, advice)


def _violations(facts: Facts) -> tuple[Violation, ...]:
    return facts.refusal.policies if facts.refusal is not None else ()


def _names(existing: Existing, settings: Settings) -> Check:
    name = "names free"
    if existing.name_problem:
        advice = "Give another storageAccountName in infra/provision/inference.parameters.json."
        return Check(name, Outcome.FAILURE, f"storageAccountName: {existing.name_problem.rstrip('.')}.", advice)
    if existing.app and existing.app_environment.lower() != existing.environment_id.lower():
        lives_in, wanted = existing.app_environment.rpartition("/")[2], existing.environment_id.rpartition("/")[2]
        place = f" of {existing.app_elsewhere}, another resource group," if existing.app_elsewhere else ""
        says = f"{settings.value('acaAppName')} lives in the environment {lives_in}{place} and cannot move to {wanted}."
        named = existing.app_environment if existing.app_elsewhere else lives_in
        return Check(
            name, Outcome.FAILURE, says, f"Write {named} to acaEnvironmentName, or another name to acaAppName."
        )
    if existing.definition_to_put and not existing.file_share:
        says = f"{existing.environment_id.rpartition('/')[2]} lies in another resource group and has no definition of "
        advice = "Name an account and a share that exist: Provision makes the definition there before the app."
        return Check(name, Outcome.FAILURE, f"{says}a share that does not exist yet.", advice)
    state = "ours" if existing.account else "free"
    return Check(name, Outcome.PASS, f"{settings.value('storageAccountName')} is {state}")


def _validates(facts: Facts) -> Check:
    name = "validate passes"
    if not facts.group_exists:
        return Check(name, Outcome.WARNING, "not known until the resource group exists.")
    if facts.refusal is None:
        return Check(name, Outcome.PASS, "Azure would take the deployment")
    if facts.refusal.code == POLICY_CODE:
        return Check(name, Outcome.FAILURE, "refused by a policy, see above.")
    cause = cause_of_code(facts.refusal.code)
    likely = f" {cause.says}" if cause else ""
    says = f"{facts.refusal.message} ({facts.refusal.code}).{likely}"
    return Check(name, Outcome.FAILURE, says, cause.advice if cause else "Correct it and run the command again.")


def _model(fit: Fit) -> Check:
    outcome = {True: Outcome.PASS, False: Outcome.FAILURE, None: Outcome.WARNING}[fit.fits]
    return Check(_MODEL_CHECK, outcome, fit.says, fit.advice, everywhere=True)


def _plain(location: str) -> str:
    """`West US 3` and `westus3` are the same place."""
    return location.replace(" ", "").lower()
