"""What a policy of the subscription refused: the policy's name, and the value that it wants.

Source: https://learn.microsoft.com/azure/governance/policy/how-to/determine-non-compliance and the error's
`additionalInfo` of type PolicyViolation, as Resource Manager answers it.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

CODE: Final = "RequestDisallowedByPolicy"
_KIND: Final = "PolicyViolation"


@dataclass(frozen=True)
class Violation:
    """A policy by its name, its assignment's, and what it looked at: (property, in words what it wants of that)."""

    policy: str
    assignment: str
    looked_at: tuple[tuple[str, str], ...] = ()

    def concerns(self, name: str) -> bool:
        """Whether the policy looked at a property of that name."""
        return any(re.split(r"[./]", place.lower())[-1] == name.lower() for place, _ in self.looked_at)

    def in_words(self) -> str:
        """The policy, and what it looked at, in a sentence."""
        assigned = f" (assigned as {self.assignment})" if self.assignment and self.assignment != self.policy else ""
        looked = "; ".join(f"{place} {wants}" for place, wants in self.looked_at)
        return f'The policy "{self.policy}"{assigned} forbids it{f": {looked}" if looked else ""}.'


def violations(error: object) -> tuple[Violation, ...]:
    """Every violation that an ARM error object tells of, however deep it stands."""
    return tuple(_found(error))


def _found(error: Any) -> Iterator[Violation]:  # noqa: ANN401  (any JSON)
    if isinstance(error, list):
        for one in error:
            yield from _found(one)
    if not isinstance(error, Mapping):
        return
    for one in error.get("additionalInfo") or ():
        if isinstance(one, Mapping) and one.get("type") == _KIND and isinstance(one.get("info"), Mapping):
            yield _violation(one["info"])
    yield from _found(error.get("error"))
    yield from _found(error.get("details"))
    message = str(error.get("message") or "")
    if message.lstrip().startswith("{"):
        try:
            yield from _found(json.loads(message))
        except ValueError:
            return


def _violation(info: Mapping[str, Any]) -> Violation:
    evaluated = (info.get("evaluationDetails") or {}).get("evaluatedExpressions") or ()
    looked_at = tuple(
        (str(one.get("path") or one.get("expression") or "a property"), _wants(one))
        for one in evaluated
        if isinstance(one, Mapping) and one.get("path") != "type"  # which only says what it is about
    )
    name = info.get("policyDefinitionDisplayName") or info.get("policyDefinitionName") or "without a name"
    assignment = info.get("policyAssignmentDisplayName") or info.get("policyAssignmentName") or ""
    return Violation(str(name), str(assignment), looked_at)


def _wants(expression: Mapping[str, Any]) -> str:
    """What the value is, and what is forbidden (the condition holds) or wanted (it does not hold, and should)."""
    operator, wanted = str(expression.get("operator") or "equals"), expression.get("targetValue")
    holds = str(expression.get("result")).lower() != "false"
    if operator.lower() == "exists":
        return "must be set" if (str(wanted).lower() == "false") == holds else "must not be set"
    value = expression.get("expressionValue")
    found = "is not set" if value is None else f"is {json.dumps(value)}"
    return f"{found}, {'forbidden' if holds else 'wanted'}: {operator} {json.dumps(wanted)}"
