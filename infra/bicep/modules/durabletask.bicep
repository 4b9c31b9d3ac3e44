metadata name = 'Durable Task Scheduler'
metadata description = 'Where the orchestrations live: a scheduler and its task hub.'

@description('Name of the scheduler.')
param name string

@description('Name of the task hub; host.json takes it from the TASKHUB_NAME setting.')
param taskHubName string

@description('Azure region; the scheduler is not offered in every one.')
param location string

@description('Tags of every resource.')
param tags object

@description('Consumption bills each action; Dedicated is a reserved capacity unit.')
@allowed(['Consumption', 'Dedicated'])
param sku string

@description('Days that finished orchestrations are kept; their evidence is in the audit log anyway.')
@minValue(1)
param retentionDays int

resource scheduler 'Microsoft.DurableTask/schedulers@2026-02-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    // An empty list would deny everybody, and what scales Flex Consumption has no fixed address.
    // Entra tokens are the gate.
    ipAllowlist: ['0.0.0.0/0']
    sku: sku == 'Dedicated' ? { name: sku, capacity: 1 } : { name: sku }
  }
}

resource taskHub 'Microsoft.DurableTask/schedulers/taskHubs@2026-02-01' = {
  parent: scheduler
  name: taskHubName
  properties: {}
}

resource retention 'Microsoft.DurableTask/schedulers/retentionPolicies@2026-02-01' = {
  parent: scheduler
  name: 'default'
  properties: {
    retentionPolicies: [
      { orchestrationState: 'Completed', retentionPeriodInDays: retentionDays }
      { orchestrationState: 'Terminated', retentionPeriodInDays: retentionDays }
      // A failed workflow stays longer: somebody has to look at it.
      { orchestrationState: 'Failed', retentionPeriodInDays: retentionDays * 3 }
    ]
  }
}

@description('Name of the scheduler.')
output name string = scheduler.name

@description('Address that the Durable extension connects to.')
output endpoint string = scheduler.properties.endpoint

@description('Name of the task hub.')
output taskHubName string = taskHub.name
