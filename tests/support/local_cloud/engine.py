"""What Azure's own template engine answered (AZURE_ENGINE), and the questions put to the local cloud."""

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from tests.support import outside_data

SUBSCRIPTION = "/subscriptions/00000000-0000-0000-0000-000000000000"
SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"
API_VERSION = "2025-04-01"
GROUP = "ml-team"
LOCATION = "swedencentral"
WORKING = {"Waiting", "Creating", "InProgress"}


needs_engine = outside_data.needs("AZURE_ENGINE")


def cases() -> list[str]:
    """The templates that were asked about; one name that is none where the answers are not there."""
    return (
        sorted(path.name for path in (folder() / "cases").iterdir()) if outside_data.is_there("AZURE_ENGINE") else [""]
    )


def folder() -> Path:
    """The folder of answers."""
    return outside_data.folder("AZURE_ENGINE")


def read(name: str) -> Any:
    return json.loads((folder() / name).read_text(encoding="utf-8"))


@dataclass
class Engine:
    """The local cloud, asked about templates over HTTP."""

    session: aiohttp.ClientSession
    origin: str

    async def ask(self, method: str, path: str, body: Any = None, version: str = API_VERSION) -> tuple[int, Any, Any]:
        url = f"{self.origin}{path}{'&' if '?' in path else '?'}api-version={version}"
        async with self.session.request(method, url, json=body) as answer:
            return answer.status, await answer.json(content_type=None), answer.headers

    async def make_group(self, name: str = GROUP, location: str = LOCATION) -> None:
        status, answer, _ = await self.ask("PUT", f"{SUBSCRIPTION}/resourcegroups/{name}", {"location": location})
        assert status in {200, 201}, answer

    async def make(self, path: str, body: Any, version: str) -> Any:
        """The resource, put and made."""
        status, answer, _ = await self.ask("PUT", path, body, version)
        assert status < 300, answer
        while answer is None or answer["properties"].get("provisioningState") in WORKING:
            await asyncio.sleep(0.01)
            _, answer, _ = await self.ask("GET", path, version=version)
        return answer

    async def deploy(self, template: Any, parameters: Any = None, name: str = "inference", scope: str = "") -> Any:
        """The ended deployment's properties, or the error of a refusal."""
        where = scope or f"{SUBSCRIPTION}/resourceGroups/{GROUP}"
        path = f"{where}/providers/Microsoft.Resources/deployments/{name}"
        body = {"properties": {"mode": "Incremental", "template": template, "parameters": parameters or {}}}
        if "resourceGroups" not in where:
            body["location"] = LOCATION
        status, answer, _ = await self.ask("PUT", path, body)
        while status < 400 and answer["properties"]["provisioningState"] in {"Accepted", "Running"}:
            await asyncio.sleep(0.01)
            status, answer, _ = await self.ask("GET", path)
        return answer.get("properties") or answer

    async def what_if(self, template: Any, parameters: Any, name: str = "inference", scope: str = "") -> Any:
        """The changes, or the error of a refusal."""
        where = scope or f"{SUBSCRIPTION}/resourceGroups/{GROUP}"
        path = f"{where}/providers/Microsoft.Resources/deployments/{name}/whatIf"
        settings = {"resultFormat": "FullResourcePayloads"}
        properties = {"mode": "Incremental", "template": template, "parameters": parameters, "whatIfSettings": settings}
        body: Any = {"properties": properties}
        if "resourceGroups" not in where:
            body["location"] = LOCATION
        status, answer, headers = await self.ask("POST", path, body)
        status, answer = await self.result(status, answer, headers)
        return answer["properties"]["changes"] if status == 200 else answer

    async def result(self, status: int, answer: Any, headers: Any) -> tuple[int, Any]:
        """What an operation that is polled by its result ends with."""
        while status == 202:
            await asyncio.sleep(0.01)
            async with self.session.get(headers["Location"]) as polled:
                status, answer, headers = polled.status, await polled.json(content_type=None), polled.headers
        return status, answer

    async def value_of(self, expression: str) -> Any:
        """`{"value": …}` or `{"error": …}` of one expression, as a deployment of one output gives it."""
        outputs = {"o": {"type": "array", "value": f"[createArray({expression})]"}}
        return await self._output({"$schema": SCHEMA, "contentVersion": "1.0.0.0", "resources": [], "outputs": outputs})

    async def value_of_parameter(self, case: Any) -> Any:
        """The same of a parameter `p`."""
        template = {
            "$schema": SCHEMA,
            "contentVersion": "1.0.0.0",
            "resources": {} if case.get("languageVersion") == "2.0" else [],
            **{key: case[key] for key in ("languageVersion", "definitions", "parameters") if key in case},
            "outputs": {"o": {"type": "array", "value": "[createArray(parameters('p'))]"}},
        }
        return await self._output(template, case["given"])

    async def _output(self, template: Any, parameters: Any = None) -> Any:
        ended = await self.deploy(template, parameters)
        if "outputs" in ended:
            return {"value": ended["outputs"]["o"]["value"][0]}
        return {"error": json.dumps(ended["error"])}
