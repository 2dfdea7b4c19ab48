"""What runs, said as it is: two revisions at a time, or an app that somebody silenced, with what ends it offered."""

from typing import TYPE_CHECKING, Final

from ai_toolkit.azure.container_app import ContainerApp, Reach, Rest
from ai_toolkit.command_titles import Title
from ai_toolkit.errors import AppAtRest, Dismissed, UsageError
from ai_toolkit.two_faces import Do, to, worded
from ai_toolkit.ui import Choice, Pick, Ui

if TYPE_CHECKING:
    from ai_toolkit.azure.container_apps import ContainerApps

_SWITCHED_ON_BY: Final = (
    "{START} switches it on as the template has it, and Deploy does when you agree ({DEPLOY_STARTING})."
)
_STARTED_BY: Final = (
    f"{{START}} starts it, Deploy does when you agree ({{DEPLOY_STARTING}}), and so does {Title.GO_TO_ENDPOINT}."
)


def says(app: ContainerApp) -> str:
    """What the app is, in a sentence; empty for one that answers, or sleeps and would wake."""
    name = app.name
    sentences = {
        None: "",
        Rest.STOPPED: f"{name} is stopped: no GPU is billed, and no request starts it.",
        Rest.DEACTIVATED: f"{name} has no active revision ({_wanted(app)} was deactivated): no request starts it.",
        Rest.NO_INGRESS: unreachable(app),
        Rest.INTERNAL: unreachable(app),
        Rest.NO_REPLICAS: f"The scale of {name} allows no replica (maxReplicas is 0), so no request starts one.",
        Rest.NOT_WOKEN: f"The scale rules of {name} have no http rule, so no request starts a replica.",
    }
    return sentences[app.rest]


def advice(app: ContainerApp) -> str:
    """What ends it."""
    match app.rest:
        case Rest.STOPPED | Rest.DEACTIVATED:
            return worded(_STARTED_BY)
        case Rest.NO_INGRESS | Rest.INTERNAL:
            return advice_unreachable()
        case Rest.NO_REPLICAS | Rest.NOT_WOKEN:
            return f"{to(Do.DEPLOY_PUTTING_BACK)} puts the template's scale back."
    return ""


def unreachable(app: ContainerApp) -> str:
    """Why no request from here reaches the app, in a sentence; empty where one does. It may be stopped besides."""
    match app.reach:
        case Reach.NOWHERE:
            return f"{app.name} has no ingress: it was switched off, so nobody reaches it and no request wakes it."
        case Reach.ENVIRONMENT:
            return f"The ingress of {app.name} is internal: only what runs in its environment reaches it."
    return ""


def advice_unreachable() -> str:
    """What ends it."""
    return worded(_SWITCHED_ON_BY)


async def another(apps: "ContainerApps", app: ContainerApp, *, runs: bool) -> str:
    """The sentence that names both where another revision is to serve than the one that does; else empty.

    `runs` when the one that serves has a replica.
    """
    if app.is_multiple:
        weights = ", ".join(f"{one.name} gets {one.traffic} % of the requests" for one in app.serving)
        return f"{weights}." if len(app.serving) > 1 else ""
    serving, coming = ", ".join(one.name for one in app.serving), app.coming
    if not serving or coming is None or app.stopped:
        return ""
    if coming.failed:
        return f"{serving} serves; {coming.name}, which is newer, has failed: {coming.problem or 'its replica ends'}"
    if not runs:
        return f"{serving} serves and sleeps; {coming.name} is to serve in its place and starts."
    starts = await apps.has_replica(app.name, coming)
    return f"{serving} serves and its GPU is billed; {coming.name} {'starts beside it' if starts else 'waits for it'}."


def raise_if_unreachable(app: ContainerApp) -> None:
    """Raises AppAtRest for an app that no request from here reaches, whatever runs."""
    if told := unreachable(app):
        raise AppAtRest(told, advice_unreachable())


async def offer_start(app: ContainerApp, ui: Ui, title: Title, *, agreed: bool | None = None) -> bool:
    """Whether the app, which is stopped or has no active revision, is to be started.

    `agreed` is the answer that was given already. Where nobody can be asked, it stays as it is. Raises Dismissed.
    """
    if agreed is not None:
        return agreed
    what = "the app" if app.rest is Rest.STOPPED else _wanted(app)
    items = (
        Choice("start", f"Start {what}", "a GPU replica starts and is billed while it runs"),
        Choice("leave", "Leave it as it is"),
        Choice("cancel", "Cancel"),
    )
    try:
        chosen = await ui.pick(Pick(title, says(app), items, option="--start"))
    except UsageError:
        return False
    if chosen == "cancel":
        raise Dismissed
    return chosen == "start"


async def start(apps: "ContainerApps", app: ContainerApp, ui: Ui) -> str:
    """Starts what is stopped or deactivated; the name of the revision that starts then."""
    if app.rest is Rest.STOPPED:
        ui.report(f"starting {app.name}", 62)
        await apps.start(app.name)
    now = await apps.app(app.name)
    if not now.active:
        ui.report(f"activating {_wanted(now)}", 62)
        await apps.activate(app.name, _wanted(now))
        return _wanted(now)
    return now.current.name if now.current is not None else now.latest_revision


def _wanted(app: ContainerApp) -> str:
    """The revision that served last; else the latest."""
    known = app.revision(app.latest_ready_revision)
    return known.name if known is not None else app.latest_revision
