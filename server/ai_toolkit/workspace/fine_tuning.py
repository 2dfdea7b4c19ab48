"""What fine-tuning left in the workspace: where it ran, and the names that it used."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ai_toolkit.workspace.workspace import read_parameters

SHARED: Final = (
    "location",
    "storageAccountName",
    "fileShareName",
    "acaEnvironmentName",
    "acaEnvironmentStorageName",
    "acaLogAnalyticsName",
)
"""The parameters that mean the same for fine-tuning and for inference."""
FROM_FINE_TUNING: Final = "Fine-tuning used it; Provision takes it where inference.parameters.json gives no value."
_CONFIG: Final = {
    "STORAGE_ACCOUNT_NAME": "storageAccountName",
    "FILE_SHARE_NAME": "fileShareName",
    "ACA_ENVIRONMENT_NAME": "acaEnvironmentName",
    "ACA_ENVIRONMENT_STORAGE_NAME": "acaEnvironmentStorageName",
    "ACA_LOG_ANALYTICS_NAME": "acaLogAnalyticsName",
    "LOG_ANALYTICS_NAME": "acaLogAnalyticsName",
    "LOCATION": "location",
}
_OTHER_NAMES: Final = {"loganalyticsname": "acaLogAnalyticsName"}
"""What some of fine-tuning's templates call a parameter, in lower case."""
_SHARED_IN_ANY_CASE: Final = {**{name.lower(): name for name in SHARED}, **_OTHER_NAMES}


@dataclass(frozen=True)
class FineTuning:
    """`values`: parameter -> (value, file that gives it); empty where fine-tuning left nothing."""

    subscription: str | None
    resource_group: str | None
    job: str | None
    values: Mapping[str, tuple[Any, str]]

    def elsewhere(self, subscription: str, resource_group: str) -> bool:
        """Whether fine-tuning ran in another resource group than this one."""
        here = (subscription.lower(), resource_group.lower())
        there = ((self.subscription or subscription).lower(), (self.resource_group or resource_group).lower())
        return here != there


def fine_tuning_of(folder: Path, config_path: Path, config: Mapping[str, str]) -> FineTuning:
    """What the fine-tuning step wrote: its config file's names, and its parameters from both documented places.

    Raises FileMalformed, ValueImpossible.
    """
    values: dict[str, tuple[Any, str]] = {}
    for path in (
        folder / "infra" / "provision" / "finetuning.parameters.json",
        folder / "infra" / "finetuning.parameters.json",
    ):
        given = read_parameters(path).values if path.exists() else {}
        for written, value in given.items():
            name = _SHARED_IN_ANY_CASE.get(written.lower())
            if name is not None and value is not None:
                values.setdefault(name, (value, path.relative_to(folder).as_posix()))
    for key, name in _CONFIG.items():
        if config.get(key):
            values.setdefault(name, (config[key], config_path.relative_to(folder).as_posix()))
    return FineTuning(
        config.get("SUBSCRIPTION_ID"), config.get("RESOURCE_GROUP_NAME"), config.get("ACA_JOB_NAME"), values
    )
