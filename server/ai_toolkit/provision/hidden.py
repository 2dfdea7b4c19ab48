"""Values of secure parameters, left out of what is shown: Azure's own words may repeat them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from ai_toolkit.azure.deployments import Change, Refusal
from ai_toolkit.workspace.workspace import KeyVaultReference

HIDDEN: Final = "(not shown)"
_SHORTEST: Final = 3
"""A shorter text stands in other words too, which would be spoiled."""


def secrets_in(values: Mapping[str, Any], secure: Collection[str]) -> tuple[str, ...]:
    """Every text that is given for one of the `secure` parameters, the longest first; a vault's name is none."""
    given = [value for name, value in values.items() if name in secure and not isinstance(value, KeyVaultReference)]
    return tuple(sorted(set(_texts(given)), key=len, reverse=True))


def hide(shown: Any, secrets: Sequence[str]) -> Any:  # noqa: ANN401  (any JSON)
    """The same without the secrets, in texts, lists and objects."""
    if isinstance(shown, str):
        for secret in secrets:
            shown = HIDDEN if shown == secret else shown.replace(secret, HIDDEN) if len(secret) >= _SHORTEST else shown
        return shown
    if isinstance(shown, Mapping):
        return {key: hide(value, secrets) for key, value in shown.items()}
    if isinstance(shown, list | tuple):
        return [hide(value, secrets) for value in shown]
    return shown


def hide_in_changes(changes: Iterable[Change], secrets: Sequence[str]) -> list[Change]:
    """The changes with what they were and will be, without the secrets."""
    return [
        replace(
            one,
            properties=tuple(
                replace(each, before=hide(each.before, secrets), after=hide(each.after, secrets))
                for each in one.properties
            ),
        )
        for one in changes
    ]


def hide_in_refusal(refusal: Refusal | None, secrets: Sequence[str]) -> Refusal | None:
    """The refusal, whose words may repeat what was given."""
    return None if refusal is None else replace(refusal, message=hide(refusal.message, secrets))


def _texts(value: Any) -> Iterable[str]:  # noqa: ANN401  (any JSON)
    if isinstance(value, str) and value:
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)
