metadata name = 'Key Vault'
metadata description = 'Exchange keys, second factor and channel tokens. The app reads them at run time with its identity; no setting ever holds one.'

@description('Name of the vault.')
param name string

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Resource id of the Log Analytics workspace that receives the audit log.')
param workspaceId string

@description('API key of the exchange account: futures trading only, no withdrawals, bound to the egress address. Empty: keep what the vault has.')
@secure()
param binanceApiKey string = ''

@description('Secret of that API key. Empty: keep what the vault has.')
@secure()
param binanceApiSecret string = ''

@description('Base32 seed of the operator\'s authenticator. Empty: keep what the vault has.')
@secure()
param totpSecret string = ''

@description('Token of the Telegram bot. Empty: keep what the vault has.')
@secure()
param telegramBotToken string = ''

@description('How long a secret given here is meant to be used, ISO 8601; then the portal reminds of rotation. Reading continues.')
param validFor string = 'P1Y'

@description('Time of this deployment; only the expiry of new secrets depends on it.')
param now string = utcNow()

var expiry = dateTimeToEpoch(dateTimeAdd(now, validFor))

resource vault 'Microsoft.KeyVault/vaults@2026-02-01' = {
  name: name
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
    // The Consumption Logic App has no address of its own to allow; identity is the gate.
    publicNetworkAccess: 'Enabled'
    networkAcls: { bypass: 'AzureServices', defaultAction: 'Allow' }
  }
}

resource apiKey 'Microsoft.KeyVault/vaults/secrets@2026-02-01' = if (!empty(binanceApiKey)) {
  parent: vault
  name: 'binance-api-key'
  properties: {
    value: binanceApiKey
    contentType: 'Binance USD-M API key'
    attributes: { enabled: true, exp: expiry }
  }
}

resource apiSecret 'Microsoft.KeyVault/vaults/secrets@2026-02-01' = if (!empty(binanceApiSecret)) {
  parent: vault
  name: 'binance-api-secret'
  properties: {
    value: binanceApiSecret
    contentType: 'Binance USD-M API secret'
    attributes: { enabled: true, exp: expiry }
  }
}

resource totp 'Microsoft.KeyVault/vaults/secrets@2026-02-01' = if (!empty(totpSecret)) {
  parent: vault
  name: 'totp-secret'
  properties: {
    value: totpSecret
    contentType: 'TOTP seed, base32'
    attributes: { enabled: true, exp: expiry }
  }
}

resource telegram 'Microsoft.KeyVault/vaults/secrets@2026-02-01' = if (!empty(telegramBotToken)) {
  parent: vault
  name: 'telegram-bot-token'
  properties: {
    value: telegramBotToken
    contentType: 'Telegram bot token'
    attributes: { enabled: true, exp: expiry }
  }
}

// The newest version there is; the only stable one knows no dedicated tables.
#disable-next-line use-recent-api-versions
resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-log-analytics'
  scope: vault
  properties: {
    workspaceId: workspaceId
    logAnalyticsDestinationType: 'Dedicated'
    logs: [{ categoryGroup: 'audit', enabled: true }]
  }
}

@description('Name of the vault.')
output name string = vault.name

@description('Resource id of the vault.')
output id string = vault.id

@description('Address of the vault.')
output uri string = vault.properties.vaultUri
