"""The models that an endpoint would answer as, told without waking it: from the share's files and the settings.

An endpoint that was asked tells it better, so what it told is taken once it is known: here is what stands in for it.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final

from ai_toolkit.deploy.status import look
from ai_toolkit.endpoint.address import own_endpoint
from ai_toolkit.errors import EndpointRefused
from ai_toolkit.workspace.workspace import ADAPTERS, BASE_MODELS, CODE, Workspace

_CONTEXT_TOKENS: Final = 4096
"""Where neither the settings nor the endpoint told: what the smallest of the usual chat models read."""
_ANSWER_TOKENS: Final = 1024
# As inference/aitk_app/loading/folders.py, which runs in the container and knows nothing of this package.
_CHECKPOINT: Final = re.compile(
    r"(?=.*\d)(?:(?:checkpoint|ckpt|epoch|iter|global_step|step)s?[-_=]?\d*(?:[-_]|$)(?:hf$)?)+|last-checkpoint",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class OfferedModel:
    """A model by its `name` in requests; the limits are in tokens, `context_tokens` for prompt and answer together.

    An empty name is that of no model: the endpoint answers as its default.
    """

    name: str
    fine_tuned: bool
    context_tokens: int = _CONTEXT_TOKENS
    answer_tokens: int = _ANSWER_TOKENS


DEFAULT: Final = OfferedModel("", fine_tuned=True)
"""What every endpoint answers as, whatever it serves."""


@dataclass(frozen=True)
class Models:
    """What the endpoint serves, and a sentence about how far it is from answering."""

    models: tuple[OfferedModel, ...]
    detail: str

    def as_json(self) -> dict[str, Any]:
        models = [
            {"name": one.name, "fineTuned": one.fine_tuned, "contextTokens": one.context_tokens} for one in self.models
        ]
        return {"models": models, "detail": self.detail}


async def look_for_models(workspace: Workspace) -> Models:
    """The models: as the endpoint says while a replica runs, else as the share's files let expect. Wakes nothing.

    Raises as `status.look` does.
    """
    from ai_toolkit.endpoint.client import Endpoint  # noqa: PLC0415  (aiohttp: the editor's server starts without it)

    status = await look(workspace, ask_app=False, find_models=True)
    live = status.live
    if live is None or not live.has_files:
        return Models((), status.detail)
    if live.replicas and not live.rest:
        async with Endpoint.open(*await own_endpoint(workspace)) as endpoint:
            with suppress(EndpointRefused):  # not ready yet, or an app without such a page
                return Models(told_by(await endpoint.models(), workspace), status.detail)
    return Models(foreseen(live.on_share or (), workspace), status.detail)


def told_by(entries: Iterable[Mapping[str, Any]], workspace: Workspace) -> tuple[OfferedModel, ...]:
    """What the entries of `/v1/models` say, the fine-tuned first. An adapter has a parent; so has no base model."""
    settings = _settings(workspace)
    bases = {str(one.get("parent")) for one in entries if one.get("parent")}
    found = [
        OfferedModel(
            str(one["id"]),
            fine_tuned=bool(one.get("parent")) or str(one["id"]) not in bases,
            context_tokens=_count(one.get("max_model_len"), _context(settings)),
            answer_tokens=_count(settings.get("max_new_tokens"), _ANSWER_TOKENS),
        )
        for one in entries
        if one.get("id")
    ]
    return tuple(sorted(found, key=lambda one: not one.fine_tuned))


def foreseen(on_share: Iterable[str], workspace: Workspace) -> tuple[OfferedModel, ...]:
    """What the files on the share let expect, the fine-tuned first; DEFAULT alone where they tell nothing."""
    settings = _settings(workspace)
    limits = (_context(settings), _count(settings.get("max_new_tokens"), _ANSWER_TOKENS))
    paths = [PurePosixPath(path) for path in on_share]
    tuned = list(_named(settings.get("adapters", "auto"), paths))
    bases = sorted(_folders(paths, BASE_MODELS, "config.json"))
    whole = sorted(_folders(paths, ADAPTERS, "config.json")) if not tuned else []
    named = str(settings.get("base_model") or "auto").partition("@")[0]
    if named != "auto":
        bases = [named]
    is_base_served = len(bases) == 1 and not whole and (settings.get("serve_base") is not False or not tuned)
    found = [OfferedModel(name, True, *limits) for name in [*tuned, *whole[:1]]]
    found += [OfferedModel(bases[0], False, *limits)] if is_base_served else []
    return tuple(found) or (DEFAULT,)


def _named(wanted: object, paths: list[PurePosixPath]) -> Iterator[str]:
    """The adapters' names: a table's keys, a list's paths, or all paths below `models/` but a trainer's steps."""
    if isinstance(wanted, Mapping | list):
        yield from (str(name) for name in wanted)
    elif wanted == "auto":
        yield from final_folders(_folders(paths, ADAPTERS, "adapter_config.json"))


def final_folders(folders: Iterable[str]) -> list[str]:
    """Without the checkpoints beside, below or above a final folder; without that, the newest of each run."""
    found = sorted(map(PurePosixPath, folders))
    kept = [one for one in found if not _CHECKPOINT.fullmatch(one.name)]
    runs: dict[PurePosixPath, list[PurePosixPath]] = {}
    for one in found:
        if _CHECKPOINT.fullmatch(one.name):
            runs.setdefault(one.parent, []).append(one)
    for run, checkpoints in runs.items():
        if not any(run in {one, *one.parents} for one in kept):
            kept.append(max(checkpoints, key=_numbers))
    return [str(one) for one in sorted(kept)]


def _numbers(checkpoint: PurePosixPath) -> tuple[float, ...]:
    return tuple(float(one) for one in re.findall(r"\d+", checkpoint.name)) or (float("inf"),)


def _folders(paths: Iterable[PurePosixPath], room: str, mark: str) -> Iterator[str]:
    for path in paths:
        if path.name == mark and path.parts[0] == room:
            yield str(path.parent.relative_to(room))


def _settings(workspace: Workspace) -> Mapping[str, Any]:
    """The app's settings as they are here; none where they cannot be read, which the diagnostics say."""
    try:
        return tomllib.loads((workspace.folder / CODE / "settings.toml").read_text("utf-8-sig"))
    except (OSError, ValueError):
        return {}


def _context(settings: Mapping[str, Any]) -> int:
    return _count(settings.get("context_length"), _CONTEXT_TOKENS)


def _count(given: object, otherwise: int) -> int:
    return given if isinstance(given, int) and given > 0 else otherwise
