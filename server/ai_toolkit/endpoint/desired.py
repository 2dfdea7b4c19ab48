"""The app as the template wants it. Resource Manager evaluates that, in a what-if; nothing here does."""

import copy
from collections.abc import Mapping
from typing import Any, Final

from ai_toolkit.azure.deployments import Change, Deployments, Refusal

APP_TYPE: Final = "Microsoft.App/containerApps"
NEW_NAME: Final = "aitk-as-the-template-has-it"


async def wanted_app(
    deployments: Deployments, name: str, content: Mapping[str, Any], values: Mapping[str, Any]
) -> Mapping[str, Any] | Refusal | None:
    """The app's body as the template says it, with what only a running deployment knows as an expression.

    `name` is a deployment's. None where the template does not make one app that can be asked for alone: in a module, in
    a loop, or one of several. Of an app that exists a what-if tells what the template says laid over what there is, so
    it is asked for under a name that nobody has.
    """
    changed = copy.deepcopy(dict(content))
    app = app_resource(changed)
    if app is None:
        return None
    app["name"] = NEW_NAME
    changed.pop("outputs", None)  # which may read the app by its own name
    foreseen = await deployments.what_if(name, changed, values)
    if isinstance(foreseen, Refusal):
        return foreseen
    return next((one.after for one in foreseen if is_app(one) and one.id.endswith(f"/{NEW_NAME}")), None)


def app_resource(content: Mapping[str, Any]) -> dict[str, Any] | None:
    """The template's one container app, as it stands there; None where it is not one, or is in a loop."""
    resources = content.get("resources") or ()
    listed = list(resources.values() if isinstance(resources, Mapping) else resources)
    found = [one for one in listed if str(one.get("type")).lower() == APP_TYPE.lower() and not one.get("existing")]
    return found[0] if len(found) == 1 and "copy" not in found[0] else None


def is_app(change: Change) -> bool:
    """Whether it is what a deployment would do to a container app."""
    return change.id.lower().split("/")[-3:-1] == APP_TYPE.lower().split("/")
