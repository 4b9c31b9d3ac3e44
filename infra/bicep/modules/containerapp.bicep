metadata name = 'Streamer'
metadata description = 'Optional: the market streamer, one container that is always on, under an identity of its own that may send to its hubs and nothing else.'

@description('Name of the container app.')
param name string

@description('Name of the environment it runs in.')
param environmentName string

@description('Name of the registry that its image is pushed to.')
param registryName string

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Value of the azd-service-name tag by which azd finds where to deploy.')
param serviceName string

@description('Image to run. Empty: none was pushed yet, and nothing runs.')
param image string

@description('Name of the streamer\'s identity.')
param identityName string

@description('Name of the Event Hubs namespace.')
param eventHubsName string

@description('Event hubs that it writes to.')
param hubs string[]

@description('Name of the vault.')
param keyVaultName string

@description('It opens the account\'s own stream, and reads the API key for that. The key must be in the vault already.')
param opensAccount bool

@description('Settings of the streamer.')
param settings object

// Nothing listens on it from outside: only the probe asks.
var healthPort = 8080
// What Azure takes for an image until there is one; it does not run.
var placeholder = 'mcr.microsoft.com/k8se/quickstart:latest'

var eventHubsDataSender = '2b629674-e913-4c01-ae53-ef4638d8f975'
var keyVaultSecretsUser = '4633458b-17de-408a-b874-0445c86b69e6'
var acrPull = '7f951dda-4ed3-4680-a7ca-43fe172d538d'
var definitions = 'Microsoft.Authorization/roleDefinitions'

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = {
  name: identityName
}

resource eventHubs 'Microsoft.EventHub/namespaces@2024-01-01' existing = {
  name: eventHubsName
}

resource written 'Microsoft.EventHub/namespaces/eventhubs@2024-01-01' existing = [
  for hub in hubs: {
    parent: eventHubs
    name: hub
  }
]

resource vault 'Microsoft.KeyVault/vaults@2026-02-01' existing = {
  name: keyVaultName

  resource apiKey 'secrets' existing = {
    name: 'binance-api-key'
  }
}

resource registry 'Microsoft.ContainerRegistry/registries@2025-11-01' existing = {
  name: registryName
}

resource environment 'Microsoft.App/managedEnvironments@2025-07-01' existing = {
  name: environmentName
}

resource mayPull 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(registry.id, identity.id, acrPull)
  scope: registry
  properties: {
    roleDefinitionId: subscriptionResourceId(definitions, acrPull)
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
  }
}

resource maySend 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (hub, i) in hubs: {
    name: guid(eventHubs.id, hub, identity.id, eventHubsDataSender)
    scope: written[i]
    properties: {
      roleDefinitionId: subscriptionResourceId(definitions, eventHubsDataSender)
      principalId: identity.properties.principalId
      principalType: 'ServicePrincipal'
    }
  }
]

// Of the secrets this one only: a listen key needs no signature.
resource mayReadKey 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (opensAccount) {
  name: guid(vault::apiKey.id, identity.id, keyVaultSecretsUser)
  scope: vault::apiKey
  properties: {
    roleDefinitionId: subscriptionResourceId(definitions, keyVaultSecretsUser)
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
  }
}

resource app 'Microsoft.App/containerApps@2025-07-01' = {
  name: name
  location: location
  tags: union(tags, { 'azd-service-name': serviceName })
  identity: { type: 'UserAssigned', userAssignedIdentities: { '${identity.id}': {} } }
  properties: {
    environmentId: environment.id
    workloadProfileName: 'Consumption'
    configuration: {
      activeRevisionsMode: 'Single'
      registries: [{ server: registry.properties.loginServer, identity: identity.id }]
    }
    template: {
      // Longer than the streamer takes to send what waits.
      terminationGracePeriodSeconds: 60
      containers: [
        {
          name: 'streamer'
          image: empty(image) ? placeholder : image
          resources: { cpu: json('0.25'), memory: '0.5Gi' }
          env: [for s in items(settings): { name: s.key, value: s.value }]
          probes: [
            {
              type: 'Liveness'
              httpGet: { path: '/healthz', port: healthPort }
              initialDelaySeconds: 15
              periodSeconds: 30
              timeoutSeconds: 5
              failureThreshold: 3
            }
          ]
        }
      ]
      // One: a second would send everything twice, and the timer stands in for it meanwhile.
      scale: { minReplicas: empty(image) ? 0 : 1, maxReplicas: 1 }
    }
  }
  // It starts when it is created, and without its rights it could neither be pulled nor send.
  dependsOn: [mayPull, maySend]
}

@description('Name of the container app.')
output name string = app.name
