metadata name = 'Deployer'
metadata description = 'The identity that a pipeline deploys the code with, trusted for the tokens of one repository and environment. No secret exists; it may publish to the function app\'s group and reads nothing in the vault.'

@description('Name of the identity.')
param name string

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Subject of the pipeline\'s tokens: repo:OWNER/NAME:environment:ENVIRONMENT.')
@minLength(1)
param subject string

// Publishes code and reads the keys of functions, which draining needs; changes no data and no role.
var websiteContributor = 'de139f84-1756-47ae-9be6-808fbbe84772'

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: name
  location: location
  tags: tags

  resource trust 'federatedIdentityCredentials' = {
    name: 'pipeline'
    properties: {
      issuer: 'https://token.actions.githubusercontent.com'
      subject: subject
      audiences: ['api://AzureADTokenExchange']
    }
  }
}

resource publishes 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(resourceGroup().id, identity.id, websiteContributor)
  properties: {
    roleDefinitionId: subscriptionResourceId(
      'Microsoft.Authorization/roleDefinitions',
      websiteContributor
    )
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
  }
}

@description('Client id of the identity: what the pipeline logs in as.')
output clientId string = identity.properties.clientId

@description('Object id of the identity.')
output principalId string = identity.properties.principalId
