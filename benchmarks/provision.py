"""What stands between the answers and the deployment: `python benchmarks/provision.py`.

Each request to a local cloud takes 100 ms longer. Counted are the requests that must wait for each other,
from the accepted answers to the deployment's PUT, and our own time, which is all but waiting for the cloud: once into a
new resource group, and once into one where everything exists, with a live fine-tuning job and a model on the share.
"""

import asyncio
import json
import os
import tempfile
import time
from pathlib import Path

import aiohttp

LATENCY_SECONDS = 0.1
MOST_ROUND_TRIPS = 12
MOST_OWN_SECONDS = 1.0


class Watch:
    """When each HTTP request of this process began and ended: management and files alike."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, float, float]] = []

    def install(self) -> None:
        send = aiohttp.ClientSession._request  # noqa: SLF001  (below it every request of every SDK passes)

        async def watched(session, method, url, **options):
            began = time.monotonic()
            try:
                return await send(session, method, url, **options)
            finally:
                self.requests.append((method, str(url), began, time.monotonic()))

        aiohttp.ClientSession._request = watched  # noqa: SLF001


class Person:
    """Answers nothing: nothing is asked here."""

    def __init__(self) -> None:
        self.accepted = 0.0

    async def pick(self, question):
        raise AssertionError(question)

    input = pick

    def report(self, message, _percentage=None):
        if message.startswith("looking"):
            self.accepted = time.monotonic()

    def announce(self, message):
        pass


def longest_chain(requests: list[tuple[str, str, float, float]]) -> int:
    """The most requests of which each began after the one before had ended."""
    chain, last = 0, 0.0
    for _method, _url, began, ended in sorted(requests, key=lambda one: one[3]):
        if began >= last:
            chain, last = chain + 1, ended
    return chain


def covered(spans: list[tuple[float, float]]) -> float:
    total, last = 0.0, 0.0
    for began, ended in sorted(spans):
        total += max(0.0, ended - max(began, last))
        last = max(last, ended)
    return total


async def measure(what: str, workspace, answers, home: Path, watch: Watch) -> bool:
    from ai_toolkit.local_cloud.faults import FaultInjection
    from ai_toolkit.provision.run import provision

    watch.requests.clear()
    person = Person()
    with FaultInjection(home) as faults:
        faults.add("latency", seconds=LATENCY_SECONDS, count=None)
        await provision(workspace, person, answers)
    put = next(one for one in watch.requests if one[0] == "PUT" and "/deployments/" in one[1])
    before = [one for one in watch.requests if person.accepted <= one[2] < put[2] and one[3] <= put[2]]
    polls = [one for one in before if "/operationResults/" in one[1]]
    asked = [one for one in before if one[1].partition("?")[0].endswith("/whatIf")]
    told_to_wait = [(one[3], min(poll[2] for poll in polls if poll[2] > one[3])) for one in asked if polls]
    waiting = covered([(one[2], one[3]) for one in before] + told_to_wait)
    own = put[2] - person.accepted - waiting
    chain = longest_chain(before) + 1  # and the PUT itself
    good = chain <= MOST_ROUND_TRIPS and own < MOST_OWN_SECONDS
    print(
        f"{what:40} {chain:3} sequential round trips ({MOST_ROUND_TRIPS})  {len(before) + 1:3} requests"
        f"  own {own:5.2f} s ({MOST_OWN_SECONDS:.0f})  waiting {waiting:5.2f} s  {'ok' if good else 'TOO MUCH'}"
    )
    return good


async def add_job(group: str, environment: str, storage: str) -> None:
    from azure.mgmt.appcontainers.aio import ContainerAppsAPIClient

    from ai_toolkit.azure.connect import open_cloud
    from ai_toolkit.azure.connection import APP_API_VERSION
    from ai_toolkit.workspace.workspace import LOCAL_SUBSCRIPTION

    prefix = f"/subscriptions/{LOCAL_SUBSCRIPTION}/resourceGroups/{group}/providers/Microsoft.App"
    mount = {"volumeName": "v", "mountPath": "/mount"}
    body = {
        "location": "westus3",
        "properties": {
            "environmentId": f"{prefix}/managedEnvironments/{environment}",
            "template": {
                "containers": [{"name": "tune", "image": "i", "volumeMounts": [mount]}],
                "volumes": [{"name": "v", "storageType": "AzureFile", "storageName": storage}],
            },
        },
    }
    async with (
        open_cloud(LOCAL_SUBSCRIPTION) as cloud,
        cloud.connection.client(ContainerAppsAPIClient, LOCAL_SUBSCRIPTION, api_version=APP_API_VERSION) as client,
    ):
        await (await client.jobs.begin_create_or_update(group, "tuning", body)).result()


async def main() -> None:
    from ai_toolkit.local_cloud import control
    from ai_toolkit.provision.choose_target import Answers
    from ai_toolkit.workspace.template import add_to_workspace
    from ai_toolkit.workspace.workspace import LOCAL_SUBSCRIPTION, Workspace

    watch = Watch()
    watch.install()
    with tempfile.TemporaryDirectory() as place:
        home = Path(place) / "cloud"
        os.environ["AITK_LOCAL_CLOUD_HOME"] = str(home)
        workspace = Workspace(Path(place) / "workspace")
        add_to_workspace(workspace.folder)
        answers = Answers(LOCAL_SUBSCRIPTION, "benchmark", agreed=True)
        await control.start(home)
        try:
            good = await measure("a new resource group", workspace, answers, home, watch)
            config = json.loads(workspace.target_path.read_text())
            suffix = config["ACA_APP_NAME"].removeprefix("aiacaapp")
            await add_job("benchmark", f"aienv{suffix}", f"aienvstorage{suffix}")
            tuning = {key: config[key] for key in ("SUBSCRIPTION_ID", "RESOURCE_GROUP_NAME")} | {
                "ACA_JOB_NAME": "tuning"
            }
            (workspace.folder / "infra/finetuning.config.json").write_text(json.dumps(tuning))
            adapter = home / "shares" / config["STORAGE_ACCOUNT_NAME"] / config["FILE_SHARE_NAME"]
            adapter = adapter / "models/qlora/qlora/gpu_model/adapter"
            adapter.mkdir(parents=True)
            (adapter / "adapter_config.json").write_text('{"base_model_name_or_path": "org/base"}')
            (adapter / "adapter_model.safetensors").write_bytes(b"")
            path = workspace.provision_folder / "inference.parameters.json"
            document = json.loads(path.read_text())
            document["parameters"]["cooldownSeconds"] = {"value": 60}
            path.write_text(json.dumps(document))
            good &= await measure("all exists, with job and model", workspace, answers, home, watch)
        finally:
            await control.stop(home)
    raise SystemExit(0 if good else 1)


if __name__ == "__main__":
    asyncio.run(main())
