"""Provision in process, against a local cloud of the tests' own, with a person whose answers are given in advance."""

import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from ai_toolkit.azure.connect import open_cloud
from ai_toolkit.local_cloud.faults import FaultInjection
from ai_toolkit.provision.choose_target import Answers
from ai_toolkit.provision.run import provision, what_if
from ai_toolkit.workspace.template import add_to_workspace
from ai_toolkit.workspace.workspace import LOCAL_SUBSCRIPTION, Workspace

GROUP_URL = f"/subscriptions/{LOCAL_SUBSCRIPTION}/resourceGroups"


class Person:
    """Answers given in advance; an unforeseen question fails the test."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []
        self.said = []
        self.reports = []

    async def pick(self, question):
        self.asked.append(question)
        assert self.answers, f"unforeseen question: {question}"
        return self.answers.pop(0)

    input = pick

    def report(self, message, percentage=None):
        self.reports.append(message)

    def announce(self, message, _tone=None):
        self.said.append(message)

    @property
    def text(self):
        return "\n".join(self.said)

    def check(self, name):
        """Outcome and words of a check by name."""
        line = next(line.strip() for line in self.said if f" {name}: " in line)
        outcome, _, rest = line.partition(" ")
        return outcome, rest.partition(": ")[2]

    def origin(self, parameter):
        line = next(line for line in self.said if line.startswith(f"    {parameter} = "))
        value, _, origin = line.partition(" = ")[2].rpartition("  (")
        return value, origin.rstrip(")")


@dataclass(frozen=True)
class Ground:
    """A workspace, a resource group of its own, and the local cloud's home."""

    workspace: Workspace
    group: str
    home: Path

    @property
    def answers(self):
        return Answers(LOCAL_SUBSCRIPTION, self.group, agreed=True)

    @property
    def config(self):
        return json.loads((self.workspace.folder / "infra/inference.config.json").read_text())

    def faults(self):
        return FaultInjection(self.home)

    def give(self, file="infra/provision/inference.parameters.json", **values):
        """Sets parameters in a parameters file."""
        path = self.workspace.folder / file
        document = json.loads(path.read_text()) if path.exists() else {"parameters": {}}
        document["parameters"] |= {name: {"value": value} for name, value in values.items()}
        path.write_text(json.dumps(document))

    async def provision(self, person=None):
        return await provision(self.workspace, person or Person(), self.answers)

    async def what_if(self, person=None):
        return await what_if(self.workspace, person or Person(), self.answers)

    @asynccontextmanager
    async def manager(self):
        async with open_cloud(LOCAL_SUBSCRIPTION) as cloud, cloud.resource_manager(LOCAL_SUBSCRIPTION) as manager:
            yield manager

    async def deployments(self):
        async with self.manager() as manager:
            return await manager.deployments_of(self.group).history("")

    @asynccontextmanager
    async def client(self, kind, **options):
        """A client of an SDK's class, for what a test makes beforehand."""
        async with (
            open_cloud(LOCAL_SUBSCRIPTION) as cloud,
            cloud.connection.client(kind, LOCAL_SUBSCRIPTION, **options) as client,
        ):
            yield client


def make_ground(folder: Path, home: Path) -> Ground:
    workspace = Workspace(folder / "workspace")
    add_to_workspace(workspace.folder)
    return Ground(workspace, folder.name.replace("_", "-")[:60].rstrip("-"), home)
