"""The rows of the editor's view "Endpoint": what `aitk status` knows of a folder, with the actions beside each.

A row is made of what a look found; nobody is asked for it, so showing the view wakes nothing and holds no replica.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from ai_toolkit.deploy.deployed import ServedAdapter
from ai_toolkit.deploy.offered_models import DEFAULT, foreseen
from ai_toolkit.deploy.status import Live, Loaded, State, Status
from ai_toolkit.editor.endpoint_messages import EndpointRow
from ai_toolkit.prices.running_cost import duration_in_words
from ai_toolkit.workspace.workspace import Workspace

_MOST_FILES: Final = 50


def rows_of(workspace: Workspace, status: Status, told: Loaded | None, now: datetime) -> tuple[EndpointRow, ...]:
    """The rows; none where nothing is provisioned, for which the editor has words of its own.

    `told` is what the replica that runs said when it was last asked; None where it was not asked, or is gone.
    """
    target = workspace.target_or_none()
    if target is None:
        return ()
    where = "this computer" if target.local else f"Azure, {target.resource_group}"
    place = f"{target.app} in {target.resource_group}, subscription {target.subscription}"
    address = target.endpoint.partition("://")[2] or target.app
    live = status.live
    if live is None:
        cloud = ("startLocalCloud",) if target.local else ()
        return (
            _row("endpoint", "Endpoint", f"{address} · {where}", "server-environment", tooltip=place),
            _row("problem", status.detail, "", "warning", "provisionInference", *cloud),
        )
    return (
        _row(
            "endpoint",
            "Endpoint",
            f"{address} · {where}",
            "server-environment",
            *("openEndpoint", "copyKey"),
            tooltip=place,
        ),
        *_problem(status, live),
        *(_models(workspace, live, told) if live.has_files else ()),
        _deployed(live, now),
        *_newer(workspace, live),
        _replica(status, live, now),
        *_cost(live, now),
        *(_row("another", live.another, "", "versions", "showLogs") for _ in range(bool(live.another))),
        *(_row(f"warning {n}", one, "", "warning") for n, one in enumerate(told.warnings if told else ())),
    )


def _problem(status: Status, live: Live) -> Iterator[EndpointRow]:
    if status.state is State.FAILED and live.failure:
        back = ("bringBack",) if live.deployed else ()
        yield _row("failed", "Failed", live.failure, "error", *back, "showLogs")


def _models(workspace: Workspace, live: Live, told: Loaded | None) -> Iterator[EndpointRow]:
    """As the replica said, else as the share's files let expect; an adapter with the hash of its weights."""
    if told is not None and told.ready:
        base, adapters = told.base_model or "", told.adapters
    else:
        models = foreseen(live.on_share or (), workspace)
        hashes = {one.name: one.sha256 for one in live.sent_adapters}
        base = next((one.name for one in models if not one.fine_tuned), "")
        tuned = [one.name for one in models if one.fine_tuned and one is not DEFAULT]
        adapters = tuple(ServedAdapter(name, hashes.get(name, "")) for name in tuned)
    if base:
        runs_on = f" on {told.runs_on}" if told is not None and told.runs_on else ""
        yield _row("model", "Model", f"{base}{runs_on}", "chip", "evaluateInference")
    for one in adapters:
        sha256 = f" · SHA-256 {one.sha256[:12]}…" if one.sha256 else ""
        whole = f"{one.name}\n\nSHA-256 {one.sha256}" if one.sha256 else one.name
        yield _row(f"adapter {one.name}", "Adapter", f"{one.name}{sha256}", "extensions", "useInChat", tooltip=whole)


def _deployed(live: Live, now: datetime) -> EndpointRow:
    if not live.has_files:
        return _row("deployed", "Deployed", "nothing yet", "cloud-upload", "deployInference")
    if live.deployed is None:
        return _row("deployed", "Deployed", "by another tool", "cloud", "deployInference")
    commit = f" from commit {live.commit[:12]}" if live.commit else ""
    at = _local_time(live.deployed, now)
    return _row("deployed", "Deployed", f"{at}{commit}", "cloud", "deployInference", "bringBack")


def _newer(workspace: Workspace, live: Live) -> Iterator[EndpointRow]:
    if not live.newer:
        return
    files = tuple(
        _row(f"newer {path}", path, "", "file", file=(workspace.folder / path).as_uri())
        for path in live.newer[:_MOST_FILES]
    )
    count = "1 file" if len(live.newer) == 1 else f"{len(live.newer)} files"
    yield _row("newer", "Newer here", count, "diff-added", "deployInference", rows=files)


def _replica(status: Status, live: Live, now: datetime) -> EndpointRow:
    if live.rest:
        return _row("replica", "Replica", live.rest, "debug-stop", "startInference", "showLogs")
    if live.starting:
        return _row("replica", "Replica", live.starting, "sync", "showLogs", "stopInference")
    revision = f"revision {live.revision or 'none'}, replicas {', '.join(live.replicas) or 'none'}"
    if not live.replicas:
        asleep = "asleep, nothing is billed; the next request wakes it"
        if live.failure or not live.has_files:
            asleep = "none runs"
        return _row("replica", "Replica", asleep, "debug-pause", "showLogs", "stopInference", tooltip=revision)
    since = live.running.since()
    ran = "" if since is None else f" since {_local_time(since.isoformat(), now)} ({duration_in_words(now - since)})"
    many = "runs" if len(live.replicas) == 1 else f"{len(live.replicas)} run"
    tooltip = "\n\n".join((revision, *status.money(now)))
    return _row("replica", "Replica", f"{many}{ran}", "vm-running", "showLogs", "stopInference", tooltip=tooltip)


def _cost(live: Live, now: datetime) -> Iterator[EndpointRow]:
    """Since when a replica runs and about what that came to, and what is billed for nothing."""
    said, warning = live.running.in_words(now), live.running.warning(now)
    if said:
        yield _row("cost", "Cost", live.running.so_far(now), "credit-card", tooltip=said)
    if warning:
        yield _row("warning", warning, "", "warning", "stopInference")


def _local_time(iso: str, now: datetime) -> str:
    """By this computer's clock; without the day where that is today."""
    try:
        at = datetime.fromisoformat(iso).astimezone()
    except ValueError:
        return iso
    return at.strftime("%H:%M" if at.date() == now.astimezone().date() else "%Y-%m-%d %H:%M")


def _row(  # noqa: PLR0913  (a row's parts)
    id_: str,
    label: str,
    description: str,
    icon: str,
    *actions: str,
    tooltip: str = "",
    file: str | None = None,
    rows: tuple[EndpointRow, ...] = (),
) -> EndpointRow:
    shown = tooltip or " ".join(part for part in (label, description) if part)
    return EndpointRow(id_, label, description, shown, icon, actions, file, rows)
