metadata name = 'Event Hubs'
metadata description = 'The streams between the functions, each with the one consumer group that its function reads.'

@description('A stream: its consumer group, partitions and how long an unread event is kept.')
type hub = {
  @description('Name of the event hub; the triggers and outputs use it.')
  name: string

  @description('Consumer group of the function that reads it.')
  consumerGroup: string

  @description('Partitions; they bound how many instances read in parallel.')
  partitions: int

  @description('Hours an event is kept.')
  retentionHours: int
}

@description('Name of the namespace.')
param name string

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Resource id of the Log Analytics workspace that receives the logs.')
param workspaceId string

@description('Throughput units at rest.')
@minValue(1)
@maxValue(40)
param capacity int

@description('Throughput units the namespace may grow to by itself.')
@minValue(1)
@maxValue(40)
param maximumCapacity int

@description('Partitions of the market stream; one symbol always stays in one partition.')
@minValue(1)
@maxValue(32)
param marketPartitions int

@description('There is a stream of quotes: mark price and order book, for consumers of one\'s own.')
param quotes bool

// An old candle must not be traded, so market events live a day; what the other streams carry is
// evidence and survives a long weekend of a stopped app.
var read hub[] = [
  { name: 'market', consumerGroup: 'trader', partitions: marketPartitions, retentionHours: 24 }
  { name: 'executions', consumerGroup: 'recorder', partitions: 2, retentionHours: 168 }
  { name: 'risk', consumerGroup: 'responder', partitions: 2, retentionHours: 168 }
  { name: 'compliance', consumerGroup: 'monitor', partitions: 2, retentionHours: 168 }
]
// No function reads it; what is older than an hour is no quote.
var published hub[] = [
  { name: 'quotes', consumerGroup: 'own', partitions: marketPartitions, retentionHours: 1 }
]
var hubs = concat(read, quotes ? published : [])

resource namespace 'Microsoft.EventHub/namespaces@2024-01-01' = {
  name: name
  location: location
  tags: tags
  // Basic has the $Default consumer group only.
  sku: { name: 'Standard', tier: 'Standard', capacity: capacity }
  properties: {
    disableLocalAuth: true
    isAutoInflateEnabled: maximumCapacity > capacity
    maximumThroughputUnits: maximumCapacity > capacity ? maximumCapacity : 0
    minimumTlsVersion: '1.2'
    publicNetworkAccess: 'Enabled'
    zoneRedundant: true
  }
}

resource eventHubs 'Microsoft.EventHub/namespaces/eventhubs@2024-01-01' = [
  for h in hubs: {
    parent: namespace
    name: h.name
    properties: {
      partitionCount: h.partitions
      retentionDescription: { cleanupPolicy: 'Delete', retentionTimeInHours: h.retentionHours }
    }
  }
]

resource consumerGroups 'Microsoft.EventHub/namespaces/eventhubs/consumergroups@2024-01-01' = [
  for (h, i) in hubs: {
    parent: eventHubs[i]
    name: h.consumerGroup
    properties: {}
  }
]

// The newest version there is; the only stable one knows no dedicated tables.
#disable-next-line use-recent-api-versions
resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-log-analytics'
  scope: namespace
  properties: {
    workspaceId: workspaceId
    logAnalyticsDestinationType: 'Dedicated'
    logs: [
      { category: 'OperationalLogs', enabled: true }
      { category: 'AutoScaleLogs', enabled: true }
    ]
  }
}

@description('Name of the namespace.')
output name string = namespace.name

@description('Resource id of the namespace.')
output id string = namespace.id

@description('Host name that clients connect to.')
output fullyQualifiedNamespace string = split(
  split(namespace.properties.serviceBusEndpoint, '://')[1],
  ':'
)[0]
