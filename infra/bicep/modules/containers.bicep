metadata name = 'Containers'
metadata description = 'Optional: where images are kept and containers run, shared by the streamer and the training job.'

@description('Name of the environment that containers run in.')
param environmentName string

@description('Name of the registry that images are pushed to.')
param registryName string

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Resource id of the Log Analytics workspace that receives the logs.')
param workspaceId string

@description('Subnet that containers send from; empty: Azure\'s own changing addresses.')
param subnetId string

resource registry 'Microsoft.ContainerRegistry/registries@2025-11-01' = {
  name: registryName
  location: location
  tags: tags
  sku: { name: 'Basic' }
  properties: {
    adminUserEnabled: false
    anonymousPullEnabled: false
    publicNetworkAccess: 'Enabled'
  }
}

resource environment 'Microsoft.App/managedEnvironments@2025-07-01' = {
  name: environmentName
  location: location
  tags: tags
  properties: {
    // Through diagnostic settings: the other way needs the workspace's key.
    appLogsConfiguration: { destination: 'azure-monitor' }
    workloadProfiles: [{ name: 'Consumption', workloadProfileType: 'Consumption' }]
    vnetConfiguration: empty(subnetId) ? null : { infrastructureSubnetId: subnetId, internal: true }
  }
}

// The newest version there is; the only stable one knows no dedicated tables.
#disable-next-line use-recent-api-versions
resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-log-analytics'
  scope: environment
  properties: {
    workspaceId: workspaceId
    logAnalyticsDestinationType: 'Dedicated'
    logs: [
      { category: 'ContainerAppConsoleLogs', enabled: true }
      { category: 'ContainerAppSystemLogs', enabled: true }
    ]
  }
}

@description('Host name of the registry that azd pushes to.')
output registryEndpoint string = registry.properties.loginServer
