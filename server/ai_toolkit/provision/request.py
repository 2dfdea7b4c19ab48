"""Where to provision and what is wanted there: the beginning of a Provision."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ai_toolkit.azure.connect import Cloud
from ai_toolkit.workspace.fine_tuning import FineTuning
from ai_toolkit.workspace.template import Template
from ai_toolkit.workspace.workspace import LOCAL_SUBSCRIPTION, Parameters

if TYPE_CHECKING:
    from ai_toolkit.azure.deployments import Deployments
    from ai_toolkit.azure.resource_manager import ResourceManager
    from ai_toolkit.azure.subscription_state import SubscriptionState
    from ai_toolkit.provision.choose_target import Place


@dataclass(frozen=True)
class Site:
    """Where to provision, and what can be asked there."""

    cloud: Cloud
    manager: "ResourceManager"
    place: "Place"
    deployments: "Deployments"
    state: "SubscriptionState"

    @property
    def local(self) -> bool:
        return self.place.subscription == LOCAL_SUBSCRIPTION

    @property
    def group_id(self) -> str:
        return f"/subscriptions/{self.place.subscription}/resourceGroups/{self.place.resource_group}"


@dataclass(frozen=True)
class Wanted:
    """What the workspace's files say."""

    template: Template
    given: Parameters
    fine_tuning: FineTuning
