"""Use-case: talk with the model; each answer comes in pieces, and the model is woken when it sleeps."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from ai_toolkit.azure.connect import raise_if_stopped
from ai_toolkit.endpoint.client import Endpoint
from ai_toolkit.endpoint.conversation import CHAT
from ai_toolkit.endpoint.open import awaited_endpoint, wake
from ai_toolkit.ui import Ui
from ai_toolkit.workspace.workspace import Workspace

_ANSWER_TOKENS = 512


@dataclass
class Talk:
    """A conversation: what was said so far goes with each question. `model` None is the endpoint's default."""

    endpoint: Endpoint
    model: str | None
    ui: Ui
    said: list[dict[str, str]] = field(default_factory=list)

    async def answer(self, message: str) -> AsyncIterator[str]:
        """The pieces of the model's greedy answer. Raises EndpointRefused; the question is forgotten then."""
        await wake(self.endpoint, self.ui)
        asked = [*self.said, {"role": "user", "content": message}]
        request: dict[str, Any] = {"messages": asked, "max_tokens": _ANSWER_TOKENS, "temperature": 0, "stream": True}
        if self.model is not None:
            request["model"] = self.model
        pieces: list[str] = []
        async for event in self.endpoint.events(CHAT, request):
            for choice in event.get("choices") or ():
                # An app of another make may answer whole.
                told = choice.get("delta") or choice.get("message") or {}
                if piece := str(told.get("content") or ""):
                    pieces.append(piece)
                    yield piece
        self.said = [*asked, {"role": "assistant", "content": "".join(pieces)}]


@asynccontextmanager
async def open_talk(workspace: Workspace, model: str | None, ui: Ui) -> AsyncIterator[Talk]:
    """A conversation with a model that is awake.

    Raises AppAtRest where no request is answered, EndpointRefused, EndpointNotReady, or LocalCloudFailed when the local
    cloud is stopped.
    """
    await raise_if_stopped(workspace.target())
    async with Endpoint.open(*await awaited_endpoint(workspace, ui)) as endpoint:
        await wake(endpoint, ui)
        yield Talk(endpoint, model, ui)
