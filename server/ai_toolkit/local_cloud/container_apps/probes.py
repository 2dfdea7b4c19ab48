"""Startup, liveness and readiness probes, with Azure's bounds and defaults.

Source: https://learn.microsoft.com/azure/container-apps/health-probes
"""

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Any, Final, Literal

import aiohttp

from ai_toolkit.local_cloud.core.arm_error import ArmError, JsonObject

Kind = Literal["startup", "liveness", "readiness"]
# Of each property the fewest, the most, and the default.
BOUNDS: Final = {
    "initialDelaySeconds": (0, 60, 0),
    "periodSeconds": (1, 240, 10),
    "timeoutSeconds": (1, 240, 1),
    "failureThreshold": (1, 10, 3),
    "successThreshold": (1, 10, 1),
}
OK_FROM, OK_BELOW = 200, 400


@dataclass(frozen=True)
class Probe:
    """How to find out whether a container has started, lives, or is ready."""

    kind: Kind
    port: int | None  # None: the ingress's target port
    path: str | None  # None: only connect
    headers: tuple[tuple[str, str], ...]
    initial_delay_seconds: int
    period_seconds: int
    timeout_seconds: int
    failure_threshold: int
    success_threshold: int

    async def passes(self, session: aiohttp.ClientSession, port: int) -> bool:
        """Whether the container answers well at that port of this computer."""
        try:
            async with asyncio.timeout(self.timeout_seconds):
                if self.path is None:
                    return await _accepts(port)
                url = f"http://127.0.0.1:{port}{self.path}"
                async with session.get(url, headers=dict(self.headers), allow_redirects=False) as answer:
                    return OK_FROM <= answer.status < OK_BELOW
        except (OSError, TimeoutError, aiohttp.ClientError):
            return False


async def _accepts(port: int) -> bool:
    _reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    return True


def read_probes(container: JsonObject, *, with_defaults: bool = True) -> dict[Kind, Probe]:
    """The container's probes by kind; those of the one that serves with Azure's own where none is given.

    Raises ArmError `ContainerAppProbe…` for what Azure refuses.
    """
    probes: dict[Kind, Probe] = {}
    if with_defaults:
        probes["startup"] = _default("startup", period=1, timeout=3, failures=240)
        probes["readiness"] = _default("readiness", period=5, timeout=5, failures=48)
    given: set[str] = set()
    for index, probe in enumerate(container.get("probes") or []):
        target = f"properties.template.containers.{container.get('name')}.probes[{index}]"
        kind = str(probe.get("type", "")).lower()
        if kind not in {"startup", "liveness", "readiness"}:
            raise ArmError("ContainerAppProbeTypeInvalid", f"'{probe.get('type')}' is no type of probe.", target=target)
        if kind in given:
            raise ArmError("ContainerAppProbeTypeDuplicate", f"There are two probes of type '{kind}'.", target=target)
        given.add(kind)
        known: Kind = "startup" if kind == "startup" else "liveness" if kind == "liveness" else "readiness"
        probes[known] = _read(known, probe, target)
    return probes


def _default(kind: Kind, *, period: int, timeout: int, failures: int) -> Probe:
    return Probe(kind, None, None, (), 0, period, timeout, failures, 1)


def _read(kind: Kind, probe: JsonObject, target: str) -> Probe:
    numbers: dict[str, int] = {}
    for name, (fewest, most, default) in BOUNDS.items():
        value: Any = probe.get(name)
        if value is None:
            value = default
        if isinstance(value, bool) or not isinstance(value, int) or not fewest <= value <= most:
            raise ArmError(
                "ContainerAppProbeValueInvalid",
                f"'{name}' of the {kind} probe is {value!r}; it must be from {fewest} to {most}.",
                target=f"{target}.{name}",
            )
        numbers[name] = value
    http, tcp = probe.get("httpGet"), probe.get("tcpSocket")
    if (http is None) == (tcp is None):
        raise ArmError(
            "ContainerAppProbeInvalid",
            f"The {kind} probe needs either 'httpGet' or 'tcpSocket'.",
            target=target,
        )
    action: JsonObject = http or tcp or {}
    port = action.get("port")
    if isinstance(port, bool) or not isinstance(port, int) or not 1 <= port <= 65535:  # noqa: PLR2004
        raise ArmError(
            "ContainerAppProbePortInvalid",
            f"The {kind} probe needs a port from 1 to 65535.",
            target=f"{target}.port",
        )
    headers = tuple((header["name"], header["value"]) for header in (http or {}).get("httpHeaders") or [])
    return Probe(
        kind,
        port,
        None if http is None else "/" + str(http.get("path") or "/").lstrip("/"),
        headers,
        numbers["initialDelaySeconds"],
        numbers["periodSeconds"],
        numbers["timeoutSeconds"],
        numbers["failureThreshold"],
        numbers["successThreshold"],
    )
