"""What a template is made of: types of its sections, before anything in them is evaluated.

Source: https://learn.microsoft.com/azure/azure-resource-manager/templates/syntax
"""

from typing import Final

from ai_toolkit.local_cloud.core.arm_error import JsonObject
from ai_toolkit.local_cloud.core.shapes import (
    BOOLEAN,
    INTEGER,
    TEXT,
    TEXTS,
    Anything,
    Integer,
    ListOf,
    MapOf,
    Reading,
    Table,
    one_of,
    problems_of,
)
from ai_toolkit.local_cloud.template.scope import invalid_template

ANYTHING: Final = Anything()
DEFINITION: Final[Table] = {
    "type": TEXT,
    "$ref": TEXT,
    "defaultValue": ANYTHING,
    "allowedValues": ListOf(ANYTHING),
    "minValue": INTEGER,
    "maxValue": INTEGER,
    "minLength": Integer(0),
    "maxLength": Integer(0),
    "nullable": BOOLEAN,
    "…": ANYTHING,
}
LOOP: Final[Table] = {"name": TEXT, "count*": ANYTHING, "input": ANYTHING, "…": ANYTHING}
OUTPUT: Final[Table] = {**DEFINITION, "value": ANYTHING, "condition": ANYTHING, "copy": LOOP}
FUNCTION: Final[Table] = {
    "parameters": ListOf({"name*": TEXT, "type": TEXT, "…": ANYTHING}),
    "output*": {"value*": ANYTHING, "…": ANYTHING},
    "…": ANYTHING,
}
RESOURCE: Final[Table] = {
    "type*": TEXT,
    "name": TEXT,
    "apiVersion": TEXT,
    "dependsOn": TEXTS,
    "existing": BOOLEAN,
    "copy": {**LOOP, "mode": one_of("serial", "parallel")},
    "…": ANYTHING,
}
TEMPLATE: Final[Table] = {
    "$schema*": TEXT,
    "languageVersion": TEXT,
    "definitions": MapOf(DEFINITION),
    "parameters": MapOf(DEFINITION),
    "functions": ListOf({"namespace*": TEXT, "members": MapOf(FUNCTION), "…": ANYTHING}),
    "variables": MapOf(ANYTHING),
    "outputs": MapOf(OUTPUT),
    "…": ANYTHING,
}
LOOP_VARIABLES: Final = ListOf({**LOOP, "name*": TEXT, "input*": ANYTHING})


def check_shape(template: JsonObject) -> None:
    """Raise ArmError `InvalidTemplate` for the first section, definition or resource of a wrong type."""
    reading = Reading(is_literal=True)
    for problem in problems_of(TEMPLATE, template, "", reading):
        raise invalid_template(problem.message.rstrip("."), problem.target)
    loops = (template.get("variables") or {}).get("copy")
    if isinstance(loops, list):
        for problem in problems_of(LOOP_VARIABLES, loops, "variables.copy", reading):
            raise invalid_template(problem.message.rstrip("."), problem.target)
    _check_resources(template.get("resources"), "resources")


def _check_resources(resources: object, place: str) -> None:
    """Raise ArmError unless all are resources, those that are nested in them, too."""
    if not isinstance(resources, list | dict):
        raise invalid_template("The template needs 'resources'", place)
    listed = (
        {f"{place}.{name}": one for name, one in resources.items()}
        if isinstance(resources, dict)
        else {f"{place}[{index}]": one for index, one in enumerate(resources)}
    )
    for here, one in listed.items():
        if not isinstance(one, dict):
            raise invalid_template("A resource is an object", here)
        for problem in problems_of(RESOURCE, one, here, Reading(is_literal=True)):
            raise invalid_template(problem.message.rstrip("."), problem.target)
        if one.get("resources") is not None:
            _check_resources(one["resources"], f"{here}.resources")
