"""What is live and what is newer here, in one look: from the workspace's files, the management plane and the share.

Nothing is woken in order to look: the app is asked only while a replica runs.
"""

import asyncio
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from ai_toolkit.azure.connect import raise_if_stopped
from ai_toolkit.azure.container_app import UNLISTED
from ai_toolkit.azure.explain import for_people
from ai_toolkit.deploy.deployed import ServedAdapter, adapters_of, base_model_of, sent_adapters
from ai_toolkit.deploy.failed_start import failed_start
from ai_toolkit.deploy.manifest import MANIFEST_PATH, Manifest
from ai_toolkit.deploy.models_on_share import models_on_share
from ai_toolkit.deploy.sync_plan import newer_files
from ai_toolkit.endpoint.address import OwnApp, open_app
from ai_toolkit.endpoint.stalled_start import phase_of_start
from ai_toolkit.endpoint.start_phase import Phase
from ai_toolkit.endpoint.what_runs import advice, another, says
from ai_toolkit.errors import (
    AiToolkitError,
    EndpointRefused,
    LocalCloudFailed,
    NetworkProblem,
    ResourceMissing,
    SignInNeeded,
)
from ai_toolkit.prices import running_cost
from ai_toolkit.prices.running_cost import Running
from ai_toolkit.two_faces import Do, to
from ai_toolkit.workspace.workspace import Workspace

_MOST_NAMES: Final = 5


class State(StrEnum):
    """How far a workspace's inference is; the value is what people read."""

    NOT_PROVISIONED = "not provisioned"
    PROVISIONED = "provisioned"
    DEPLOYING = "deploying"
    LIVE = "live"
    NEWER_FILES = "newer files here"
    FAILED = "failed"
    AT_REST = "switched off"


@dataclass(frozen=True)
class Loaded:
    """What a running replica answers: `detail` says what it does, or why it is not ready.

    `warnings` are its own sentences about what is not as it should be, such as a model that is served one request at
    a time. `device`, `dtype` and `gpu` say where its model runs; None where the app does not tell, or has no GPU.
    """

    ready: bool
    detail: str
    base_model: str | None = None
    adapters: tuple[ServedAdapter, ...] = ()
    warnings: tuple[str, ...] = ()
    device: str | None = None
    dtype: str | None = None
    gpu: str | None = None
    replica: str | None = None
    failed: bool = False

    @property
    def runs_on(self) -> str:
        """Where its model runs, for a person; empty where the app does not tell."""
        where = ", ".join(told for told in (self.device, self.dtype) if told)
        return f"{self.gpu} ({where})" if self.gpu else where


@dataclass(frozen=True)
class Live:
    """What is deployed and runs. `loaded` is None while no replica runs, and where the app was not asked.

    `revision` serves, or would. `another` is a sentence about a second one: who waits for whom, or what does not serve;
    `rest` one about what somebody switched off, with what ends it. Both are empty where there is nothing to tell.
    `starting` tells how far the platform is with a replica that does not run yet; `running` since when replicas run,
    and what they cost.
    `failure` says why no replica can run; empty where one can. `on_share` are the paths of what deploys put there and
    of its models; None where the models were not looked for. `sent_adapters` are those that deploys put there.
    """

    revision: str
    replicas: tuple[str, ...]
    failure: str
    deployed: str | None
    commit: str | None
    newer: tuple[str, ...]
    has_files: bool
    on_share: frozenset[str] | None
    loaded: Loaded | None
    another: str = ""
    rest: str = ""
    starting: str = ""
    running: Running = field(default_factory=Running)
    sent_adapters: tuple[ServedAdapter, ...] = ()


@dataclass(frozen=True)
class Status:
    """A workspace's inference: its state, a sentence about it, and `live` where that could be read."""

    state: State
    detail: str
    local: bool = False
    endpoint: str | None = None
    live: Live | None = None

    @property
    def ready(self) -> bool:
        """Whether a replica that was asked answers; False also while the model sleeps."""
        return self.live is not None and self.live.loaded is not None and self.live.loaded.ready

    def as_json(self) -> dict[str, Any]:
        """The four facts that are always known, and `live`, what is deployed and runs, where that could be read."""
        facts = {
            "provisioned": self.state is not State.NOT_PROVISIONED,
            "local": self.local,
            "endpoint": self.endpoint,
            "ready": self.ready,
        }
        if self.live is None:
            return {**facts, "live": None}
        loaded = self.live.loaded
        live = {
            "detail": self._doing(self.live),
            "revision": self.live.revision,
            "replicas": list(self.live.replicas),
            "deployed": self.live.deployed,
            "commit": self.live.commit,
            "baseModel": loaded.base_model if loaded else None,
            "adapters": [asdict(one) for one in loaded.adapters] if loaded else [],
            "device": loaded.device if loaded else None,
            "dtype": loaded.dtype if loaded else None,
            "gpu": loaded.gpu if loaded else None,
            "warnings": list(loaded.warnings) if loaded else [],
            "newer": list(self.live.newer),
            "another": self.live.another,
            "cost": self.live.running.as_json(datetime.now(UTC)),
        }
        return {**facts, "live": live}

    @property
    def next_step(self) -> str:
        """What a person may do next, in a terminal; empty where nothing suggests itself."""
        if self.state is State.NOT_PROVISIONED:
            return f"{to(Do.PROVISION)}; this computer needs no account"
        if self.live is None:
            return ""
        if not self.live.has_files or self.live.newer:
            return to(Do.DEPLOY)
        return to(Do.ASK) if self.state is State.LIVE else ""

    def in_words(self) -> str:
        """Some lines for a terminal."""
        if self.state is State.NOT_PROVISIONED:
            return "Nothing is provisioned yet."
        where = "on this computer" if self.local else "on Azure"
        if self.live is None:
            return f"{self.endpoint or 'no endpoint'} {where}: {self.detail}"
        live, loaded = self.live, self.live.loaded
        commit = f" from commit {live.commit}" if live.commit else ""
        lines = (
            f"{self.endpoint or 'no endpoint'} {where}: {'ready' if self.ready else self._doing(live)}",
            f"deployed: {live.deployed}{commit}" if live.deployed else "",
            f"revision: {live.revision or 'none'}, replicas: {', '.join(live.replicas) or 'none'}",
            f"To bring the previous deploy back: {to(Do.BRING_BACK)}" if live.failure and live.deployed else "",
            live.another,
            *self.money(),
            f"base model: {loaded.base_model}" if loaded and loaded.base_model else "",
            *(f"adapter: {adapter.in_words()}" for adapter in (loaded.adapters if loaded else ())),
            f"runs on: {loaded.runs_on}" if loaded and loaded.runs_on else "",
            *(f"warning: {warning}" for warning in (loaded.warnings if loaded else ())),
            *(f"newer here: {path}" for path in live.newer),
        )
        return "\n".join(line for line in lines if line)

    def money(self, now: datetime | None = None) -> tuple[str, ...]:
        """Since when a replica runs and about what that came to, and a warning where one is billed for nothing."""
        if self.live is None:
            return ()
        running, at = self.live.running, now or datetime.now(UTC)
        warning = running.warning(at)
        how = f"To stop it: {to(Do.STOP)}." if warning else ""
        return tuple(line for line in (running.in_words(at), f"{warning} {how}".strip()) if line)

    @property
    def is_billed_for_nothing(self) -> bool:
        """Whether a replica runs that nobody may be asking."""
        return self.live is not None and bool(self.live.running.warning(datetime.now(UTC)))

    @staticmethod
    def _doing(live: Live) -> str:
        if live.rest:
            return live.rest
        if live.starting:
            return live.starting
        if live.failure:
            return live.failure
        if live.loaded is not None:
            return live.loaded.detail
        if live.replicas:
            return "a replica runs"
        return "asleep, no GPU is billed; the next request starts a replica"


async def look(
    workspace: Workspace, *, at_cloud: bool = True, ask_app: bool = True, find_models: bool = False
) -> Status:
    """The status. Without `at_cloud` only the files are read; with `find_models` the share's models are looked for.

    Raises an AiToolkitError for files that cannot be read and for what only a person can mend.
    """
    target = workspace.target_or_none()
    if target is None:
        return Status(State.NOT_PROVISIONED, "Nothing is provisioned yet.")
    endpoint = target.endpoint or None
    here = Status(State.PROVISIONED, f"Provisioned: {endpoint or target.app}", target.local, endpoint)
    if not at_cloud:
        return here
    try:
        await raise_if_stopped(target)
        async with open_app(workspace) as own:
            endpoint = own.target.endpoint or None
            live = await _live(own, workspace, ask_app=ask_app, find_models=find_models)
    except (LocalCloudFailed, ResourceMissing) as error:
        return Status(State.PROVISIONED, str(error), target.local, endpoint)
    return Status(*_state(live, endpoint or target.app), target.local, endpoint, live)


async def look_quietly(workspace: Workspace, *, at_cloud: bool, ask_app: bool = False) -> Status:
    """The status for a place that shows it all the time: an error becomes a state.

    The app is not asked, unless a person wants to know now: each request would keep its replica from ending.
    """
    try:
        return await look(workspace, at_cloud=at_cloud, ask_app=ask_app, find_models=True)
    except SignInNeeded as error:
        return Status(State.PROVISIONED, str(error))
    except AiToolkitError as error:
        return Status(State.FAILED, str(error))
    except Exception as error:  # noqa: BLE001  (a look must not end in an error)
        return Status(State.FAILED, str(for_people(error)))


def _state(live: Live, endpoint: str) -> tuple[State, str]:
    """The state and the sentence about it."""
    if live.rest:
        return State.AT_REST, live.rest
    if not live.has_files:
        return State.PROVISIONED, f"{endpoint}: nothing is deployed yet."
    if live.failure:
        return State.FAILED, live.failure
    if live.newer:
        more = " …" if len(live.newer) > _MOST_NAMES else ""
        return State.NEWER_FILES, f"Not deployed yet: {', '.join(live.newer[:_MOST_NAMES])}{more}"
    doing = "a replica runs" if live.replicas else "asleep, no GPU is billed; the next request wakes it"
    return State.LIVE, f"{endpoint}: {doing}. {live.another}".strip()


async def _live(own: OwnApp, workspace: Workspace, *, ask_app: bool, find_models: bool) -> Live:
    app, rest = own.app, f"{says(own.app)} {advice(own.app)}".strip()
    serving = app.serving or ((app.current,) if app.current else ())
    listed = await asyncio.gather(*(own.apps.replicas(app.name, one.name) for one in serving))
    replicas = [replica for some in listed for replica in some]
    runs = bool(replicas) or any(one.runs for one in app.serving)
    revision = app.current
    failure = ""
    if revision is not None and revision.failed:
        said = next((one.reason for one in replicas if one.reason), f"The revision is {revision.state}.")
        failure = revision.problem or said
    async with own.cloud.file_share(own.target) as share:
        manifest = Manifest.parse(await share.read(MANIFEST_PATH))
        models = await models_on_share(share) if find_models else None
        if manifest.files and not failure:
            failure = await failed_start(share, manifest, [replica.name for replica in replicas])
    loaded = await _loaded(own.endpoint, await own.key()) if ask_app and runs and not rest else None
    if loaded is not None:
        failure = loaded.detail if loaded.failed else "" if loaded.ready else failure
    origin = manifest.origin
    # Azure's list of replicas may be empty while the app serves: then the one that answered is named.
    unlisted = (loaded and loaded.replica) or UNLISTED
    return Live(
        revision=", ".join(one.name for one in serving),
        replicas=tuple(replica.name for replica in replicas) or ((unlisted,) if runs else ()),
        failure=failure,
        deployed=origin.deployed if origin else None,
        commit=origin.commit if origin else None,
        newer=tuple(await asyncio.to_thread(newer_files, workspace.folder, manifest)) if origin else (),
        has_files=bool(manifest.files),
        on_share=None if models is None else models | frozenset(manifest.files),
        loaded=loaded,
        another=await another(own.apps, app, runs=runs),
        rest=rest,
        starting=await _starting(own) if revision is not None and revision.starts and not rest else "",
        running=running_cost.running(
            tuple(one.created for one in replicas if one.created is not None),
            profile_type=await own.apps.profile_type(app) if replicas and not own.target.local else "",
            region=app.location,
            template=app.template,
            local=own.target.local,
        ),
        sent_adapters=tuple(sent_adapters(manifest)),
    )


async def _starting(own: OwnApp) -> str:
    """How far the platform is, with the verdict where it does not go on; empty where it does not tell, or has done."""
    found = await phase_of_start(own.apps, own.app, (one.name for one in own.app.active))
    if found is None or (found.phase is Phase.STARTED and found.verdict is None):
        return ""
    return f"starting: {found.in_words()}. {found.says} {found.advice}".strip()


async def _loaded(url: str, key: str | None) -> Loaded:
    from ai_toolkit.endpoint.client import Endpoint  # noqa: PLC0415  (aiohttp: the editor's server starts without it)

    async with Endpoint.open(url, key) as endpoint:
        try:
            readiness = await endpoint.readiness()
            version = await endpoint.version() if readiness.ready and not readiness.foreign else None
        except (EndpointRefused, NetworkProblem) as error:
            return Loaded(ready=False, detail=error.message)
    detail = readiness.reason or readiness.detail or readiness.said
    if version is None:
        return Loaded(readiness.ready, detail, warnings=readiness.warnings, failed=readiness.failed)
    base, adapters = base_model_of(version), adapters_of(version)
    names = ("device", "dtype", "gpu", "replica")
    told: dict[str, Any] = {name: str(version[name]) for name in names if version.get(name)}
    return Loaded(True, detail, base, adapters, readiness.warnings, **told)
