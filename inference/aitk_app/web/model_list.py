"""What `/v1/models` tells, of models that are served and of those that are going to be."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aitk_app.web.access import openai_error
from aitk_app.web.aliases import aliases_of
from aitk_app.web.entrance import Answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from aitk_app.loading.catalog import Catalog
    from aitk_app.settings import Settings


@dataclass(frozen=True)
class ServedModel:
    """A model that requests can name; an adapter has its base model as `parent`, a whole fine-tuned model none."""

    id: str
    parent: str | None
    default: bool
    fine_tuned: bool = False

    @property
    def label(self) -> str:
        """For people."""
        return f"{self.id} (fine-tuned)" if self.parent or self.fine_tuned else f"{self.id} (base model)"


def served_models(catalog: Catalog, adapters: list[str], *, serve_base: bool) -> tuple[ServedModel, ...]:
    """The adapters, then the base model."""
    base, default = catalog.base.id, catalog.default
    found = [ServedModel(name, base, name == default) for name in adapters]
    if serve_base or not catalog.adapters:
        found.append(ServedModel(base, None, base == default, catalog.base.fine_tuned))
    return tuple(found)


def model_json(model: ServedModel, created: int) -> dict[str, object]:
    """A model as OpenAI's API lists it."""
    return {
        "id": model.id,
        "object": "model",
        "created": created,
        "owned_by": "ai-toolkit",
        "root": model.id,
        "parent": model.parent,
    }


def from_catalog(catalog: Catalog, settings: Settings) -> Callable[[str], Answer | None]:
    """Answers `/v1/models` and each model's page from what is known before any weights are loaded; None for the rest.

    What only the loaded model tells (its context's length, its sampling) is left out until then.
    """
    served = served_models(catalog, [each.id for each in catalog.adapters], serve_base=settings.serve_base)
    aliases = aliases_of([each.id for each in served])
    begun = int(time.time())
    found = {
        each.id: model_json(each, begun) | {"aliases": [alias for alias, name in aliases.items() if name == each.id]}
        for each in served
    }

    def known(path: str) -> Answer | None:
        if path.rstrip("/") == "/v1/models":
            return Answer(200, json.dumps({"object": "list", "data": list(found.values())}).encode())
        if not path.startswith("/v1/models/"):
            return None
        name = path.removeprefix("/v1/models/")
        wanted = aliases.get(name, name)
        if wanted in found:
            return Answer(200, json.dumps(found[wanted]).encode())
        message = f"The model {wanted!r} is not served here. Served: {', '.join(found)}."
        body = openai_error(message, kind="invalid_request_error", code="model_not_found", param="model")
        return Answer(404, body)

    return known
