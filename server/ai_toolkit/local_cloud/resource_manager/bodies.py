"""The check of a request's body against the table of its resource type."""

from ai_toolkit.local_cloud.core.arm_error import ArmError, JsonObject
from ai_toolkit.local_cloud.core.shapes import Reading, Table, problems_of


def check_body(table: Table, body: JsonObject, *, is_whole: bool = True) -> None:
    """Raise ArmError `InvalidRequestContent` with every mistake of a request's body among the details.

    A property that Azure knows and the local cloud does not emulate is 501 instead, when nothing else is
    wrong. A PATCH is not whole: what it leaves out is there already.
    """
    problems = list(problems_of(table, body, "", Reading(is_whole=is_whole)))
    problems.sort(key=lambda problem: problem.not_emulated)
    if not problems:
        return
    first = problems[0]
    if first.not_emulated:
        raise ArmError("NotImplementedByLocalCloud", first.message, status=501, target=first.target)
    raise ArmError(
        "InvalidRequestContent",
        f"The request content was invalid: {first.message} Path '{first.target}'.",
        target=first.target,
        details=[
            {"code": "InvalidRequestContent", "message": problem.message, "target": problem.target}
            for problem in problems
        ],
    )
