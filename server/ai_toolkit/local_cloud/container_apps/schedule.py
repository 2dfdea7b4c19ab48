"""Cron rules of an app's scale: how many replicas they hold now, as KEDA's cron scaler has it.

Source: https://keda.sh/docs/latest/scalers/cron/
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from ai_toolkit.local_cloud.core.arm_error import ArmError, JsonObject

_TARGET = "properties.template.scale.rules"


@dataclass(frozen=True)
class Schedule:
    """From each `start` to the next `end` there are so many replicas at least."""

    start: str
    end: str
    zone: ZoneInfo
    replicas: int

    @classmethod
    def read(cls, metadata: JsonObject) -> Self:
        """The schedule of a rule; ArmError for one that means nothing."""
        given = {name: str(metadata.get(name) or "") for name in ("start", "end", "timezone", "desiredReplicas")}
        try:
            if not given["desiredReplicas"].isdigit():
                raise ValueError("desiredReplicas is a number")  # noqa: TRY301  # refused like the others
            found = cls(given["start"], given["end"], ZoneInfo(given["timezone"]), int(given["desiredReplicas"]))
            found.holds(datetime.now(found.zone))
        except (CronSimError, ZoneInfoNotFoundError, ValueError) as error:
            raise ArmError(
                "ContainerAppInvalidScaleRule",
                "A cron rule needs 'start' and 'end' in cron's notation, a 'timezone' and 'desiredReplicas': "
                f"{error or 'the expression is invalid'}.",
                target=_TARGET,
            ) from error
        return found

    def holds(self, now: datetime) -> int:
        """How many replicas it asks for at a moment: none outside of its time."""
        local = now.astimezone(self.zone)
        ends, starts = next(CronSim(self.end, local)), next(CronSim(self.start, local))
        return self.replicas if ends < starts else 0


def read_schedules(scale: JsonObject) -> tuple[Schedule, ...]:
    """The cron rules of a template's scale."""
    found = []
    for rule in scale.get("rules") or []:
        custom = rule.get("custom") or {}
        if str(custom.get("type")).lower() == "cron":
            found.append(Schedule.read(custom.get("metadata") or {}))
    return tuple(found)
