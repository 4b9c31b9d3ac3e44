metadata name = 'Identity'
metadata description = 'The one user-assigned identity the function app runs under. It exists before any role assignment, so the app never starts without its rights.'

@description('Name of the identity.')
param name string

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: name
  location: location
  tags: tags
}

@description('Object id of the identity in Entra ID; role assignments name it.')
output principalId string = identity.properties.principalId

@description('Client id of the identity; the app asks for tokens with it.')
output clientId string = identity.properties.clientId
