"""A deployed app of a few lines that somebody else changes too: in the portal, so to say, by the SDK's requests."""

import io
import json
import shutil
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from azure.mgmt.appcontainers.aio import ContainerAppsAPIClient
from tests.support.provisioning import Ground, Person
from tests.support.small_app import APP

from ai_toolkit.azure.connection import APP_API_VERSION
from ai_toolkit.deploy.action import Options
from ai_toolkit.deploy.run import deploy, preview
from ai_toolkit.deploy.status import look
from ai_toolkit.errors import UsageError


class Nobody(Person):
    """No terminal: whatever is asked cannot be answered."""

    async def pick(self, question):
        self.asked.append(question)
        raise UsageError("nobody can be asked")


@dataclass(frozen=True)
class EditedApp:
    """What a person has in the workspace, and what somebody else does to the app."""

    ground: Ground
    facts: dict = field(default_factory=dict)

    @property
    def workspace(self):
        return self.ground.workspace

    @property
    def name(self):
        return self.ground.config["ACA_APP_NAME"]

    def write(self, **files):
        for name, text in files.items():
            (self.workspace.folder / "inference" / name).write_text(text)

    async def deploy(self, *answers, **options):
        """What the person was told, and what was done."""
        person = Person(*answers)
        done = await deploy(self.workspace, person, Options(**options))
        return person, done

    async def foreseen(self):
        return await preview(self.workspace, Person(), Options())

    async def status(self):
        return await look(self.workspace)

    @asynccontextmanager
    async def client(self):
        async with self.ground.client(ContainerAppsAPIClient, api_version=APP_API_VERSION) as client:
            yield client

    async def read(self):
        async with self.client() as client:
            return (await client.container_apps.get(self.ground.group, self.name)).as_dict()

    async def revisions(self):
        """Name → properties, the oldest first."""
        async with self.client() as client:
            listed = client.container_apps_revisions.list_revisions(self.ground.group, self.name)
            return {one.name: one.as_dict()["properties"] async for one in listed}

    async def active(self):
        return [name for name, about in (await self.revisions()).items() if about["active"]]

    async def patch(self, *, wait=True, **properties):
        """As the portal changes an app: a PATCH; without `wait` it goes on by itself."""
        await self.patch_resource(wait=wait, properties=properties)

    async def patch_resource(self, *, wait=False, **body):
        """The same, also of what is beside the properties."""
        body = {"location": "westus3", **body}
        async with self.client() as client:
            poller = await client.container_apps.begin_update(
                self.ground.group, self.name, io.BytesIO(json.dumps(body).encode()), polling=wait
            )
            if wait:
                await poller.result()

    async def edit_environment(self, **variables):
        """A new revision whose container has these variables too; it is not waited for. Returns its name."""
        app = (await self.read())["properties"]
        before = app["latestRevisionName"]
        [container] = app["template"]["containers"]
        container["env"] += [{"name": name, "value": value} for name, value in variables.items()]
        await self.patch(wait=False, template={"containers": [container]})
        latest = before
        while latest == before:
            latest = (await self.read())["properties"]["latestRevisionName"]
        return latest

    async def post(self, action, revision=""):
        async with self.client() as client:
            if revision:
                act = getattr(client.container_apps_revisions, f"{action}_revision")
                await act(self.ground.group, self.name, revision)
            else:
                await (await getattr(client.container_apps, f"begin_{action}")(self.ground.group, self.name)).result()


def with_small_app(ground):
    """The ground's workspace with an app of a few lines in the place of ours."""
    inference = ground.workspace.folder / "inference"
    shutil.rmtree(inference)
    inference.mkdir()
    (inference / "start.py").write_text(APP)
    (inference / "words.txt").write_text("first")
    return EditedApp(ground)
