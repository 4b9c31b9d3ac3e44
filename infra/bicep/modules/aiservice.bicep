metadata name = 'AI service'
metadata description = 'One account of Azure AI services that the app asks with its identity: keys are off, and asking is all the app may do.'

@description('Name of the account; also its address, https://NAME.cognitiveservices.azure.com.')
param name string

@description('TextAnalytics is Azure AI Language, FormRecognizer is Azure AI Document Intelligence, ComputerVision is Azure AI Vision.')
@allowed(['TextAnalytics', 'FormRecognizer', 'ComputerVision'])
param kind string

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Resource id of the Log Analytics workspace that receives the logs.')
param workspaceId string

@description('Price tier: F0 is free and small, one for each kind in a subscription. Document Intelligence, Language and Vision name the paid one S0, S and S1.')
param sku string

@description('Name of the app\'s identity.')
param identityName string

var cognitiveServicesUser = 'a97b65f3-24c7-4388-baec-2e87135dc908'

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = {
  name: identityName
}

resource account 'Microsoft.CognitiveServices/accounts@2025-06-01' = {
  name: name
  location: location
  tags: tags
  kind: kind
  sku: { name: sku }
  identity: { type: 'SystemAssigned' }
  properties: {
    // Tokens are taken at an address of the account's own only.
    customSubDomainName: name
    disableLocalAuth: true
    publicNetworkAccess: 'Enabled'
    networkAcls: { defaultAction: 'Allow' }
    // It asks nobody further.
    restrictOutboundNetworkAccess: true
    allowedFqdnList: []
  }
}

resource onAccount 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(account.id, identity.id, cognitiveServicesUser)
  scope: account
  properties: {
    roleDefinitionId: subscriptionResourceId(
      'Microsoft.Authorization/roleDefinitions',
      cognitiveServicesUser
    )
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
  }
}

// The newest version there is; the only stable one knows no dedicated tables.
#disable-next-line use-recent-api-versions
resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-log-analytics'
  scope: account
  properties: {
    workspaceId: workspaceId
    // Who asked and when; never what.
    logs: [{ categoryGroup: 'audit', enabled: true }]
  }
}

@description('Address of the account.')
output endpoint string = account.properties.endpoint
