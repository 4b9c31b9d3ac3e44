metadata name = 'Cosmos DB'
metadata description = 'State and trades: one account, one database, every container, and the data-plane roles of the app. Keys are off; nothing at run time can create a container.'

@description('How a container is provisioned; the same table as shared/storage/containers.py.')
type container = {
  @description('Name of the container.')
  name: string

  @description('Field that is the partition key.')
  partition: string

  @description('Fields that are unique within a partition.')
  unique: string[]?

  @description('Default time to live in seconds; absent: only a document\'s own ttl counts.')
  ttl: int?
}

@description('Name of the account.')
param name string

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Resource id of the Log Analytics workspace that receives the logs.')
param workspaceId string

@description('Name of the database.')
param databaseName string

@description('Serverless bills each request in one region; Autoscale has a service level and allows a replica.')
@allowed(['Serverless', 'Autoscale'])
param capacityMode string

@description('Ceiling of the shared throughput in RU/s; used with Autoscale.')
@minValue(1000)
param autoscaleMaxThroughput int

@description('Region of a readable copy that takes over when the first is lost; needs Autoscale. Empty: none.')
param secondaryLocation string

@description('Spread the account over availability zones, where the region has them.')
param zoneRedundant bool

@description('How old the data of a read may be. Strong keeps one truth about kill switch and limits between instances.')
@allowed(['Strong', 'BoundedStaleness', 'Session'])
param consistency string

@description('How far back a point-in-time restore reaches.')
@allowed(['Continuous7Days', 'Continuous30Days'])
param backupTier string

@description('Name of the app\'s identity.')
param identityName string

@description('Object id of the identity that reads and writes documents.')
param principalId string

var day = 86400

var containers container[] = [
  { name: 'control', partition: 'scope' }
  { name: 'orders', partition: 'account', unique: ['clientOrderId'] }
  { name: 'positions', partition: 'account' }
  { name: 'trades', partition: 'account' }
  { name: 'signals', partition: 'symbol', ttl: 90 * day }
  { name: 'audit', partition: 'day' }
  { name: 'violations', partition: 'account' }
  { name: 'alerts', partition: 'account', ttl: 180 * day }
  { name: 'approvals', partition: 'account', ttl: 30 * day }
  { name: 'models', partition: 'name' }
  { name: 'versions', partition: 'name' }
  { name: 'intelligence', partition: 'subject', ttl: 180 * day }
  { name: 'deadletter', partition: 'source', ttl: 30 * day }
  { name: 'research', partition: 'sweep', ttl: 90 * day }
  { name: 'leases', partition: 'id' }
  { name: 'sessions', partition: 'account', ttl: 3 * day }
]

var appended = ['audit', 'versions']

var serverless = capacityMode == 'Serverless'
var regions = concat([location], serverless || empty(secondaryLocation) ? [] : [secondaryLocation])
var metadataAction = 'Microsoft.DocumentDB/databaseAccounts/readMetadata'
var containerActions = 'Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers'

resource account 'Microsoft.DocumentDB/databaseAccounts@2025-04-15' = {
  name: name
  location: location
  tags: tags
  kind: 'GlobalDocumentDB'
  properties: {
    databaseAccountOfferType: 'Standard'
    locations: [
      for (region, i) in regions: {
        locationName: region
        failoverPriority: i
        isZoneRedundant: zoneRedundant
      }
    ]
    capabilities: serverless ? [{ name: 'EnableServerless' }] : []
    consistencyPolicy: consistency == 'BoundedStaleness'
      ? {
          defaultConsistencyLevel: consistency
          maxIntervalInSeconds: length(regions) > 1 ? 300 : 5
          maxStalenessPrefix: length(regions) > 1 ? 100000 : 10
        }
      : { defaultConsistencyLevel: consistency }
    backupPolicy: { type: 'Continuous', continuousModeProperties: { tier: backupTier } }
    disableKeyBasedMetadataWriteAccess: true
    disableLocalAuth: true
    enableAutomaticFailover: length(regions) > 1
    // One writer: conditional patches must meet in one place, or a stop and an order could cross.
    enableMultipleWriteLocations: false
    minimalTlsVersion: 'Tls12'
    publicNetworkAccess: 'Enabled'
  }
}

resource database 'Microsoft.DocumentDB/databaseAccounts/sqlDatabases@2025-04-15' = {
  parent: account
  name: databaseName
  tags: tags
  properties: {
    resource: { id: databaseName }
    options: serverless ? {} : { autoscaleSettings: { maxThroughput: autoscaleMaxThroughput } }
  }
}

@batchSize(4)
resource sqlContainers 'Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers@2025-04-15' = [
  for c in containers: {
    parent: database
    name: c.name
    tags: tags
    properties: {
      resource: {
        id: c.name
        partitionKey: { kind: 'Hash', paths: ['/${c.partition}'], version: 2 }
        uniqueKeyPolicy: {
          uniqueKeys: [for field in c.?unique ?? []: { paths: ['/${field}'] }]
        }
        defaultTtl: c.?ttl ?? -1
      }
    }
  }
]

// What the SDK asks before its first request; it shows names and partitions, never documents.
resource metadataRole 'Microsoft.DocumentDB/databaseAccounts/sqlRoleDefinitions@2025-04-15' = {
  parent: account
  name: guid(account.id, 'metadata')
  properties: {
    roleName: 'Borsa metadata reader'
    type: 'CustomRole'
    assignableScopes: [account.id]
    permissions: [{ dataActions: [metadataAction] }]
  }
}

resource stateRole 'Microsoft.DocumentDB/databaseAccounts/sqlRoleDefinitions@2025-04-15' = {
  parent: account
  name: guid(account.id, 'state')
  properties: {
    roleName: 'Borsa state writer'
    type: 'CustomRole'
    assignableScopes: [account.id]
    permissions: [
      {
        dataActions: [
          metadataAction
          '${containerActions}/executeQuery'
          '${containerActions}/items/*'
        ]
      }
    ]
  }
}

// What is only ever added to, by the app as well: not even its own identity can change or remove a
// record of the audit, which the hash chain would only detect, or the file and card of a model.
resource appendRole 'Microsoft.DocumentDB/databaseAccounts/sqlRoleDefinitions@2025-04-15' = {
  parent: account
  name: guid(account.id, 'append')
  properties: {
    roleName: 'Borsa appender'
    type: 'CustomRole'
    assignableScopes: [account.id]
    permissions: [
      {
        dataActions: [
          metadataAction
          '${containerActions}/executeQuery'
          '${containerActions}/items/create'
          '${containerActions}/items/read'
        ]
      }
    ]
  }
}

resource metadataAssignment 'Microsoft.DocumentDB/databaseAccounts/sqlRoleAssignments@2025-04-15' = {
  parent: account
  name: guid(account.id, identityName, 'metadata')
  properties: {
    principalId: principalId
    roleDefinitionId: metadataRole.id
    scope: account.id
  }
}

@batchSize(4)
resource containerAssignments 'Microsoft.DocumentDB/databaseAccounts/sqlRoleAssignments@2025-04-15' = [
  for (c, i) in containers: {
    parent: account
    name: guid(account.id, identityName, c.name)
    properties: {
      principalId: principalId
      roleDefinitionId: contains(appended, c.name) ? appendRole.id : stateRole.id
      scope: '${account.id}/dbs/${database.name}/colls/${sqlContainers[i].name}'
    }
  }
]

// The newest version there is; the only stable one knows no dedicated tables.
#disable-next-line use-recent-api-versions
resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-log-analytics'
  scope: account
  properties: {
    workspaceId: workspaceId
    logAnalyticsDestinationType: 'Dedicated'
    logs: [
      { category: 'ControlPlaneRequests', enabled: true }
      { category: 'PartitionKeyRUConsumption', enabled: !serverless }
    ]
  }
}

@description('Name of the account.')
output name string = account.name

@description('Resource id of the account.')
output id string = account.id

@description('Address of the account.')
output endpoint string = account.properties.documentEndpoint

@description('Name of the database.')
output databaseName string = database.name
