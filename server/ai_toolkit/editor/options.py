"""What an editor says of itself when it starts the server: `initializationOptions`."""

from collections.abc import Mapping
from typing import Any, Final

_VARIABLES: Final = {
    "bicepCli": "AITK_BICEP",
    "localCloud.folder": "AITK_LOCAL_CLOUD_HOME",
    "localCloud.replicaInterpreter": "AITK_REPLICA_PYTHON",
}
"""Settings below `aiToolkit`, and the environment variables that carry them: the local cloud inherits those."""


def trusted(options: Any) -> bool:  # noqa: ANN401  (any JSON)
    """Whether commands may run in the folders that are open; an editor that does not say so trusts them."""
    return not isinstance(options, Mapping) or options.get("trusted") is not False


def has_chat(options: Any) -> bool:  # noqa: ANN401  (any JSON)
    """Whether the editor takes language models of extensions; one that does not say so has none."""
    return isinstance(options, Mapping) and options.get("chat") is True


def variables(options: Any) -> dict[str, str]:  # noqa: ANN401  (any JSON)
    """The environment variables that the settings ask for; an empty setting asks for none."""
    settings = options.get("settings") if isinstance(options, Mapping) else None
    found = {variable: _setting(settings, name.split(".")) for name, variable in _VARIABLES.items()}
    return {variable: value.strip() for variable, value in found.items() if value.strip()}


def _setting(settings: Any, path: list[str]) -> str:  # noqa: ANN401  (any JSON)
    for name in path:
        settings = settings.get(name) if isinstance(settings, Mapping) else None
    return settings if isinstance(settings, str) else ""
