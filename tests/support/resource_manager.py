"""The parameters of a workspace, and its app as another tool would ask the Resource Manager about it."""

import json
import urllib.error
import urllib.request
from pathlib import Path


def set_parameters(road, **values):
    """Writes the parameters; returns what stood there."""
    path = road.folder / "infra/provision/inference.parameters.json"
    document = json.loads(path.read_text())
    before = {name: (document["parameters"].get(name) or {}).get("value") for name in values}
    for name, value in values.items():
        document["parameters"][name] = {"value": value}
    path.write_text(json.dumps(document))
    return before


def config(road):
    return (road.folder / "infra/inference.config.json").read_text()


def arm(road, method, body, below=""):
    """Asks the Resource Manager about the app, or what is below it, as another tool would."""
    cloud, target = road.json("local-cloud", "status"), json.loads(config(road))
    url = (
        f"{cloud['resourceManager']}/subscriptions/{target['SUBSCRIPTION_ID']}"
        f"/resourceGroups/{target['RESOURCE_GROUP_NAME']}/providers/Microsoft.App"
        f"/containerApps/{target['ACA_APP_NAME']}{below}?api-version=2025-07-01"
    )
    token = Path(cloud["tokenFile"]).read_text().strip()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method), timeout=60) as answer:
        text = answer.read()
    return json.loads(text) if text else None
