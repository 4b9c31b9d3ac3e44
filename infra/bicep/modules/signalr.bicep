metadata name = 'SignalR'
metadata description = 'Pushes live updates to the dashboard; serverless, Entra tokens only.'

@description('Name of the service.')
param name string

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Resource id of the Log Analytics workspace that receives the logs.')
param workspaceId string

@description('Free_F1 serves 20 viewers and 20 000 messages a day; Standard_S1 has a service level.')
@allowed(['Free_F1', 'Standard_S1'])
param sku string

@description('Origins of dashboards that may connect, for example https://dash.example.com; and that of the app itself.')
param allowedOrigins string[]

resource signalR 'Microsoft.SignalRService/signalR@2024-03-01' = {
  name: name
  location: location
  tags: tags
  kind: 'SignalR'
  sku: { name: sku, capacity: 1 }
  identity: { type: 'SystemAssigned' }
  properties: {
    disableLocalAuth: true
    disableAadAuth: false
    features: [
      { flag: 'ServiceMode', value: 'Serverless' }
      { flag: 'EnableConnectivityLogs', value: 'True' }
    ]
    cors: { allowedOrigins: allowedOrigins }
    publicNetworkAccess: 'Enabled'
    tls: { clientCertEnabled: false }
  }
}

// The newest version there is; the only stable one knows no dedicated tables.
#disable-next-line use-recent-api-versions
resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-log-analytics'
  scope: signalR
  properties: {
    workspaceId: workspaceId
    logs: [{ categoryGroup: 'allLogs', enabled: true }]
  }
}

@description('Name of the service.')
output name string = signalR.name

@description('Address of the service.')
output serviceUri string = 'https://${signalR.properties.hostName}'
