"""The order of a plan's resources: what each waits for, by `dependsOn` and by what its expressions look at."""

from collections.abc import Iterator
from dataclasses import replace

from ai_toolkit.local_cloud.core.arm_error import ArmError, JsonObject
from ai_toolkit.local_cloud.template import syntax
from ai_toolkit.local_cloud.template.checks import is_own_template
from ai_toolkit.local_cloud.template.evaluation import EXTRACTORS, evaluate, evaluate_expression, parse
from ai_toolkit.local_cloud.template.planned import PlannedResource
from ai_toolkit.local_cloud.template.scope import NotYetKnownError, Value, invalid_template
from ai_toolkit.local_cloud.template.syntax import Call, calls


def with_needs(  # noqa: C901  # each way to need another
    resources: list[PlannedResource], template: JsonObject
) -> Iterator[PlannedResource]:
    """The resources with what each waits for; ArmError for a dependency that is none."""
    by_name: dict[str, set[str]] = {}
    loops: dict[str, set[str]] = {}
    for resource in resources:
        for name in _names(resource):
            by_name.setdefault(name.lower(), set()).add(resource.symbol)
        loop = resource.source.get("copy")
        if isinstance(loop, dict) and "name" in loop:
            loops.setdefault(str(loop["name"]).lower(), set()).add(resource.symbol)
    planned = {resource.symbol for resource in resources}
    declared = template["resources"]
    symbols = {name.lower() for name in declared} if isinstance(declared, dict) else None
    for resource in resources:
        found: set[str] = set()
        for index, needed in enumerate(resource.source.get("dependsOn") or []):
            place = f"{resource.place}.dependsOn[{index}]"
            name = str(evaluate(needed, resource.scope, place)).lower()
            name = name.removeprefix("[").removesuffix("]") if name not in by_name else name
            if name in by_name:
                found |= by_name[name]
            elif name in loops:
                found |= loops[name]
            elif symbols is not None and name not in symbols and "/" not in name:
                raise invalid_template(f"The resource '{needed}' is not defined in the template", place)
        for name in _looked_at(resource):
            found |= by_name.get(name.lower(), set())
        if resource.id is not None and (len(resource.id.types) > 1 or resource.id.target is not None):
            found |= by_name.get(str(resource.id.parent).lower(), set())
        found |= _earlier_batches(resource) & planned  # a copy whose condition is false is not there
        yield replace(resource, needs=frozenset(found - {resource.symbol}))


def in_order(resources: tuple[PlannedResource, ...]) -> Iterator[PlannedResource]:
    """The resources, each after those that it needs; ArmError where some wait for each other."""
    left = {resource.symbol: resource for resource in resources}
    while left:
        ready = [resource for resource in left.values() if not resource.needs & left.keys()]
        if not ready:
            ring = ", ".join(sorted(left))
            raise invalid_template(f"Circular dependency detected on resources {ring}", "resources")
        for resource in ready:
            del left[resource.symbol]
            yield resource


def _names(resource: PlannedResource) -> Iterator[str]:
    """All that a dependency can call the resource."""
    yield resource.symbol
    yield resource.symbol.partition("[")[0] if resource.symbol.endswith("]") else resource.symbol
    yield resource.shown_id
    if resource.id is not None:
        yield resource.id.name
        yield "/".join(resource.id.names)
        yield f"{resource.id.type}/{'/'.join(resource.id.names)}"


def _earlier_batches(resource: PlannedResource) -> set[str]:
    """The copies that come before this one's batch, where the loop is serial."""
    loop, index = resource.source.get("copy"), resource.scope.current_copy
    if not isinstance(loop, dict) or index is None or str(loop.get("mode", "parallel")).lower() != "serial":
        return set()
    size = evaluate(loop.get("batchSize", 1), resource.scope, f"{resource.place}.copy.batchSize")
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise invalid_template("The batch size of a copy loop must be a positive integer", resource.place)
    symbol = resource.symbol.rpartition("[")[0]
    return {f"{symbol}[{earlier}]" for earlier in range(index // size * size)}


def _looked_at(resource: PlannedResource) -> Iterator[str]:
    """Names and ids that the body's `reference` and `list…` calls look at."""
    for call, place in _runtime_calls(resource.source, resource.place):
        try:
            target = evaluate_expression(call.arguments[0], resource.scope, place)
        except (NotYetKnownError, ArmError):
            continue  # what it looks at depends on another look, which is found by itself
        if isinstance(target, str):
            yield target


def _runtime_calls(value: Value, place: str) -> Iterator[tuple[Call, str]]:
    if isinstance(value, str) and syntax.is_expression(value):
        for call in calls(parse(value, place)):
            lowered = call.name.lower()
            if call.arguments and (lowered in EXTRACTORS or lowered.startswith("list")):
                yield call, place
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _runtime_calls(item, f"{place}[{index}]")
    elif isinstance(value, dict):
        is_inner = is_own_template(value)
        for key, item in value.items():
            if not (is_inner and key == "template"):
                yield from _runtime_calls(item, f"{place}.{key}")
