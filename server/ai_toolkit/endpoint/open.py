"""Use-cases that wake the model when it sleeps: Go to Inference Endpoint, by a link that signs in, and one question."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from ai_toolkit.azure.connect import raise_if_stopped
from ai_toolkit.azure.container_app import Rest
from ai_toolkit.command_titles import Title
from ai_toolkit.endpoint.address import open_app
from ai_toolkit.endpoint.client import NO_ANSWER, Endpoint, Readiness, Stage, signed_link
from ai_toolkit.endpoint.switch_on import offer_to_switch_on
from ai_toolkit.endpoint.what_runs import advice, offer_start, raise_if_unreachable, says, start
from ai_toolkit.errors import AppAtRest, EndpointNotReady, ReplicaFailed, RevisionFailed
from ai_toolkit.polling import poll
from ai_toolkit.ui import Ui
from ai_toolkit.workspace.workspace import Workspace

WAKE_LIMIT: Final = timedelta(minutes=15)
_LOOK_AGAIN: Final = timedelta(seconds=0.5)


@dataclass(frozen=True)
class Opened:
    """The endpoint, and the page to open in a browser; the page may carry a signature that is good for 5 minutes."""

    endpoint: str
    page: str


async def open_endpoint(workspace: Workspace, ui: Ui) -> Opened:
    """Returns when the model is ready, or has something to tell instead: that it failed, that nothing is deployed.

    Raises AppAtRest where no request is answered, EndpointForeign, EndpointNotReady after a quarter of an hour.
    """
    ui.report("looking for the endpoint", 5)
    endpoint, key = await awaited_endpoint(workspace, ui)
    async with Endpoint.open(endpoint, key) as asked:
        ui.report("waking the model, if it sleeps", 10)
        await wake(asked, ui)
    return Opened(endpoint, signed_link(endpoint, key) if key else endpoint)


async def ask(workspace: Workspace, message: str, model: str | None, ui: Ui) -> str:
    """The model's answer.

    Raises AppAtRest where no request is answered, EndpointRefused, EndpointNotReady, or LocalCloudFailed when the local
    cloud is stopped.
    """
    await raise_if_stopped(workspace.target())
    async with Endpoint.open(*await awaited_endpoint(workspace, ui)) as endpoint:
        readiness = await wake(endpoint, ui)
        if readiness.failed:
            raise ReplicaFailed(readiness.reason or readiness.detail or "the app gave no reason.", ())
        return await endpoint.chat(message, model)


async def awaited_endpoint(workspace: Workspace, ui: Ui) -> tuple[str, str | None]:
    """The endpoint's URL and its key, of an app that a request reaches and wakes; one that was stopped is started.

    Raises AppAtRest, RevisionFailed, Dismissed.
    """
    named = workspace.named_target()
    async with open_app(workspace) as found:
        own = await offer_to_switch_on(workspace, found, ui, Title.GO_TO_ENDPOINT)
        if own.target != named:
            workspace.write_target(own.target)  # its own address changed, or was not named
        endpoint, app = own.endpoint, own.app
        raise_if_unreachable(app)
        runs = any([await own.apps.has_replica(app.name, one) for one in app.serving])
        if app.rest in {Rest.STOPPED, Rest.DEACTIVATED} and await offer_start(app, ui, Title.GO_TO_ENDPOINT):
            await start(own.apps, app, ui)
        elif app.rest is not None and not runs:
            raise AppAtRest(says(app), advice(app))
        elif not app.serving and app.current is not None and app.current.failed:
            raise RevisionFailed(app.current.name, app.current.state, app.current.problem or "its replica ends")
        return endpoint, await own.key()


async def wake(endpoint: Endpoint, ui: Ui) -> Readiness:
    """How the replica is when the model is ready, or when waiting is of no use: it failed, or nothing is deployed.

    Raises EndpointNotReady after a quarter of an hour, EndpointRefused where this computer's address is not let in.
    """
    readiness = NO_ANSWER

    async def look() -> bool | None:
        nonlocal readiness
        readiness = await endpoint.readiness()
        if readiness.ready or readiness.failed or readiness.stage is Stage.NOTHING_DEPLOYED:
            return True
        ui.report(readiness.in_words())
        return None

    try:
        await poll(look, every=_LOOK_AGAIN, limit=WAKE_LIMIT)
    except TimeoutError as error:
        raise EndpointNotReady(endpoint.url, readiness.said, WAKE_LIMIT) from error
    return readiness
