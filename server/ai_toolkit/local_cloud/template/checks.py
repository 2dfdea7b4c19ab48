"""Whether a template is one: its sections, and every expression in it, before anything is evaluated."""

from collections.abc import Mapping

from ai_toolkit.local_cloud.core.arm_error import ArmError, JsonObject
from ai_toolkit.local_cloud.template import syntax
from ai_toolkit.local_cloud.template.evaluation import is_known_function, parse
from ai_toolkit.local_cloud.template.scope import Value, invalid_template
from ai_toolkit.local_cloud.template.syntax import calls
from ai_toolkit.local_cloud.template.template_shape import check_shape


def check_template(template: JsonObject) -> None:
    """Raise ArmError for a template that is none, or asks for what is not emulated."""
    schema = template.get("$schema")
    if not isinstance(schema, str) or "deploymenttemplate" not in schema.lower():
        raise invalid_template("The template needs a '$schema' of deployment templates", "$schema")
    check_shape(template)
    if isinstance(template["resources"], dict) != str(template.get("languageVersion", "1.0")).startswith("2"):
        raise invalid_template("Symbolic resource names and languageVersion 2.0 belong together", "languageVersion")
    for section in ("imports", "extensions"):
        if template.get(section):
            raise ArmError(
                "NotImplementedByLocalCloud",
                f"The local cloud does not emulate '{section}'.",
                status=501,
                target=section,
            )


def check_expressions(value: Value, functions: Mapping[str, JsonObject], place: str) -> None:
    """Raise ArmError for the first string that looks like an expression and is none, or calls the unknown."""
    if isinstance(value, str) and syntax.is_expression(value):
        for call in calls(parse(value, place)):
            if not is_known_function(call.name, functions):
                raise invalid_template(f"The template function '{call.name}' is not valid", place)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            check_expressions(item, functions, f"{place}[{index}]")
    elif isinstance(value, dict):
        is_inner = is_own_template(value)
        for key, item in value.items():
            if key in {"metadata", "$schema"} or (is_inner and key == "template"):
                continue  # a nested template with a scope of its own is checked by itself
            here = f"{place}.{key}" if place != "template" else key
            check_expressions(key, functions, here)
            check_expressions(item, functions, here)


def is_own_template(properties: JsonObject) -> bool:
    """Whether a nested deployment's properties hold a template whose expressions have a scope of their own."""
    options = properties.get("expressionEvaluationOptions")
    scope = options.get("scope") if isinstance(options, dict) else None
    return "template" in properties and str(scope).lower() == "inner"
