"""What to do with a start that does not go on: wait, or stop the app, so that nothing is billed."""

from typing import TYPE_CHECKING

from ai_toolkit.command_titles import Title
from ai_toolkit.endpoint.start_phase import StartPhase, Verdict, read_events, start_phase, time_of
from ai_toolkit.errors import StartStalled, UsageError
from ai_toolkit.two_faces import Do, to
from ai_toolkit.ui import Choice, Pick, Ui

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ai_toolkit.azure.container_app import ContainerApp
    from ai_toolkit.azure.container_apps import ContainerApps


async def phase_of_start(apps: "ContainerApps", app: "ContainerApp", revisions: "Iterable[str]") -> StartPhase | None:
    """How far the last start of a replica of these revisions is; None where the platform says nothing of one."""
    events = read_events(await apps.events(app))
    return start_phase(events, revisions, time_of(events))


async def wait_or_stop(apps: "ContainerApps", app: "ContainerApp", found: StartPhase, ui: Ui) -> None:
    """Returns when the person wants to wait. Raises StartStalled otherwise, and where nobody can be asked.

    A container that ends again and again is told by its log instead.
    """
    if found.verdict in {None, Verdict.CRASH_LOOP}:
        return
    items = (
        Choice("stop", f"Stop {app.name}", "so that nothing is billed; Deploy starts it again"),
        Choice("wait", "Wait on", found.in_words()),
    )
    ui.announce(f"{found.says} {found.advice}")
    try:
        chosen = await ui.pick(Pick(Title.DEPLOY, found.says, items))
    except UsageError as nobody:
        how = f"A replica that starts is billed: az containerapp stop --name {app.name} ends that."
        raise StartStalled(found.says, f"{found.advice} {how}") from nobody
    if chosen == "wait":
        return
    ui.report(f"stopping {app.name}")
    await apps.stop(app.name)
    told = f"{found.says} {app.name} is stopped: nothing is billed. The files are on the share already."
    raise StartStalled(told, f"{found.advice} To start it again: {to(Do.DEPLOY_STARTING)}.")
