"""What runs before a deploy, and what a new revision of it should have besides."""

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from ai_toolkit.azure.container_app import UNLISTED, ContainerApp, Rest
from ai_toolkit.azure.container_apps import KEY_SECRET, ContainerApps
from ai_toolkit.azure.deployments import PropertyChange
from ai_toolkit.command_titles import Title
from ai_toolkit.deploy.wanted_template import ChangedTemplate
from ai_toolkit.endpoint.address import OwnApp
from ai_toolkit.endpoint.client import Endpoint, Stage
from ai_toolkit.endpoint.what_runs import offer_start, raise_if_unreachable
from ai_toolkit.errors import Dismissed, EndpointRefused, RevisionFailed, TrafficPinned, UsageError
from ai_toolkit.two_faces import Do, to
from ai_toolkit.ui import Choice, Pick, Ui
from ai_toolkit.workspace.workspace import CODE

KEY_VARIABLE: Final = "AITK_API_KEY"


@dataclass(frozen=True)
class Running:
    """The app before the deploy, its replicas' names, and when the first of them was made.

    `loaded` is what a replica says that it loaded: empty while it does not say, None where it has no such page or none
    runs. `properties` is what a new revision should have that is not wanted of the app yet; empty where nothing lacks.
    `differs` when template or parameters want that, and not only a key: `changed` says what. `starts` when an app that
    somebody stopped, or whose revisions were deactivated, is to be started. `loading` while a replica starts, and has
    not failed.
    """

    app: ContainerApp
    endpoint: str
    key: str | None
    replicas: tuple[str, ...]
    created: datetime | None
    loaded: Mapping[str, Any] | None
    properties: Mapping[str, Any]
    differs: bool
    changed: tuple[PropertyChange, ...] = ()
    starts: bool = False
    loading: bool = False

    @property
    def revisions(self) -> tuple[str, ...]:
        """The revisions that serve; where none does, the one that would."""
        return tuple(one.name for one in self.app.serving) or ((self.app.current.name,) if self.app.current else ())

    @property
    def waits_to_serve(self) -> bool:
        """Whether another revision is to serve than the one that does: it starts, or waits for that one's GPU."""
        app = self.app
        return bool(app.serving and app.coming and not app.coming.failed and not app.is_multiple)


async def what_runs(own: OwnApp, wanted: ChangedTemplate | None) -> Running:
    """The app as it is now. A sleeping one is not asked, so that looking wakes nothing.

    Raises EndpointForeign, AppAtRest where nothing from here reaches it, TrafficPinned where a new revision would get
    no request, RevisionFailed when no replica can start at all.
    """
    apps, app, url = own.apps, own.app, own.endpoint  # the key is for this host alone
    raise_if_unreachable(app)
    properties = {} if wanted is None else {"template": wanted.template}
    if properties and not app.takes_new_traffic():
        raise TrafficPinned(app.name, (one.name for one in app.serving))
    changed = () if wanted is None else wanted.changed
    running = Running(app, url, None, (), None, None, properties, bool(properties), changed)
    listed = await asyncio.gather(*(apps.replicas(app.name, one) for one in running.revisions))
    replicas = [replica for some in listed for replica in some]
    names = tuple(replica.name for replica in replicas)
    created = min((replica.created for replica in replicas if replica.created), default=None)
    revision = app.current
    if revision is not None and revision.problem and not names and not properties:
        raise RevisionFailed(revision.name, revision.state, revision.problem)
    running = replace(running, key=await own.key(), replicas=names, created=created)
    if not names and not any(one.runs for one in app.serving):
        return running
    async with Endpoint.open(url, running.key) as endpoint:
        loading = False
        try:
            loaded = await endpoint.version()
        except EndpointRefused:
            loaded = {}
            readiness = await endpoint.readiness()
            loading = not readiness.ready and not readiness.failed and readiness.stage is not Stage.NOTHING_DEPLOYED
    # Azure's list of replicas may be empty while the app serves.
    replicas_now = names or (str((loaded or {}).get("replica") or UNLISTED),)
    return replace(running, loaded=loaded, loading=loading, replicas=replicas_now)


async def offer_to_start(running: Running, ui: Ui, *, agreed: bool | None) -> Running:
    """Says why an app is silent that somebody silenced, and offers to start it where that ends it. Raises Dismissed."""
    app = running.app
    if app.rest in {Rest.STOPPED, Rest.DEACTIVATED}:
        return replace(running, starts=await offer_start(app, ui, Title.DEPLOY, agreed=agreed))
    return running


async def offer_key(apps: ContainerApps, running: Running, folder: Path, ui: Ui, answer: str | None) -> Running:
    """Says that an app without a key answers anyone, and offers one. Raises Dismissed.

    `answer` is `add` or `none`; where nobody can be asked, the app stays as it is.
    """
    if running.key is not None:
        return running
    ui.announce(f"{running.app.name} has no key: its endpoint answers anyone who knows the address.")
    items = (
        Choice("add", "Add a key", "as a secret of the app; programs then send it, and the page asks for it"),
        Choice("none", "Leave it open", "anyone who knows the address uses the GPU that you pay"),
        Choice("cancel", "Cancel"),
    )
    question = Pick(Title.DEPLOY, f"{running.app.name} has no key", items, option="--key add|none")
    try:
        chosen = answer or await ui.pick(question)
    except UsageError:
        ui.announce(f"To give it one: {to(Do.DEPLOY_WITH_KEY)}.")
        return running
    if chosen == "cancel":
        raise Dismissed
    if chosen == "none":
        return running
    if not _asks_for_key(folder / CODE):
        ui.announce(
            f"The code in {CODE}/ never reads {KEY_VARIABLE}, so it goes on answering anyone: "
            f"replace it by the app that {to(Do.CREATE_PROJECT)} adds."
        )
    return await _with_key(apps, running)


async def _with_key(apps: ContainerApps, running: Running) -> Running:
    key = secrets.token_urlsafe(32)
    template = running.properties.get("template") or {}
    wanted = replace(running.app, template={**running.app.template, **template})
    added = await apps.with_secret(wanted, KEY_SECRET, key, KEY_VARIABLE)
    return replace(running, key=key, properties={**added, "template": {**template, **added["template"]}})


def _asks_for_key(code: Path) -> bool:
    return any(KEY_VARIABLE in source.read_text("utf-8", "replace") for source in code.rglob("*.py"))
