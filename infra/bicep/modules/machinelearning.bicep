metadata name = 'Machine Learning'
metadata description = 'Optional: a workspace with one compute cluster for AutoML, in a resource group of its own: nothing in it has a right on anything that trades. No key opens it, and at rest the cluster has no node.'

@description('Name of the workspace.')
param name string

@description('Name of its storage account.')
param storageName string

@description('Name of its vault; Azure Machine Learning wants one of its own.')
param keyVaultName string

@description('Stem of the names of its identities.')
param identityName string

@description('Name of the cluster.')
param computeName string

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Resource id of the Log Analytics workspace that receives the logs.')
param workspaceId string

@description('Size of a node.')
param vmSize string

@description('Most nodes at the same time.')
param maximumNodes int

@description('Object id of the person who starts jobs; empty: none is given the right.')
param operatorPrincipalId string

var contributor = 'b24988ac-6180-42a0-ab88-20f7382dd24c'
var storageBlobDataContributor = 'ba92f5b4-2d11-453d-a403-e96b0029c9fe'
var keyVaultAdministrator = '00482a5a-887f-4fb3-b363-3b7fe8e74483'
var azureMLDataScientist = 'f6c7c914-8db3-469d-8ca1-694a8f32e121'
var definitions = 'Microsoft.Authorization/roleDefinitions'

resource ofWorkspace 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: '${identityName}-workspace'
  location: location
  tags: tags
}

resource ofCluster 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: '${identityName}-cluster'
  location: location
  tags: tags
}

resource account 'Microsoft.Storage/storageAccounts@2025-01-01' = {
  name: storageName
  location: location
  tags: tags
  kind: 'StorageV2'
  // Tables and models can be made again.
  sku: { name: 'Standard_LRS' }
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowSharedKeyAccess: false
    allowedCopyScope: 'AAD'
    defaultToOAuthAuthentication: true
    isLocalUserEnabled: false
    minimumTlsVersion: 'TLS1_2'
    publicNetworkAccess: 'Enabled'
    supportsHttpsTrafficOnly: true
    // Open at the network, closed by identity: the rows come from wherever they are made.
    networkAcls: { bypass: 'AzureServices', defaultAction: 'Allow' }
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2025-01-01' = {
  parent: account
  name: 'default'
  properties: {
    deleteRetentionPolicy: { enabled: true, days: 7 }
    containerDeleteRetentionPolicy: { enabled: true, days: 7 }
  }
}

resource vault 'Microsoft.KeyVault/vaults@2026-02-01' = {
  name: keyVaultName
  location: location
  tags: tags
  properties: {
    tenantId: tenant().tenantId
    sku: { family: 'A', name: 'standard' }
    enableRbacAuthorization: true
    enableSoftDelete: true
    enablePurgeProtection: true
    softDeleteRetentionInDays: 90
    enabledForDeployment: false
    enabledForDiskEncryption: false
    enabledForTemplateDeployment: false
    publicNetworkAccess: 'Enabled'
    networkAcls: { bypass: 'AzureServices', defaultAction: 'Allow' }
  }
}

// What a workspace asks of its own identity, on what belongs to it alone.
resource workspaceOnAccount 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for role in [contributor, storageBlobDataContributor]: {
    name: guid(account.id, ofWorkspace.id, role)
    scope: account
    properties: {
      roleDefinitionId: subscriptionResourceId(definitions, role)
      principalId: ofWorkspace.properties.principalId
      principalType: 'ServicePrincipal'
    }
  }
]

resource workspaceOnVault 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for role in [contributor, keyVaultAdministrator]: {
    name: guid(vault.id, ofWorkspace.id, role)
    scope: vault
    properties: {
      roleDefinitionId: subscriptionResourceId(definitions, role)
      principalId: ofWorkspace.properties.principalId
      principalType: 'ServicePrincipal'
    }
  }
]

// Rows in, models out.
resource clusterOnAccount 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(account.id, ofCluster.id, storageBlobDataContributor)
  scope: account
  properties: {
    roleDefinitionId: subscriptionResourceId(definitions, storageBlobDataContributor)
    principalId: ofCluster.properties.principalId
    principalType: 'ServicePrincipal'
  }
}

resource workspace 'Microsoft.MachineLearningServices/workspaces@2025-12-01' = {
  name: name
  location: location
  tags: tags
  kind: 'Default'
  sku: { name: 'Basic', tier: 'Basic' }
  identity: { type: 'UserAssigned', userAssignedIdentities: { '${ofWorkspace.id}': {} } }
  properties: {
    friendlyName: name
    storageAccount: account.id
    keyVault: vault.id
    primaryUserAssignedIdentity: ofWorkspace.id
    systemDatastoresAuthMode: 'Identity'
    // Less telemetry for Microsoft, and scratch disks of nodes are encrypted.
    hbiWorkspace: true
    v1LegacyMode: false
    managedNetwork: { isolationMode: 'Disabled' }
    publicNetworkAccess: 'Enabled'
  }
  dependsOn: [workspaceOnAccount, workspaceOnVault]
}

resource cluster 'Microsoft.MachineLearningServices/workspaces/computes@2025-12-01' = {
  parent: workspace
  name: computeName
  location: location
  tags: tags
  identity: { type: 'UserAssigned', userAssignedIdentities: { '${ofCluster.id}': {} } }
  properties: {
    computeType: 'AmlCompute'
    disableLocalAuth: true
    properties: {
      osType: 'Linux'
      vmSize: vmSize
      vmPriority: 'Dedicated'
      remoteLoginPortPublicAccess: 'Disabled'
      scaleSettings: {
        minNodeCount: 0
        maxNodeCount: maximumNodes
        nodeIdleTimeBeforeScaleDown: 'PT5M'
      }
    }
  }
  dependsOn: [clusterOnAccount]
}

resource operatorOnWorkspace 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(operatorPrincipalId)) {
  name: guid(workspace.id, operatorPrincipalId, azureMLDataScientist)
  scope: workspace
  properties: {
    roleDefinitionId: subscriptionResourceId(definitions, azureMLDataScientist)
    principalId: operatorPrincipalId
    principalType: 'User'
  }
}

resource operatorOnAccount 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(operatorPrincipalId)) {
  name: guid(account.id, operatorPrincipalId, storageBlobDataContributor)
  scope: account
  properties: {
    roleDefinitionId: subscriptionResourceId(definitions, storageBlobDataContributor)
    principalId: operatorPrincipalId
    principalType: 'User'
  }
}

// The newest version there is; the only stable one knows no dedicated tables.
#disable-next-line use-recent-api-versions
resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-log-analytics'
  scope: workspace
  properties: {
    workspaceId: workspaceId
    logAnalyticsDestinationType: 'Dedicated'
    logs: [{ categoryGroup: 'allLogs', enabled: true }]
  }
}

// The newest version there is; the only stable one knows no dedicated tables.
#disable-next-line use-recent-api-versions
resource vaultLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-log-analytics'
  scope: vault
  properties: {
    workspaceId: workspaceId
    logAnalyticsDestinationType: 'Dedicated'
    logs: [{ categoryGroup: 'audit', enabled: true }]
  }
}

@description('Resource id of the workspace; ./run automl submit is given it.')
output id string = workspace.id

@description('Name of the cluster.')
output computeName string = cluster.name
