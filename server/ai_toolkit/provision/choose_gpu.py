"""Offers the GPU that is proposed, and writes it to the parameters file where a person takes it."""

from ai_toolkit.command_titles import Title
from ai_toolkit.errors import UsageError
from ai_toolkit.provision.checks import GPU_CHECKS, Check, Outcome
from ai_toolkit.provision.gpu_proposal import Proposal
from ai_toolkit.provision.plan import Plan
from ai_toolkit.provision.write_parameter import write_parameter
from ai_toolkit.ui import Choice, Pick, Ui
from ai_toolkit.workspace.workspace import Parameters


def take(given: Parameters, proposal: Proposal, plan: Plan, ui: Ui) -> Parameters:
    """The parameters with the proposed profile and region, which are in the file. Raises WorkspaceError."""
    values = {"workloadProfileType": proposal.profile_type, "location": proposal.region}
    for name, value in values.items():
        if str(plan.settings.value(name)).replace(" ", "").lower() != str(value).lower():
            given = write_parameter(given, name, value)
            ui.announce(f"{given.path} now has {name} = {value}.")
    return given


def is_other(proposal: Proposal | None, plan: Plan) -> bool:
    """Whether something else is proposed than what is planned."""
    planned = plan.profile.type if plan.profile is not None else ""
    return proposal is not None and proposal.differs(planned, str(plan.settings.value("location")))


async def offer_instead(proposal: Proposal, checks: list[Check], ui: Ui) -> bool:
    """Whether the proposed GPU is taken in place of the planned one, which cannot be had or does not fit.

    Where another check failed too, or nobody can be asked, it is not. Raises Dismissed.
    """
    failed = [one for one in checks if one.outcome is Outcome.FAILURE]
    if not failed or any(one.name not in GPU_CHECKS for one in failed):
        return False
    items = (
        Choice("take", f"Use {proposal.profile_type} in {proposal.region}", "it is written to the parameters file"),
        Choice("leave", "Leave it as it is"),
    )
    says = " ".join(f"{one.name}: {one.says}" for one in failed)
    try:
        return await ui.pick(Pick(Title.PROVISION, f"{says} {proposal.reason}", items, option="--gpu")) == "take"
    except UsageError:
        return False
