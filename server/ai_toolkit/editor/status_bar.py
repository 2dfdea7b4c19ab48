"""Keeps the editor's status bar right, from outside: nothing is woken in order to look."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Final

from ai_toolkit.deploy.status import Loaded, State, Status, look_quietly
from ai_toolkit.editor import protocol
from ai_toolkit.editor.endpoint_rows import rows_of
from ai_toolkit.workspace.workspace import Workspace

_DELAY_SECONDS: Final = 1.0
_ICONS: Final = {
    State.NOT_PROVISIONED: "circle-outline",
    State.PROVISIONED: "circle-large-outline",
    State.DEPLOYING: "sync~spin",
    State.LIVE: "pass",
    State.NEWER_FILES: "cloud-upload",
    State.FAILED: "error",
    State.AT_REST: "circle-slash",
}
_UNKNOWN: Final = Status(State.PROVISIONED, "The status is not known.")


class StatusBar:
    """One item per folder; looks come one at a time, and the last one asked for is the last one shown."""

    def __init__(
        self, show: Callable[[protocol.StatusParams], None], in_background: Callable[[Awaitable[Any]], None]
    ) -> None:
        self._show = show
        self._in_background = in_background
        self._busy: set[Workspace] = set()
        self._looking: dict[Workspace, asyncio.Task[None]] = {}
        self.at_cloud = True
        """False in a folder that is not trusted: then only its files are read."""
        self._on_share: dict[Workspace, frozenset[str]] = {}
        self.share_seen: Callable[[Workspace], None] = lambda _workspace: None
        """Called when a look saw something else on the share than the one before it."""
        self._last: dict[Workspace, Status] = {}
        self._told: dict[Workspace, tuple[tuple[str | None, tuple[str, ...]], Loaded]] = {}
        """What a replica said when it was last asked, with the deploy and the replicas that it holds for."""
        self.changed: Callable[[], None] = lambda: None
        """Called when a look found another status than the one before it."""

    def on_share(self, workspace: Workspace) -> frozenset[str] | None:
        """The files and models that were on the share when it was last seen; None when it never was."""
        return self._on_share.get(workspace)

    async def latest(self, workspace: Workspace) -> Status:
        """What the look that is on its way finds; else what the last one found, or the first finds."""
        if workspace not in self._last and workspace not in self._looking:
            self.look(workspace)
        while (task := self._looking.get(workspace)) is not None and not task.done():
            await asyncio.wait([task])
        return self._last.get(workspace, _UNKNOWN)

    def look(self, workspace: Workspace, *, delayed: bool = False) -> None:
        """Looks anew; with `delayed` a moment later, when files may change several at a time."""
        before = self._looking.pop(workspace, None)
        if before is not None:
            before.cancel()
        task = asyncio.ensure_future(self._look(workspace, delayed=delayed))
        self._looking[workspace] = task
        self._in_background(task)

    def working(self, workspace: Workspace) -> None:
        """A deploy began; `done` ends it."""
        self._busy.add(workspace)
        self.show(workspace, Status(State.DEPLOYING, "Deploying now."))

    def done(self, workspace: Workspace) -> None:
        self._busy.discard(workspace)
        self.look(workspace)

    def show(self, workspace: Workspace, state: Status) -> None:
        runs = " $(warning) a replica runs on" if state.is_billed_for_nothing else ""
        text = f"$({_ICONS[state.state]}) Inference: {state.state}{runs}"
        now = datetime.now(UTC)
        told = (state.detail, *state.money(now))
        spoken = f"Inference: {state.state}. {' '.join(told)}"
        done = tuple(_done(workspace, state))
        # While a deploy runs, what was known before it began stays in sight.
        known = self._last.get(workspace, state) if state.state is State.DEPLOYING else state
        rows = rows_of(workspace, known, self._loaded(workspace, known), now)
        self._show(protocol.StatusParams(workspace.uri, text, "\n\n".join(told), spoken, done, rows))
        if state.state is not State.DEPLOYING and state != self._last.get(workspace):
            self._last[workspace] = state
            self.changed()

    def _loaded(self, workspace: Workspace, state: Status) -> Loaded | None:
        """What the replicas that run said of themselves, now or when they were last asked."""
        live = state.live
        if live is None or not live.replicas:
            return None
        holds_for = (live.deployed, live.replicas)
        if live.loaded is not None:
            self._told[workspace] = (holds_for, live.loaded)
        told_for, loaded = self._told.get(workspace, (None, None))
        return loaded if told_for == holds_for else None

    async def _look(self, workspace: Workspace, *, delayed: bool) -> None:
        if delayed:
            await asyncio.sleep(_DELAY_SECONDS)
        state = await look_quietly(workspace, at_cloud=self.at_cloud)
        seen = state.live.on_share if state.live is not None else None
        if seen is not None and seen != self._on_share.get(workspace):
            self._on_share[workspace] = seen
            self.share_seen(workspace)
        if workspace not in self._busy:
            self.show(workspace, state)


def _done(workspace: Workspace, state: Status) -> Iterator[str]:
    """The steps of the road that are behind the folder."""
    if (workspace.provision_folder / "inference.bicep").is_file():
        yield "hasProject"
    if state.state not in {State.NOT_PROVISIONED, State.DEPLOYING} and state.endpoint:
        yield "isProvisioned"
    if state.live is not None and state.live.has_files and not state.live.failure:
        yield "isDeployed"
