"""What a replica runs: a container of a template, with paths, secrets and ports of this computer."""

import contextlib
import os
import re
import socket
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ai_toolkit.local_cloud.container_apps.probes import Kind, Probe, read_probes
from ai_toolkit.local_cloud.container_apps.unprivileged import as_user, unnamed_user
from ai_toolkit.local_cloud.core.arm_error import JsonObject

DEFAULT_TARGET_PORT: Final = 80
DEFAULT_GRACE_SECONDS: Final = 30
SAFE_IN_SHELL: Final = re.compile(r"[A-Za-z0-9_./+@%:,=-]+")


class ReplicaPlanError(Exception):
    """A replica cannot be started, and why."""


@dataclass(frozen=True)
class Mount:
    """A volume's path in the container, and the folder that it is on this computer."""

    path: str
    folder: Path
    is_share: bool


@dataclass(frozen=True)
class ContainerPlan:
    """What one container's process is started with; without a command there is none."""

    name: str
    command: tuple[str, ...]
    variables: Mapping[str, str]
    work: Path
    probes: Mapping[Kind, Probe]
    grace_seconds: int
    requirements: Path | None
    shares: tuple[Path, ...]
    has_gpu: bool = False
    user: int | None = None

    @property
    def folder(self) -> Path:
        """Where it is started: with a GPU it may write there, and not into its HOME."""
        return self.work / ("app" if self.has_gpu else "home")


@dataclass(frozen=True)
class ReplicaPlan:
    """The containers of a replica, and the port on this computer that stands for the ingress's target port."""

    work: Path
    port: int
    target_port: int
    init_containers: tuple[ContainerPlan, ...]
    containers: tuple[ContainerPlan, ...]

    @property
    def serving(self) -> ContainerPlan:
        """The container that gets the app's requests: the first that runs a command."""
        return next(one for one in self.containers if one.command)

    def probe_port(self, probe: Probe) -> int:
        """The port on this computer that a probe asks."""
        return self.port if probe.port in {None, self.target_port} else probe.port or self.port


@dataclass(frozen=True)
class Identity:
    """Names that Azure tells a replica about itself, and whether it has a GPU."""

    app: str
    revision: str
    replica: str
    hostname: str
    dns_suffix: str
    has_gpu: bool = False


def make_plan(
    properties: JsonObject,
    template: JsonObject,
    identity: Identity,
    work: Path,
    share_folder: Callable[[str], Path],
) -> ReplicaPlan:
    """The plan of a new replica; ReplicaPlanError when a secret, share or every command is missing.

    `share_folder` gives the folder of an environment's storage by its name.
    """
    work.mkdir(parents=True, exist_ok=True)
    configuration = properties.get("configuration") or {}
    secrets = {secret["name"]: secret for secret in configuration.get("secrets") or []}
    port = free_port()
    user = unnamed_user() if identity.has_gpu else None
    own = {
        "CONTAINER_APP_NAME": identity.app,
        "CONTAINER_APP_REVISION": identity.revision,
        "CONTAINER_APP_REPLICA_NAME": identity.replica,
        "CONTAINER_APP_HOSTNAME": identity.hostname,
        "CONTAINER_APP_PORT": str(port),
        "CONTAINER_APP_ENV_DNS_SUFFIX": identity.dns_suffix,
        "AITK_HOST": "127.0.0.1",
        "AITK_GPU": "optional",  # no GPU is given here, and none is billed
    }

    def planned(container: JsonObject, *, is_serving: bool) -> ContainerPlan:
        name = str(container.get("name"))
        mounts = _mounts(container, template, work, share_folder, secrets)
        parts = [*(container.get("command") or []), *(container.get("args") or [])]
        command = tuple(_on_this_computer(part, mounts) for part in parts)
        variables = _variables(container, secrets)
        return ContainerPlan(
            name=name,
            command=as_user(user, command) if command and user is not None else command,
            variables={**{key: _on_this_computer(value, mounts) for key, value in variables.items()}, **own},
            work=work if is_serving else work / "containers" / name,
            probes=read_probes(container, with_defaults=is_serving),
            grace_seconds=template.get("terminationGracePeriodSeconds") or DEFAULT_GRACE_SECONDS,
            requirements=next(
                (found for mount in mounts if (found := mount.folder / "inference" / "requirements.txt").is_file()),
                None,
            ),
            shares=tuple(mount.folder for mount in mounts if mount.is_share),
            has_gpu=identity.has_gpu,
            user=user,
        )

    containers: list[JsonObject] = template["containers"]
    serving = next((one for one in containers if one.get("command") or one.get("args")), None)
    if serving is None:
        raise ReplicaPlanError(
            f"The container '{containers[0].get('name')}' has no command: the local cloud runs commands, no images."
        )
    return ReplicaPlan(
        work=work,
        port=port,
        target_port=(configuration.get("ingress") or {}).get("targetPort") or DEFAULT_TARGET_PORT,
        init_containers=tuple(planned(one, is_serving=False) for one in template.get("initContainers") or []),
        containers=tuple(planned(one, is_serving=one is serving) for one in containers),
    )


def _mounts(
    container: JsonObject,
    template: JsonObject,
    work: Path,
    share_folder: Callable[[str], Path],
    secrets: Mapping[str, JsonObject],
) -> list[Mount]:
    volumes = {volume["name"]: volume for volume in template.get("volumes") or []}
    mounts = []
    for index, mount in enumerate(container.get("volumeMounts") or []):
        volume = volumes.get(mount.get("volumeName"))
        if volume is None:
            raise ReplicaPlanError(f"The volume '{mount.get('volumeName')}' is not defined in the template.")
        kind = volume.get("storageType") or "EmptyDir"
        if kind == "AzureFile":
            folder = share_folder(str(volume.get("storageName")))
        elif kind == "EmptyDir":
            folder = work / "volumes" / str(volume["name"])
            folder.mkdir(parents=True, exist_ok=True)
        elif kind == "Secret":
            folder = _secret_files(volume, work, secrets)
        else:
            raise ReplicaPlanError(f"The local cloud does not emulate volumes of type '{kind}'.")
        if mount.get("subPath"):
            folder = _below(folder, str(mount["subPath"]))
        mounts.append(
            Mount(
                str(mount["mountPath"]).rstrip("/"),
                _in_shell(folder, work, f"{container.get('name')}-{index}"),
                kind == "AzureFile",
            )
        )
        open_to_all(folder)
    return sorted(mounts, key=lambda mount: -len(mount.path))


def open_to_all(folder: Path) -> None:
    """Let every user write into the folder and those below it, as Azure's mounts do (`dir_mode=0777`)."""
    for found, _folders, _files in os.walk(folder):
        with contextlib.suppress(OSError):  # somebody else's, or gone by now
            Path(found).chmod(0o777)


def _below(folder: Path, sub_path: str) -> Path:
    found = folder.joinpath(*(part for part in sub_path.split("/") if part not in {"", ".", ".."}))
    found.mkdir(parents=True, exist_ok=True)
    return found


def _in_shell(folder: Path, work: Path, name: str) -> Path:
    """The folder, or a link to it where its own path would fall apart in an unquoted script."""
    if SAFE_IN_SHELL.fullmatch(str(folder)):
        return folder
    links = work / "mounts"
    if not SAFE_IN_SHELL.fullmatch(str(links)):
        links = Path(tempfile.mkdtemp(prefix="aitk-mount-"))
    links.mkdir(parents=True, exist_ok=True)
    link = links / name
    if not link.is_symlink():
        link.symlink_to(folder, target_is_directory=True)
    return link


def _on_this_computer(text: str, mounts: list[Mount]) -> str:
    """The text with mount paths replaced where they stand as whole path components."""
    for mount in mounts:
        pattern = rf"(?<![\w./-]){re.escape(mount.path)}(?![\w.-])"
        text = re.sub(pattern, str(mount.folder).replace("\\", r"\\"), text)
    return text


def _secret_files(volume: JsonObject, work: Path, secrets: Mapping[str, JsonObject]) -> Path:
    """A folder with a file for each secret of the volume, or for all of them."""
    folder = work / "volumes" / str(volume["name"])
    folder.mkdir(parents=True, exist_ok=True)
    named = volume.get("secrets") or [{"secretRef": name, "path": name} for name in secrets]
    for one in named:
        path = _within(folder, str(one.get("path") or one.get("secretRef")))
        path.write_text(_secret(str(one.get("secretRef")), secrets, f"the volume '{volume['name']}'"), encoding="utf-8")
        path.chmod(0o600)
    return folder


def _within(folder: Path, path: str) -> Path:
    found = folder.joinpath(*(part for part in path.split("/") if part not in {"", ".", ".."}))
    found.parent.mkdir(parents=True, exist_ok=True)
    return found


def _variables(container: JsonObject, secrets: Mapping[str, JsonObject]) -> dict[str, str]:
    variables = {}
    for variable in container.get("env") or []:
        name, reference = str(variable["name"]), variable.get("secretRef")
        variables[name] = (
            _secret(reference, secrets, f"the variable '{name}'") if reference else str(variable.get("value") or "")
        )
    return variables


def _secret(name: str, secrets: Mapping[str, JsonObject], needed_by: str) -> str:
    secret = secrets.get(name)
    if secret is None:
        raise ReplicaPlanError(f"The secret '{name}' of {needed_by} does not exist.")
    if not secret.get("value") and secret.get("keyVaultUrl"):
        raise ReplicaPlanError(
            f"The secret '{name}' of {needed_by} is in a key vault, which the local cloud cannot read: give it a value."
        )
    return str(secret.get("value") or "")


def free_port() -> int:
    """A port of this computer that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
