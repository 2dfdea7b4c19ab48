"""Bodies that are wrong in any one place are refused in Azure's shape, never a failure of ours."""

import copy

import aiohttp
import pytest

WRONG = [None, 1, -1, True, "x", "", [], {}, [1], [None], [[]], {"a": 1}, [{"name": 1}], 1.5]
SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"
APP = {
    "environmentId": "/subscriptions/s/resourceGroups/g/providers/Microsoft.App/managedEnvironments/e",
    "workloadProfileName": "gpu",
    "configuration": {
        "activeRevisionsMode": "Single",
        "secrets": [{"name": "key", "value": "secret"}],
        "ingress": {
            "external": True,
            "targetPort": 80,
            "transport": "auto",
            "traffic": [{"weight": 100, "latestRevision": True}],
            "stickySessions": {"affinity": "none"},
            "ipSecurityRestrictions": [{"name": "one", "action": "Allow", "ipAddressRange": "10.0.0.0/8"}],
        },
    },
    "template": {
        "revisionSuffix": "one",
        "terminationGracePeriodSeconds": 5,
        "containers": [
            {
                "name": "one",
                "image": "image",
                "command": ["true"],
                "env": [{"name": "A", "value": "b"}, {"name": "K", "secretRef": "key"}],
                "resources": {"cpu": 1.5, "memory": "1Gi"},
                "probes": [{"type": "Liveness", "periodSeconds": 5, "httpGet": {"port": 80, "path": "/"}}],
                "volumeMounts": [{"volumeName": "v", "mountPath": "/v"}],
            }
        ],
        "scale": {
            "minReplicas": 0,
            "maxReplicas": 1,
            "rules": [{"name": "http", "http": {"metadata": {"concurrentRequests": "1"}}}],
        },
        "volumes": [{"name": "v", "storageType": "AzureFile", "storageName": "s"}],
    },
}
RESOURCES = {
    "app": ("Microsoft.App/containerApps", "2025-07-01", "named", {"location": "westus3", "properties": APP}),
    "environment": (
        "Microsoft.App/managedEnvironments", "2025-07-01", "named",
        {"location": "westus3", "tags": {"a": "b"}, "properties": {
            "workloadProfiles": [{"name": "gpu", "workloadProfileType": "Consumption-GPU-NC8as-T4"}],
            "appLogsConfiguration": {"destination": "log-analytics", "logAnalyticsConfiguration": {"customerId": "c"}},
        }},
    ),
    "storage": (
        "Microsoft.App/managedEnvironments/storages", "2025-07-01", "named/files",
        {"properties": {"azureFile": {"accountName": "a", "accountKey": "k", "shareName": "s",
                                      "accessMode": "ReadWrite"}}},
    ),
    "job": (
        "Microsoft.App/jobs", "2025-07-01", "named",
        {"location": "westus3", "properties": {
            "environmentId": APP["environmentId"],
            "configuration": {"triggerType": "Manual", "replicaTimeout": 5, "secrets": [{"name": "a", "value": "b"}]},
            "template": {"containers": [{"name": "one", "image": "image"}]},
        }},
    ),
    "account": (
        "Microsoft.Storage/storageAccounts", "2025-08-01", "named",
        {"location": "westus3", "kind": "StorageV2", "sku": {"name": "Standard_LRS"},
         "properties": {"networkAcls": {"defaultAction": "Allow", "ipRules": [{"value": "10.0.0.1"}]}}},
    ),
    "share": (
        "Microsoft.Storage/storageAccounts/fileServices/shares", "2025-08-01", "named/default/files",
        {"properties": {"shareQuota": 5, "metadata": {"a": "b"}}},
    ),
    "workspace": (
        "Microsoft.OperationalInsights/workspaces", "2025-02-01", "named",
        {"location": "westus3", "properties": {"sku": {"name": "PerGB2018"}, "features": {"disableLocalAuth": True}}},
    ),
}  # fmt: skip


def places(value, path=()):
    """Every place in a body, the body's own excepted."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from places(item, (*path, key))


def changed(body, path, value):
    copied = copy.deepcopy(body)
    inner = copied
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return copied


@pytest.mark.parametrize("kind", sorted(RESOURCES))
async def test_a_body_that_is_wrong_in_one_place_is_no_failure(clients, group, kind):
    """Valid or refused with code and message; whatever stands wherever."""
    resource_type, version, name, body = RESOURCES[kind]
    url = (
        f"{clients.status.resource_manager}/subscriptions/00000000-0000-0000-0000-000000000000/resourcegroups/{group}"
        "/providers/Microsoft.Resources/deployments/one/validate?api-version=2025-04-01"
    )
    headers = {"Authorization": f"Bearer {clients.token}"}
    bodies = [(path, value, changed(body, path, value)) for path in places(body) for value in WRONG]
    failures, refused = [], 0
    async with aiohttp.ClientSession(headers=headers) as session:
        for path, value, wrong in [((), None, body), *bodies]:
            resource = {"type": resource_type, "apiVersion": version, "name": name, **wrong}
            template = {"$schema": SCHEMA, "resources": [resource]}
            sent = {"properties": {"mode": "Incremental", "template": template}}
            async with session.post(url, json=sent) as answer:
                found = await answer.json()
                in_shape = answer.status == 200 or (found["error"]["code"] and found["error"]["message"])
                refused += answer.status != 200
                if answer.status not in {200, 400, 404, 409, 501} or not in_shape:
                    failures.append((path, value, answer.status))
            assert path or answer.status == 200, found

    assert failures == []
    assert refused > len(bodies) / 2


TEMPLATE = {
    "$schema": SCHEMA,
    "contentVersion": "1.0.0.0",
    "definitions": {"short": {"type": "string", "maxLength": 9}},
    "parameters": {
        "named": {"$ref": "#/definitions/short", "defaultValue": "first"},
        "chosen": {"type": "int", "defaultValue": 1, "allowedValues": [1, 2], "minValue": 1, "maxValue": 2},
    },
    "functions": [
        {
            "namespace": "own",
            "members": {
                "twice": {
                    "parameters": [{"name": "word", "type": "string"}],
                    "output": {"type": "string", "value": "[concat(parameters('word'), parameters('word'))]"},
                }
            },
        }
    ],
    "variables": {"tags": {"a": "b"}, "copy": [{"name": "many", "count": 2, "input": "[copyIndex('many')]"}]},
    "resources": [
        {
            "type": "Microsoft.OperationalInsights/workspaces",
            "apiVersion": "2025-02-01",
            "name": "[format('{0}{1}', parameters('named'), copyIndex())]",
            "location": "westus3",
            "condition": True,
            "copy": {"name": "loop", "count": 2, "mode": "serial", "batchSize": 1},
            "tags": {"t": "[own.twice('a')]"},
            "dependsOn": [],
            "properties": {"retentionInDays": 30},
        }
    ],
    "outputs": {"all": {"type": "array", "copy": {"count": 2, "input": "[variables('many')[copyIndex()]]"}}},
}


async def test_a_template_that_is_wrong_in_one_place_is_no_failure(clients, group):
    """The same for a template: valid, or refused with code and message."""
    url = (
        f"{clients.status.resource_manager}/subscriptions/00000000-0000-0000-0000-000000000000/resourcegroups/{group}"
        "/providers/Microsoft.Resources/deployments/one/validate?api-version=2025-04-01"
    )
    headers = {"Authorization": f"Bearer {clients.token}"}
    sent = {"properties": {"mode": "Incremental", "template": TEMPLATE, "parameters": {"named": {"value": "other"}}}}
    bodies = [(path, value, changed(sent, path, value)) for path in places(sent) for value in [*WRONG, "[", "[x()]"]]
    failures = []
    async with aiohttp.ClientSession(headers=headers) as session:
        for path, value, body in [((), None, sent), *bodies]:
            async with session.post(url, json=body) as answer:
                found = await answer.json()
                in_shape = answer.status == 200 or (found["error"]["code"] and found["error"]["message"])
                if answer.status not in {200, 400, 404, 501} or not in_shape:
                    failures.append((path, value, answer.status))
            assert path or answer.status == 200, found

    assert failures == []
