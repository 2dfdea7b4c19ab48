// The Azure resources of an inference endpoint for a fine-tuned model.
// Deploy it with "AI Toolkit: Provision Azure Container Apps for inference", or by hand:
//   az deployment group create --resource-group <group> --template-file inference.bicep --parameters inference.parameters.json
// inference.json beside this file is the same template, compiled; it names the SHA-256 of this file.

@description('The commands that start the web API, one after the other; the first that fails stops the start.')
@minLength(1)
param defaultCommands array = [
  'cd /mount/inference'
  'python3 start.py'
]

@description('The most GPU replicas that may run at the same time. Each is billed while it runs.')
@minValue(1)
@maxValue(300)
param maximumInstanceCount int = 1

@description('The replicas that run although nobody asks. 0 means no GPU charge while idle.')
@minValue(0)
@maxValue(300)
param minimumInstanceCount int = 0

@description('Where the resources are created.')
param location string = resourceGroup().location

@description('The storage account that holds the model and its adapters.')
@minLength(3)
@maxLength(24)
param storageAccountName string = 'aistorage${take(uniqueString(resourceGroup().id), 5)}'

@description('The file share in that account, mounted at /mount.')
@minLength(3)
@maxLength(63)
param fileShareName string = 'aifileshare${take(uniqueString(resourceGroup().id), 5)}'

@description('The Container Apps environment.')
param acaEnvironmentName string = 'aienv${take(uniqueString(resourceGroup().id), 5)}'

@description('The environment\'s storage definition that names the file share.')
param acaEnvironmentStorageName string = 'aienvstorage${take(uniqueString(resourceGroup().id), 5)}'

@description('The container app of the inference API.')
@minLength(2)
@maxLength(32)
param acaAppName string = 'aiacaapp${take(uniqueString(resourceGroup().id), 5)}'

@description('The Log Analytics workspace of the environment.')
param acaLogAnalyticsName string = 'ailog${take(uniqueString(resourceGroup().id), 5)}'

@description('The GPU: a serverless profile, billed per second while a replica runs, or a dedicated one that the existing environment has.')
param workloadProfileType string = 'Consumption-GPU-NC24-A100'

@description('The name of that profile in the environment.')
@minLength(1)
param workloadProfileName string = 'gpu'

@description('The container image: PyTorch for the GPU, nothing of the model.')
param image string = 'docker.io/pytorch/pytorch:2.13.0-cuda12.6-cudnn9-runtime@sha256:6acf597eeb8e376a96580dde4952f37cc017fef732bb40bfc73f28f25e3f64b4'

@description('Requests at the same time that one replica takes before another is started.')
@minValue(1)
@maxValue(1000)
param concurrentRequests int = 64

@description('Seconds without a request after which the last replica stops.')
@minValue(30)
@maxValue(86400)
param cooldownSeconds int = 300

@description('IPv4 ranges (CIDR) that may reach the endpoint; none means every address, with the key.')
param allowedIpRanges array = []

@description('The key of the endpoint. Provision passes the existing one, or a new random one.')
@secure()
param apiKey string = newGuid()

@description('False when the storage account exists and stays as it is.')
param createStorageAccount bool = true

@description('False when the file share exists and stays as it is.')
param createFileShare bool = true

@description('False when the Log Analytics workspace exists and stays as it is.')
param createLogAnalytics bool = true

@description('False when the environment exists and stays as it is.')
param createEnvironment bool = true

@description('False when the environment\'s storage definition exists and stays as it is.')
param createEnvironmentStorage bool = true

var tags = {
  'ai-toolkit': 'inference'
}

// What the container serves until the first deploy is complete: health for the platform, 503 for the holder of the key, 401 for anyone else.
var nothingDeployedYet = '''
import hmac, http.server, json, os
key = os.environ.get("AITK_API_KEY", "")
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        given = self.headers.get("Authorization", "").encode()
        if self.path == "/health":
            status, body = 200, {"status": "ok"}
        elif self.path == "/ready":
            status, body = 503, {"ready": False, "stage": "nothing deployed", "detail": "provisioned, nothing deployed yet", "reason": None, "progress": None}
        elif key and not hmac.compare_digest(given, b"Bearer " + key.encode()):
            status, body = 401, {"error": {"message": "A key is needed. Provisioned, nothing deployed yet.", "type": "invalid_request_error", "code": "invalid_api_key"}}
        else:
            status, body = 503, {"error": {"message": "Provisioned, nothing deployed yet: run AI Toolkit: Deploy for inference.", "type": "server_error", "code": "nothing_deployed"}}
        body = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if status == 503:
            self.send_header("Retry-After", "10")
        self.end_headers()
        self.wfile.write(body)
    do_POST = do_PUT = do_DELETE = do_PATCH = do_GET
    def log_message(self, *about):
        pass
print("Provisioned, nothing deployed yet.", flush=True)
host = os.environ.get("AITK_HOST") or ("0.0.0.0" if key else "127.0.0.1")
http.server.ThreadingHTTPServer((host, int(os.environ.get("CONTAINER_APP_PORT") or 7860)), Answer).serve_forever()
'''

// A folder .aitk without a manifest is a first deploy that has not finished; neither folder is a share that nobody has filled yet.
// The commands run in a subshell so that the replica's stop signal reaches them while the shell waits.
var beforeCommands = [
  'stop() { trap "" TERM INT; kill -TERM 0; wait; }'
  'trap stop TERM INT'
  'if [ ! -f /mount/.aitk/manifest.json ] && { [ -d /mount/.aitk ] || [ -z "$(ls -A /mount/inference 2>/dev/null)" ]; }; then'
  'python3 -c "$AITK_NOTHING_DEPLOYED_YET" &'
  'else ('
  'set -eo pipefail'
]
var afterCommands = [
  ') &'
  'fi'
  'wait $!'
]

var isT4 = workloadProfileType == 'Consumption-GPU-NC8as-T4'

resource storageAccount 'Microsoft.Storage/storageAccounts@2025-08-01' = if (createStorageAccount) {
  name: storageAccountName
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: 'Standard_LRS'
  }
  properties: {
    allowBlobPublicAccess: false
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
  }
}

resource fileShare 'Microsoft.Storage/storageAccounts/fileServices/shares@2025-08-01' = if (createFileShare) {
  name: '${storageAccountName}/default/${fileShareName}'
  properties: {
    shareQuota: 1024
  }
  dependsOn: [
    storageAccount
  ]
}

resource logAnalytics 'Microsoft.OperationalInsights/workspaces@2025-02-01' = if (createLogAnalytics) {
  name: acaLogAnalyticsName
  location: location
  tags: tags
  properties: {
    retentionInDays: 30
    sku: {
      name: 'PerGB2018'
    }
  }
}

// Inside a resource that is switched off, reference() and list*() might still be evaluated; a conditional expression is not.
resource environment 'Microsoft.App/managedEnvironments@2025-07-01' = if (createEnvironment) {
  name: acaEnvironmentName
  location: location
  tags: tags
  properties: {
    appLogsConfiguration: {
      destination: 'log-analytics'
      logAnalyticsConfiguration: {
        customerId: createEnvironment ? reference(resourceId('Microsoft.OperationalInsights/workspaces', acaLogAnalyticsName), '2025-02-01').customerId : ''
        sharedKey: createEnvironment ? listKeys(resourceId('Microsoft.OperationalInsights/workspaces', acaLogAnalyticsName), '2025-02-01').primarySharedKey : ''
      }
    }
    workloadProfiles: [
      {
        name: 'Consumption'
        workloadProfileType: 'Consumption'
      }
      {
        name: workloadProfileName
        workloadProfileType: workloadProfileType
      }
    ]
  }
  dependsOn: [
    logAnalytics
  ]
}

resource environmentStorage 'Microsoft.App/managedEnvironments/storages@2025-07-01' = if (createEnvironmentStorage) {
  name: '${acaEnvironmentName}/${acaEnvironmentStorageName}'
  properties: {
    azureFile: {
      accountName: storageAccountName
      accountKey: createEnvironmentStorage ? listKeys(resourceId('Microsoft.Storage/storageAccounts', storageAccountName), '2025-08-01').keys[0].value : ''
      shareName: fileShareName
      accessMode: 'ReadWrite'
    }
  }
  dependsOn: [
    environment
    fileShare
  ]
}

resource app 'Microsoft.App/containerApps@2025-07-01' = {
  name: acaAppName
  location: location
  tags: tags
  properties: {
    environmentId: resourceId('Microsoft.App/managedEnvironments', acaEnvironmentName)
    workloadProfileName: workloadProfileName
    configuration: {
      activeRevisionsMode: 'Single'
      secrets: [
        {
          name: 'api-key'
          value: apiKey
        }
      ]
      ingress: {
        external: true
        targetPort: 7860
        transport: 'auto'
        allowInsecure: false
        stickySessions: {
          affinity: maximumInstanceCount > 1 ? 'sticky' : 'none'
        }
        ipSecurityRestrictions: [for (range, index) in allowedIpRanges: {
          name: 'allowed-${index}'
          action: 'Allow'
          ipAddressRange: range
        }]
      }
    }
    template: {
      containers: [
        {
          name: 'inference'
          image: image
          command: [
            '/bin/bash'
            '-c'
            join(concat(beforeCommands, defaultCommands, afterCommands), '\n')
          ]
          env: [
            {
              name: 'AITK_API_KEY'
              secretRef: 'api-key'
            }
            {
              name: 'AITK_SHARE'
              value: '/mount'
            }
            {
              name: 'AITK_NOTHING_DEPLOYED_YET'
              value: nothingDeployedYet
            }
          ]
          resources: {
            cpu: isT4 ? 8 : 24
            memory: isT4 ? '56Gi' : '220Gi'
          }
          probes: [
            {
              type: 'Startup'
              httpGet: {
                path: '/health'
                port: 7860
              }
              initialDelaySeconds: 1
              periodSeconds: 2
              timeoutSeconds: 5
              failureThreshold: 10
            }
            {
              type: 'Liveness'
              httpGet: {
                path: '/health'
                port: 7860
              }
              periodSeconds: 30
              timeoutSeconds: 20
              failureThreshold: 6
            }
            {
              type: 'Readiness'
              httpGet: {
                path: maximumInstanceCount > 1 ? '/ready' : '/health'
                port: 7860
              }
              periodSeconds: 3
              timeoutSeconds: 10
              failureThreshold: 10
            }
          ]
          volumeMounts: [
            {
              volumeName: 'share'
              mountPath: '/mount'
            }
          ]
        }
      ]
      volumes: [
        {
          name: 'share'
          storageType: 'AzureFile'
          storageName: acaEnvironmentStorageName
        }
      ]
      scale: {
        minReplicas: minimumInstanceCount
        maxReplicas: maximumInstanceCount
        cooldownPeriod: cooldownSeconds
        rules: [
          {
            name: 'http'
            http: {
              metadata: {
                concurrentRequests: string(concurrentRequests)
              }
            }
          }
        ]
      }
    }
  }
  dependsOn: [
    environmentStorage
  ]
}

output SUBSCRIPTION_ID string = subscription().subscriptionId
output RESOURCE_GROUP_NAME string = resourceGroup().name
output STORAGE_ACCOUNT_NAME string = storageAccountName
output FILE_SHARE_NAME string = fileShareName
output ACA_APP_NAME string = acaAppName
output ACA_APP_ENDPOINT string = app.properties.configuration.ingress.fqdn
