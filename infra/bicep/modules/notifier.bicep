metadata name = 'Notifier'
metadata description = 'The Logic App that turns the app\'s alert into an e-mail and a Telegram message, with the Communication Services resource it mails through. No key anywhere: callers and callees are identified by Entra tokens.'

@description('Name of the Logic App.')
param name string

@description('Name of the Communication Services resource.')
param communicationName string

@description('Name of the e-mail service.')
param emailServiceName string

@description('Azure region of the Logic App.')
param location string

@description('Tags of every resource.')
param tags object

@description('Resource id of the Log Analytics workspace that receives the logs.')
param workspaceId string

@description('Where Communication Services keeps data at rest.')
param dataLocation string

@description('Object id of the only identity that may post alerts.')
param callerPrincipalId string

@description('Token audience that the trigger accepts.')
param audience string

@description('Address that receives the e-mail.')
param recipient string

@description('Telegram chat that receives the message; empty switches Telegram off.')
param telegramChatId string

@description('Name of the vault that holds the bot token.')
param keyVaultName string

@description('True when this deployment writes the bot token into the vault.')
param telegramTokenGiven bool

// Communication Services is a global resource: its data location is the parameter above.
var global = 'global'

// There is no narrower built-in role that may send mail; it is granted on this one resource only.
var communicationAndEmailServiceOwner = '09976791-48a7-449e-bb21-39d1a415f350'
var keyVaultSecretsUser = '4633458b-17de-408a-b874-0445c86b69e6'

resource emailService 'Microsoft.Communication/emailServices@2025-09-01' = {
  name: emailServiceName
  location: global
  tags: tags
  properties: { dataLocation: dataLocation }
}

// A domain of Azure's own needs no DNS record; it sends little, which is all that alerts need.
resource domain 'Microsoft.Communication/emailServices/domains@2025-09-01' = {
  parent: emailService
  name: 'AzureManagedDomain'
  location: global
  tags: tags
  properties: {
    domainManagement: 'AzureManaged'
    userEngagementTracking: 'Disabled'
  }
}

resource communication 'Microsoft.Communication/communicationServices@2025-09-01' = {
  name: communicationName
  location: global
  tags: tags
  properties: {
    dataLocation: dataLocation
    disableLocalAuth: true
    linkedDomains: [domain.id]
  }
}

var issuer = 'https://sts.windows.net/${tenant().tenantId}/'

resource workflow 'Microsoft.Logic/workflows@2019-05-01' = {
  name: name
  location: location
  tags: tags
  // An identity of its own: what notifies people must not be able to read exchange keys.
  identity: { type: 'SystemAssigned' }
  properties: {
    state: 'Enabled'
    definition: union(loadJsonContent('../alert-workflow.json'), {
      triggers: {
        alert: { inputs: { schema: loadJsonContent('../alert-schema.json') } }
      }
    })
    parameters: {
      emailEndpoint: { value: 'https://${communication.properties.hostName}' }
      emailAudience: { value: 'https://communication.azure.com' }
      sender: { value: 'DoNotReply@${domain.properties.mailFromSenderDomain}' }
      recipient: { value: recipient }
      vaultUri: { value: vault.properties.vaultUri }
      vaultAudience: { value: 'https://${substring(environment().suffixes.keyvaultDns, 1)}' }
      telegramChatId: { value: telegramChatId }
    }
    accessControl: {
      triggers: {
        // The signed address that every request trigger has is refused; only a token of the app's
        // identity opens it. Both spellings of the audience are what token services put in `aud`.
        openAuthenticationPolicies: {
          policies: {
            app: {
              type: 'AAD'
              claims: [
                { name: 'iss', value: issuer }
                { name: 'aud', value: audience }
                { name: 'oid', value: callerPrincipalId }
              ]
            }
            appAudienceWithSlash: {
              type: 'AAD'
              claims: [
                { name: 'iss', value: issuer }
                { name: 'aud', value: '${audience}/' }
                { name: 'oid', value: callerPrincipalId }
              ]
            }
          }
        }
        // Documented for Consumption workflows, newer than the published type.
        #disable-next-line BCP037
        sasAuthenticationPolicy: { state: 'Disabled' }
      }
    }
  }
}

resource vault 'Microsoft.KeyVault/vaults@2026-02-01' existing = {
  name: keyVaultName
}

resource botToken 'Microsoft.KeyVault/vaults/secrets@2026-02-01' existing = {
  parent: vault
  name: 'telegram-bot-token'
}

resource readsBotToken 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (telegramTokenGiven) {
  name: guid(botToken.id, workflow.id, keyVaultSecretsUser)
  scope: botToken
  properties: {
    roleDefinitionId: subscriptionResourceId(
      'Microsoft.Authorization/roleDefinitions',
      keyVaultSecretsUser
    )
    principalId: workflow.identity.principalId
    principalType: 'ServicePrincipal'
  }
}

resource sendsMail 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(communication.id, workflow.id, communicationAndEmailServiceOwner)
  scope: communication
  properties: {
    roleDefinitionId: subscriptionResourceId(
      'Microsoft.Authorization/roleDefinitions',
      communicationAndEmailServiceOwner
    )
    principalId: workflow.identity.principalId
    principalType: 'ServicePrincipal'
  }
}

// The newest version there is; the only stable one knows no dedicated tables.
#disable-next-line use-recent-api-versions
resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-log-analytics'
  scope: workflow
  properties: {
    workspaceId: workspaceId
    logs: [{ category: 'WorkflowRuntime', enabled: true }]
  }
}

@description('Name of the Logic App.')
output name string = workflow.name

@description('Resource id of the Logic App.')
output id string = workflow.id

@description('Where the app posts alerts. It carries no signature: without a token of the app\'s identity it answers 401.')
output triggerUrl string = '${workflow.properties.accessEndpoint}/triggers/alert/paths/invoke?api-version=2016-10-01'
