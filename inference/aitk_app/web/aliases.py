"""Short names of models: without a slash, for programs that take none in a name and for people who type one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# Folders that fine-tuning makes for every model: they say nothing about this one.
_SAYS_NOTHING = frozenset(
    {"adapter", "adapters", "model", "models", "output", "outputs", "final", "checkpoint", "lora", "peft", "results"}
    | {"gpu_model", "gpu-cpu_model", "cpu_model", "weights", "best", "last", "merged"}
)


def aliases_of(names: Sequence[str]) -> dict[str, str]:
    """Alias -> name, for the names with a slash: the last part of the path that says something.

    A name whose alias another one has or would have keeps only its own.
    """
    wanted = {name: alias for name in names if (alias := _alias(name)) is not None}
    taken = [*names, *wanted.values()]
    return {alias: name for name, alias in wanted.items() if taken.count(alias) == 1}


def clashing(names: Sequence[str]) -> list[str]:
    """The names with a slash that have no short one, because several would have the same."""
    found = set(aliases_of(names).values())
    return [name for name in names if _alias(name) is not None and name not in found]


def _alias(name: str) -> str | None:
    parts = [part for part in name.split("/") if part]
    if len(parts) < 2:  # noqa: PLR2004 - it has no slash
        return None
    return next((part for part in reversed(parts) if part.lower() not in _SAYS_NOTHING), None)
