"""What API and chat page both use: a conversation and a model's id in, an answer's pieces out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.generation import QueueFullError
from engine.prompt import Message, PromptError, PromptTemplate
from engine.scheduler import Scheduler

if TYPE_CHECKING:
    from engine.catalog import Catalog
    from engine.generation import Generation
    from engine.models import Models
    from engine.sampling import Sampling
    from engine.settings import Settings

__all__ = ["Completions", "Message", "RequestError", "ServedModel"]


class RequestError(Exception):
    """A request cannot be answered; `status` is HTTP's, `param` names the parameter at fault."""

    def __init__(self, status: int, message: str, *, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param


@dataclass(frozen=True)
class ServedModel:
    """A model that requests can name; an adapter has its base model as `parent`."""

    id: str
    parent: str | None
    default: bool


class Completions:
    """The models being served, and the way to an answer."""

    def __init__(self, catalog: Catalog, models: Models, scheduler: Scheduler, settings: Settings) -> None:
        self._models = models
        self._scheduler = scheduler
        self._template = PromptTemplate(models.tokenizer, settings.prompt_template)
        self.max_new_tokens = settings.max_new_tokens
        self.context_length = models.context_length
        served = [ServedModel(each.id, catalog.base.id, each.id == catalog.default) for each in catalog.adapters]
        if settings.serve_base or not served:
            served.append(ServedModel(catalog.base.id, None, catalog.base.id == catalog.default))
        self.served = tuple(served)
        self.default = catalog.default

    def model(self, name: str | None) -> ServedModel:
        """The model that a request names; the default for none. Raises `RequestError`."""
        wanted = name or self.default
        for each in self.served:
            if each.id == wanted:
                return each
        there = ", ".join(each.id for each in self.served)
        raise RequestError(
            404,
            f"The model {wanted!r} is not served here. Served: {there}.",
            code="model_not_found",
            param="model",
        )

    def begin(self, model: ServedModel, messages: list[Message], sampling: Sampling) -> Generation:
        """An answer under way. Raises `RequestError`."""
        try:
            prompt = self._template.tokens(messages)
        except PromptError as error:
            raise RequestError(400, str(error), param="messages") from error
        room = self.context_length - len(prompt)
        if not prompt or room < 1:
            raise RequestError(
                400,
                f"The conversation has {len(prompt)} tokens; prompt and answer together may have "
                f"{self.context_length}. Shorten it.",
                code="context_length_exceeded",
                param="messages",
            )
        try:
            return self._scheduler.submit(prompt, sampling, model.id if model.parent else None)
        except QueueFullError as error:
            raise RequestError(429, "Too many requests wait. Try again.", code="rate_limit_exceeded") from error
