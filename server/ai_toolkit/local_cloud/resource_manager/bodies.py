"""What a resource's body may hold: tables of the properties that Azure publishes, and their check.

In a table a name ends in `*` when it is required, in `=` when only answers hold it (in a request it is
ignored, as on Azure); the name `…` stands for any other. The tables name all of Azure's properties; those
that the local cloud does not emulate are refused, and named, rather than ignored.
"""

from collections.abc import Mapping
from typing import Final

from ai_toolkit.local_cloud.arm_error import ArmError, JsonObject
from ai_toolkit.local_cloud.resource_manager.app_bodies import APP, ENVIRONMENT, JOB, STORAGE
from ai_toolkit.local_cloud.resource_manager.shapes import Reading, Table, problems_of
from ai_toolkit.local_cloud.resource_manager.storage_bodies import ACCOUNT, FILE_SERVICE, SHARE, WORKSPACE

BODIES: Final[Mapping[str, Table]] = {
    "microsoft.app/containerapps": APP,
    "microsoft.app/jobs": JOB,
    "microsoft.app/managedenvironments": ENVIRONMENT,
    "microsoft.app/managedenvironments/storages": STORAGE,
    "microsoft.storage/storageaccounts": ACCOUNT,
    "microsoft.storage/storageaccounts/fileservices": FILE_SERVICE,
    "microsoft.storage/storageaccounts/fileservices/shares": SHARE,
    "microsoft.operationalinsights/workspaces": WORKSPACE,
}


def check_body(resource_type: str, body: JsonObject, *, is_whole: bool = True) -> None:
    """Raise ArmError `InvalidRequestContent` with every mistake of a request's body among the details.

    A property that Azure knows and the local cloud does not emulate is 501 instead, when nothing else is
    wrong. A PATCH is not whole: what it leaves out is there already.
    """
    table = BODIES.get(resource_type.lower())
    problems = [] if table is None else list(problems_of(table, body, "", Reading(is_whole=is_whole)))
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
