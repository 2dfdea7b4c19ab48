"""Each parameter's value and where it comes from: the file, the fine-tuning job, fine-tuning's files, the default."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Final

from ai_toolkit.azure.fine_tuning_job import FineTuningJob
from ai_toolkit.provision.hidden import HIDDEN
from ai_toolkit.ui import Line, Tone
from ai_toolkit.workspace import parameter_rules
from ai_toolkit.workspace.elsewhere import TYPES
from ai_toolkit.workspace.fine_tuning import FineTuning
from ai_toolkit.workspace.located import Located
from ai_toolkit.workspace.template import Template
from ai_toolkit.workspace.unique_string import unique_string
from ai_toolkit.workspace.workspace import KeyVaultReference, Parameters

_SHOWN: Final = 100


class Source(Enum):
    """What gave a parameter its value, the strongest first."""

    FILE = "the parameters file"
    FINE_TUNING_JOB = "the live fine-tuning job"
    FINE_TUNING_FILES = "what fine-tuning left in the workspace"
    ENVIRONMENT = "an existing managed environment"
    DEFAULT = "the template's default"


@dataclass(frozen=True)
class Setting:
    """A parameter's value, what gave it, and that for a person."""

    value: Any
    source: Source
    origin: str = "default"


@dataclass(frozen=True)
class Settings:
    """Every parameter of a template that has a value before Azure evaluates it."""

    given: Parameters
    by_name: Mapping[str, Setting]

    def value(self, name: str) -> Any:  # noqa: ANN401  (any JSON)
        found = self.by_name.get(name)
        return found.value if found else None

    @property
    def names(self) -> dict[str, str]:
        """The six resource names."""
        return {name: str(self.value(name)) for name in parameter_rules.DEFAULT_PREFIXES}

    def located(self, name: str, subscription: str, group: str) -> Located:
        """Where the resource is that a parameter names, in that group or by its id elsewhere."""
        return Located.of(str(self.value(name)), subscription, group)

    def with_settings(self, changed: Mapping[str, Setting]) -> "Settings":
        """The same with some settings in place of what was there."""
        return Settings(self.given, {**self.by_name, **changed})

    def to_send(self, template: Template) -> dict[str, Any]:
        """What Azure gets; a template of another make gets only what somebody chose, and keeps its own defaults."""
        return {
            name: Located.of(str(setting.value), "", "").name if name in TYPES else setting.value
            for name, setting in self.by_name.items()
            if name in template.parameters
            and (
                template.ours or setting.source is not Source.DEFAULT or "defaultValue" not in template.parameters[name]
            )
        }

    def in_words(self, template: Template) -> list[Line]:
        """One line for each parameter: its value and where it comes from; the defaults are details."""
        lines = []
        for name in template.parameters:
            setting = self.by_name.get(name)
            if name in parameter_rules.OURS or setting is None:
                continue
            shown = _shown(setting.value, secure=name in template.secure)
            cut = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
            default = template.parameters[name].get("defaultValue")
            usual = setting.source in {Source.DEFAULT, Source.ENVIRONMENT} or setting.value == default
            tone = Tone.DETAIL if usual else Tone.PLAIN
            lines.append(Line(f"    {name} = {cut}  ({setting.origin})", tone))
        others = any(line.tone is Tone.PLAIN for line in lines)
        return [Line("Parameters that differ from the defaults:" if others else "Parameters: the defaults."), *lines]


def choose_settings(
    template: Template,
    given: Parameters,
    job: tuple[str, Mapping[str, str]],
    fine_tuning: FineTuning | None,
    place: tuple[str, str],
) -> Settings:
    """The values in the order of their sources.

    `job`: the live fine-tuning job's name and its resources. `fine_tuning`: None where it ran in another resource
    group. `place`: the resource group's id and location.
    """
    group_id, location = place
    defaults: dict[str, Any] = {
        name: declaration["defaultValue"]
        for name, declaration in template.parameters.items()
        if "defaultValue" in declaration and not _is_expression(declaration["defaultValue"])
    }
    defaults |= {**resource_names({}, group_id), "location": location}
    found = {name: Setting(value, Source.DEFAULT) for name, value in defaults.items()}
    for name, (value, file) in (fine_tuning.values if fine_tuning is not None else {}).items():
        found[name] = Setting(value, Source.FINE_TUNING_FILES, file)
    found |= {
        name: Setting(value, Source.FINE_TUNING_JOB, f"fine-tuning job {job[0]}") for name, value in job[1].items()
    }
    found |= {name: Setting(value, Source.FILE, given.path.name) for name, value in given.values.items()}
    return Settings(
        given, {name: _by_name_here(one, group_id) if name in TYPES else one for name, one in found.items()}
    )


def _by_name_here(setting: Setting, group_id: str) -> Setting:
    """An id of a resource of this very group means what its name means; what it names is made where it is missing."""
    subscription, group = group_id.split("/")[2], group_id.split("/")[4]
    located = Located.of(str(setting.value), subscription, group)
    return replace(setting, value=located.name) if located.is_in(subscription, group) else setting


def _shown(value: object, *, secure: bool) -> str:
    if isinstance(value, KeyVaultReference):
        return str(value)
    return HIDDEN if secure else value if isinstance(value, str) else json.dumps(value)


def _is_expression(value: object) -> bool:
    return isinstance(value, str) and value.startswith("[") and not value.startswith("[[")


def check_names(settings: Settings) -> None:
    """Raises ValueImpossible for a name that came from elsewhere than the parameters file and is impossible."""
    for name, rule in parameter_rules.NAME_RULES.items():
        setting = settings.by_name[name]
        if not re.fullmatch(rule.pattern, str(setting.value)):
            problem = f'"{setting.value}" (from {setting.origin}) is impossible: {rule.words} are allowed'
            raise settings.given.wrong(name, problem)


def resource_names(values: Mapping[str, Any], group_id: str) -> dict[str, str]:
    """The six names: as given, else the ones that fine-tuning used in that resource group."""
    suffix = unique_string(group_id)[:5]
    return {name: str(values.get(name) or prefix + suffix) for name, prefix in parameter_rules.DEFAULT_PREFIXES.items()}


def values_of(job: FineTuningJob | None) -> Mapping[str, str]:
    """Parameter -> name of the job's resource of that kind; only what was found."""
    if job is None:
        return {}
    found = {
        "location": job.location.replace(" ", "").lower() if job.location else None,
        "storageAccountName": job.account,
        "fileShareName": job.share,
        "acaEnvironmentName": job.environment,
        "acaEnvironmentStorageName": job.storage,
        "acaLogAnalyticsName": job.workspace,
    }
    return {name: value for name, value in found.items() if value}
