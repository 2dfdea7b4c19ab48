"""What keeps a model from being evaluated, and what an evaluation found; of the tree in `ai_toolkit.errors`."""

from collections.abc import Iterable
from pathlib import Path

from ai_toolkit.errors import AiToolkitError, EndpointError, UsageError
from ai_toolkit.two_faces import Do, to


class CasesBroken(UsageError):
    """A line that is no case; `details` name the further ones."""

    code = "cases_broken"

    def __init__(self, problem: str, others: Iterable[str] = ()) -> None:
        super().__init__(problem, "Correct it and run the command again; nothing was asked.", others)


class CasesMissing(UsageError):
    code = "cases_missing"

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"There are no cases in {folder}.",
            f"{to(Do.CREATE_PROJECT)} adds five to begin with; each line of a .jsonl file there is a case.",
        )


class CannotEvaluate(UsageError):
    """What was asked for cannot be asked: a model that is not there, a case that is too long."""

    code = "cannot_evaluate"


class NothingAnswers(EndpointError):
    """What is deployed now has no model that answers: it failed, or nothing is deployed."""

    code = "nothing_answers"


class BelowMinimum(AiToolkitError):
    """The answers were judged, and fewer passed than were wanted; `details` name the cases that did not."""

    code = "below_minimum"


class GateClosed(AiToolkitError):
    """A deploy that was judged worse than what serves; `details` is the table of what fell."""

    code = "gate_closed"
