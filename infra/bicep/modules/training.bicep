metadata name = 'Training job'
metadata description = 'Optional: trains the models again, on a schedule or when the app starts it, under an identity of its own that may add versions of models, read who votes, and nothing else. The app may start this one job.'

@description('Name of the job.')
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

@description('When it runs by itself: five fields of cron, UTC. Empty: only when it is started.')
param schedule string

@description('Hours after which an execution is ended.')
@minValue(1)
@maxValue(24)
param mostHours int

@description('Name of the job\'s identity.')
param identityName string

@description('Name of the app\'s identity, which may start the job.')
param appIdentityName string

@description('Name of the Cosmos DB account.')
param cosmosName string

@description('Name of the database.')
param databaseName string

@description('Settings of the job.')
param settings object

// What Azure takes for an image until there is one; it says hello and ends.
var placeholder = 'mcr.microsoft.com/k8se/quickstart-jobs:latest'
var scheduled = !empty(image) && !empty(schedule)

var acrPull = '7f951dda-4ed3-4680-a7ca-43fe172d538d'
// Reads, starts and stops a job; changes nothing about it.
var jobsOperator = 'b9a307c4-5aa3-4b52-ba60-2b17c136cd7b'
var containerActions = 'Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers'
var definitions = 'Microsoft.Authorization/roleDefinitions'

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = {
  name: identityName
}

resource appIdentity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = {
  name: appIdentityName
}

resource registry 'Microsoft.ContainerRegistry/registries@2025-11-01' existing = {
  name: registryName
}

resource environment 'Microsoft.App/managedEnvironments@2025-07-01' existing = {
  name: environmentName
}

resource account 'Microsoft.DocumentDB/databaseAccounts@2025-04-15' existing = {
  name: cosmosName

  // As cosmos.bicep names them.
  resource metadataRole 'sqlRoleDefinitions' existing = {
    name: guid(account.id, 'metadata')
  }

  resource appendRole 'sqlRoleDefinitions' existing = {
    name: guid(account.id, 'append')
  }
}

// What votes, and what it is compared by. Whoever could write here would promote without a person.
resource readerRole 'Microsoft.DocumentDB/databaseAccounts/sqlRoleDefinitions@2025-04-15' = {
  parent: account
  name: guid(account.id, 'models-reader')
  properties: {
    roleName: 'Borsa model reader'
    type: 'CustomRole'
    assignableScopes: [account.id]
    permissions: [
      {
        dataActions: [
          'Microsoft.DocumentDB/databaseAccounts/readMetadata'
          '${containerActions}/executeQuery'
          '${containerActions}/items/read'
        ]
      }
    ]
  }
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

resource mayReadMetadata 'Microsoft.DocumentDB/databaseAccounts/sqlRoleAssignments@2025-04-15' = {
  parent: account
  name: guid(account.id, identityName, 'metadata')
  properties: {
    principalId: identity.properties.principalId
    roleDefinitionId: account::metadataRole.id
    scope: account.id
  }
}

resource mayReadModels 'Microsoft.DocumentDB/databaseAccounts/sqlRoleAssignments@2025-04-15' = {
  parent: account
  name: guid(account.id, identityName, 'models')
  properties: {
    principalId: identity.properties.principalId
    roleDefinitionId: readerRole.id
    scope: '${account.id}/dbs/${databaseName}/colls/models'
  }
}

resource mayOfferVersions 'Microsoft.DocumentDB/databaseAccounts/sqlRoleAssignments@2025-04-15' = {
  parent: account
  name: guid(account.id, identityName, 'versions')
  properties: {
    principalId: identity.properties.principalId
    roleDefinitionId: account::appendRole.id
    scope: '${account.id}/dbs/${databaseName}/colls/versions'
  }
}

resource job 'Microsoft.App/jobs@2025-07-01' = {
  name: name
  location: location
  tags: union(tags, { 'azd-service-name': serviceName })
  identity: { type: 'UserAssigned', userAssignedIdentities: { '${identity.id}': {} } }
  properties: {
    environmentId: environment.id
    workloadProfileName: 'Consumption'
    configuration: {
      triggerType: scheduled ? 'Schedule' : 'Manual'
      manualTriggerConfig: scheduled ? null : { parallelism: 1, replicaCompletionCount: 1 }
      scheduleTriggerConfig: scheduled
        ? { cronExpression: schedule, parallelism: 1, replicaCompletionCount: 1 }
        : null
      // Hours of work are not done twice because the last minute failed.
      replicaRetryLimit: 0
      replicaTimeout: mostHours * 3600
      registries: [{ server: registry.properties.loginServer, identity: identity.id }]
    }
    template: {
      containers: [
        {
          name: 'training'
          image: empty(image) ? placeholder : image
          resources: { cpu: 4, memory: '8Gi' }
          env: [for s in items(settings): { name: s.key, value: s.value }]
        }
      ]
    }
  }
  dependsOn: [mayPull]
}

resource mayStart 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(job.id, appIdentity.id, jobsOperator)
  scope: job
  properties: {
    roleDefinitionId: subscriptionResourceId(definitions, jobsOperator)
    principalId: appIdentity.properties.principalId
    principalType: 'ServicePrincipal'
  }
}

@description('Name of the job.')
output name string = job.name
