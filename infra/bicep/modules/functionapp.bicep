metadata name = 'Function app'
metadata description = 'The application on Flex Consumption, running under the user-assigned identity.'

@description('Name of the function app.')
param name string

@description('Name of the hosting plan.')
param planName string

@description('Azure region; it must offer Flex Consumption.')
param location string

@description('Tags of every resource.')
param tags object

@description('Value of the azd-service-name tag by which azd finds where to deploy.')
param serviceName string

@description('Python version of the worker.')
@allowed(['3.12', '3.13'])
param pythonVersion string

@description('Memory of one instance in MB.')
@allowed([2048, 4096])
param instanceMemoryMB int

@description('Most instances of one scale group.')
@minValue(1)
@maxValue(1000)
param maximumInstanceCount int

@description('Instances kept warm for HTTP (the emergency stop), for Durable and for the market consumer; 0 saves money and costs a cold start.')
@minValue(0)
@maxValue(20)
param alwaysReadyInstances int

@description('Name of the user-assigned identity.')
param identityName string

@description('Blob container that holds the deployed package, as a URL.')
param packageContainerUrl string

@description('Settings of the application and of its connections.')
param settings object

@description('Subnet the app sends from; empty: Azure\'s own changing addresses.')
param subnetId string

@description('CIDR ranges that may call the app over HTTP; empty allows all (keys are asked for anyway).')
param allowedCallers string[]

@description('Origins of dashboards on other hosts.')
param allowedOrigins string[]

// The trader consumes the market stream: it is the one consumer whose cold start costs money.
var marketConsumer = 'on_market'

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = {
  name: identityName
}

resource plan 'Microsoft.Web/serverfarms@2025-03-01' = {
  name: planName
  location: location
  tags: tags
  kind: 'functionapp'
  sku: { name: 'FC1', tier: 'FlexConsumption' }
  properties: { reserved: true }
}

resource app 'Microsoft.Web/sites@2025-03-01' = {
  name: name
  location: location
  tags: union(tags, { 'azd-service-name': serviceName })
  kind: 'functionapp,linux'
  identity: { type: 'UserAssigned', userAssignedIdentities: { '${identity.id}': {} } }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    clientAffinityEnabled: false
    publicNetworkAccess: 'Enabled'
    keyVaultReferenceIdentity: identity.id
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: packageContainerUrl
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identity.id
          }
        }
      }
      runtime: { name: 'python', version: pythonVersion }
      scaleAndConcurrency: {
        instanceMemoryMB: instanceMemoryMB
        maximumInstanceCount: maximumInstanceCount
        alwaysReady: alwaysReadyInstances == 0
          ? []
          : [
              { name: 'http', instanceCount: alwaysReadyInstances }
              { name: 'durable', instanceCount: alwaysReadyInstances }
              { name: 'function:${marketConsumer}', instanceCount: alwaysReadyInstances }
            ]
      }
    }
    siteConfig: {
      minTlsVersion: '1.2'
      scmMinTlsVersion: '1.2'
      ftpsState: 'Disabled'
      http20Enabled: true
      remoteDebuggingEnabled: false
      cors: { allowedOrigins: allowedOrigins, supportCredentials: false }
      ipSecurityRestrictionsDefaultAction: empty(allowedCallers) ? 'Allow' : 'Deny'
      ipSecurityRestrictions: [
        for (range, i) in allowedCallers: {
          name: 'caller-${i}'
          action: 'Allow'
          priority: 100 + i
          ipAddress: range
        }
      ]
      appSettings: [for s in items(settings): { name: s.key, value: s.value }]
    }
  }
}

// Publishing user and password are off: deployments identify themselves with Entra tokens.
resource ftpCredentials 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2025-03-01' = {
  parent: app
  name: 'ftp'
  properties: { allow: false }
}

resource scmCredentials 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2025-03-01' = {
  parent: app
  name: 'scm'
  properties: { allow: false }
}

@description('Name of the function app.')
output name string = app.name

@description('Resource id of the function app.')
output id string = app.id

@description('Address of the function app.')
output baseUrl string = 'https://${app.properties.defaultHostName}'
