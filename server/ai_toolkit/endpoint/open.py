"""Use-cases that wake the model when it sleeps: Go to Inference Endpoint, by a link that signs in, and one question."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from ai_toolkit.azure.connect import raise_if_stopped
from ai_toolkit.endpoint.address import own_endpoint
from ai_toolkit.endpoint.client import NO_ANSWER, Endpoint, Stage, signed_link
from ai_toolkit.errors import EndpointNotReady
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

    Raises EndpointForeign, EndpointNotReady after a quarter of an hour.
    """
    ui.report("looking for the endpoint", 5)
    endpoint, key = await own_endpoint(workspace)
    async with Endpoint.open(endpoint, key) as asked:
        ui.report("waking the model, if it sleeps", 10)
        await wake(asked, ui)
    return Opened(endpoint, signed_link(endpoint, key) if key else endpoint)


async def ask(workspace: Workspace, message: str, model: str | None, ui: Ui) -> str:
    """The model's answer.

    Raises EndpointRefused, EndpointNotReady, or LocalCloudFailed when the local cloud is stopped.
    """
    await raise_if_stopped(workspace.target())
    async with Endpoint.open(*await own_endpoint(workspace)) as endpoint:
        await wake(endpoint, ui)
        return await endpoint.chat(message, model)


async def wake(endpoint: Endpoint, ui: Ui) -> None:
    """Returns when the model is ready, or when waiting is of no use: it failed, or nothing is deployed.

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
