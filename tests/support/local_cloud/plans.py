"""Plans of templates for tests that need no running local cloud."""

from typing import Any

from ai_toolkit.local_cloud.resource_manager.subscriptions import subscription_document
from ai_toolkit.local_cloud.template.plan import make_plan
from ai_toolkit.local_cloud.template.planned import Plan
from ai_toolkit.local_cloud.template.site import Site
from ai_toolkit.local_cloud.template.surroundings import DeploymentSurroundings


def plan_of(template: Any, given: Any, group: Any, name: str = "test") -> Plan:
    """A template's plan for a deployment to a group, before it runs."""
    subscription = subscription_document(group["id"].split("/")[2])
    return make_plan(template, given, Site(subscription, group, name), DeploymentSurroundings())
