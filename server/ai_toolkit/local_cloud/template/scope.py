"""What names in an expression can mean, and how a mistake in a template is said."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from ai_toolkit.local_cloud.core.arm_error import ArmError, JsonObject
from ai_toolkit.local_cloud.template.syntax import Expression

Value = Any  # a JSON value, or Unknown as the value of a module's parameter


class NotYetKnownError(Exception):
    """The value exists only once the deployment has run (`reference`, `listKeys`)."""


@dataclass(frozen=True)
class Unknown:
    """A value that only the running deployment knows, and the expression for it."""

    expression: Expression
    parts: Value = None  # of an object or array that is known in part: with those that are not


@dataclass(frozen=True)
class LoopVariable:
    """A variable that is an array made by a loop."""

    loop: JsonObject


class Surroundings(Protocol):
    """What an expression can ask beyond its own template, once its deployment runs."""

    def reference(self, name: str, api_version: str | None, *, full: bool) -> Value:
        """The runtime state of a resource, by symbolic name, name or id."""

    def references(self, symbol: str, *, full: bool) -> list[Value]:
        """The runtime states of a loop's resources, in the order of the loop."""

    def list_secrets(self, function: str, resource: str, api_version: str, body: JsonObject) -> Value:
        """What a `list…` function returns."""

    def resource_id_of(self, symbol: str) -> str | None:
        """The id of the resource of that symbolic name."""

    def api_version_of(self, symbol: str) -> str | None:
        """The api-version of the resource of that symbolic name."""


@dataclass(frozen=True)
class Scope:
    """Everything that names in an expression can mean, at one place of a template."""

    parameters: Mapping[str, Value]
    variables: Mapping[str, Value]  # raw: evaluated when asked for
    functions: Mapping[str, JsonObject]
    group: JsonObject | None  # None for a deployment to a subscription
    subscription: JsonObject
    deployment: JsonObject
    surroundings: Surroundings
    secure: frozenset[str] = frozenset()  # parameters that are never shown, in lower case
    made_anew: Mapping[str, Value] = field(default_factory=dict)  # defaults that differ each time, by parameter
    is_preview: bool = False  # shows neither secure parameters that are given nor what is made anew each time
    copy_indexes: Mapping[str, int] = field(default_factory=dict)
    current_copy: int | None = None
    lambda_variables: Mapping[str, Value] = field(default_factory=dict)
    in_parameter_default: bool = False
    depth: int = 0


def invalid_template(message: str, place: str) -> ArmError:
    """InvalidTemplate, naming the place in the template."""
    return ArmError(
        "InvalidTemplate",
        f"Deployment template validation failed: '{message} (at {place})'.",
        target=place,
    )


def check_count(name: str, count: int, fewest: int, most: int | None, place: str) -> None:
    """Raise ArmError unless a function has as many arguments as it needs."""
    if count < fewest or (most is not None and count > most):
        wanted = str(fewest) if most == fewest else f"{fewest} to {'many' if most is None else most}"
        raise invalid_template(f"The template function '{name}' has {count} arguments but takes {wanted}", place)
