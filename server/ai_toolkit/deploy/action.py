"""What a deploy does after the files are sent: the cheapest action that is enough, by what runs and what it loaded."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ai_toolkit.azure.container_app import Rest
from ai_toolkit.deploy.current_app import Running
from ai_toolkit.deploy.manifest import CANDIDATES, Manifest
from ai_toolkit.deploy.sync_plan import Plan
from ai_toolkit.workspace.workspace import CODE


class Action(StrEnum):
    """What a deploy does beside sending files; the value is what people and `--json` read."""

    NOTHING = "nothing"
    LOAD_ADAPTERS = "load adapters"
    RESTART = "restart"
    NEW_REVISION = "new revision"
    HAND_OVER = "hand over"
    START = "start"
    WAKE = "wake"
    FOLLOW = "follow the start"
    LATER = "load at next start"


@dataclass(frozen=True)
class Options:
    """How to deploy; None asks.

    `conflicts` is `keep` or `replace`, `base_models` is `upload` or `download`, `key` is `add` or `none`. `start` is
    for an app that is stopped, or whose revisions were deactivated, `put_back` for one that somebody changed.
    `models_too` makes `previous` bring the models back as well, not only the code. With `force` what is known to be
    wrong is said and sent all the same.
    """

    previous: bool = False
    restart: bool = False
    wake: bool = False
    conflicts: str | None = None
    base_models: str | None = None
    key: str | None = None
    start: bool | None = None
    put_back: bool | None = None
    models_too: bool = False
    force: bool = False


@dataclass(frozen=True)
class LoadedAdapter:
    """An adapter as the replica serves it: its name, its folder on the share."""

    id: str
    path: str


def loaded_is(version: Mapping[str, Any], manifest: Manifest) -> bool:
    """Whether the replica's own hashes are those of what is on the share."""
    return not (_code_differs(version, manifest) or any(stale_adapters(version, manifest)))


def stale_adapters(version: Mapping[str, Any], manifest: Manifest) -> Iterator[LoadedAdapter]:
    """The adapters that were loaded with other content than what was deployed, or fine-tuned, since."""
    for adapter in _served(version):
        if _is_stale(adapter, manifest):
            yield LoadedAdapter(str(adapter.get("id")), str(adapter.get("path")))


def files_are(files: Mapping[str, str], adapter: LoadedAdapter, manifest: Manifest) -> bool:
    """Whether the files, by their SHA-256, are the deployed ones, as far as a deploy put them there."""
    return not any(_differs(manifest, f"{adapter.path}/{name}", sha256) for name, sha256 in files.items())


def only_adapters_changed(version: Mapping[str, Any] | None, plan: Plan) -> bool:
    """Whether new content of adapters that the replica serves, and can replace, is all that it lacks."""
    if version is None or _code_differs(version, plan.manifest):
        return False
    served = _served(version)
    folders = tuple(f"{adapter.get('path')}/" for adapter in served)
    stale = [adapter for adapter in served if _is_stale(adapter, plan.manifest)]
    return (
        bool(stale)
        and all(adapter.get("replaceable", True) for adapter in stale)
        and all(path.startswith(folders) for path in (*plan.uploads, *plan.removed))
    )


def _served(version: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """The adapters that a deploy answers for: not one that is only evaluated, or that a killed evaluation left."""
    loaded = version.get("adapters") or ()
    return tuple(each for each in loaded if not str(each.get("path")).startswith(f"{CANDIDATES}/"))


def _is_stale(adapter: Mapping[str, Any], manifest: Manifest) -> bool:
    files: Mapping[str, str] = adapter.get("files") or {}
    served = LoadedAdapter(str(adapter.get("id")), str(adapter.get("path")))
    # Files that no deploy put there are not in the manifest: of those the replica itself says that they changed.
    return bool(adapter.get("changed")) or not files_are(files, served, manifest)


def _code_differs(version: Mapping[str, Any], manifest: Manifest) -> bool:
    deployed = {path: entry.sha256 for path, entry in manifest.files.items() if path.startswith(f"{CODE}/")}
    return dict(version.get("code") or {}) != deployed


def _differs(manifest: Manifest, path: str, sha256: str) -> bool:
    entry = manifest.files.get(path)
    return entry is not None and entry.sha256 != sha256


def cheapest_action(  # noqa: PLR0911  (one for each action)
    plan: Plan | None, running: Running, options: Options
) -> Action:
    """The cheapest that is enough, by what runs and what is on the share afterwards."""
    rest = running.app.rest
    ends = bool(running.properties) and rest in {Rest.NO_REPLICAS, Rest.NOT_WOKEN}  # with the template's scale
    if rest is not None and not (running.starts or ends):
        return Action.LATER
    if running.properties:
        return Action.NEW_REVISION
    if running.starts:
        return Action.START
    if running.waits_to_serve:
        return Action.HAND_OVER
    if not running.replicas:
        return Action.WAKE if options.wake else Action.LATER
    if plan is None or options.restart:
        return Action.RESTART
    if plan.empty and _has_loaded(running, plan.manifest):
        return Action.NOTHING
    if plan.empty and running.loading and _is_younger(running, plan.manifest):
        return Action.FOLLOW
    if len(running.replicas) == 1 and only_adapters_changed(running.loaded, plan):
        return Action.LOAD_ADAPTERS
    return Action.RESTART


def _has_loaded(running: Running, manifest: Manifest) -> bool:
    """By its hashes; of an app that has none to tell, by whether its replicas are younger than what is on the share."""
    if running.loaded is not None:
        return loaded_is(running.loaded, manifest)
    newest = manifest.newest_code
    return newest is None or running.created is None or running.created > newest


def _is_younger(running: Running, manifest: Manifest) -> bool:
    """Whether its replicas were made after the last file was put on the share, so that what they load is that."""
    newest = manifest.newest_file
    return newest is not None and running.created is not None and running.created > newest
