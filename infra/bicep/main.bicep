targetScope = 'subscription'

metadata name = 'Borsa Quantum Bot'
metadata description = 'Everything the bot needs in one resource group; `azd up` deploys it.'

// ---------------------------------------------------------------------------------- where and who

@description('Name of the environment; one resource group each. Use separate ones for demo and production.')
@minLength(1)
@maxLength(40)
param environmentName string

@description('Azure region. The exchange refuses some countries (HTTP 451): choose one whose addresses it serves, and that has Flex Consumption and Durable Task Scheduler.')
@minLength(1)
@metadata({ azd: { type: 'location' } })
param location string

@description('Address that receives the alerts of the app and of Azure Monitor.')
@minLength(5)
param alertEmail string

@description('Phone for text messages of Azure Monitor, country code and number: 49-1701234567. Empty: none.')
param alertPhone string = ''

@description('Telegram chat that receives the app\'s alerts. Empty: no Telegram.')
param telegramChatId string = ''

@description('Channels that warnings and critical alerts go to as well: discord, push, sms, separated by commas. Their secrets are stored in the vault by hand. Empty: none.')
param alertChannels string = ''

@description('Channels that a critical alert goes to in turn while nobody acknowledges it. Empty: none.')
param alertEscalation string = ''

@description('Minutes until the first of them, and between two.')
@minValue(5)
@maxValue(120)
param alertEscalationMinutes int = 10

@description('Object id of who runs the deployment; azd fills it in.')
param principalId string = ''

@description('A person may store the exchange keys in the vault afterwards; a pipeline may not.')
@allowed(['User', 'ServicePrincipal'])
param principalType string = 'User'

@description('Subject of the tokens of the pipeline that may deploy the code: repo:OWNER/NAME:environment:ENVIRONMENT. Empty: no pipeline may.')
param deployerSubject string = ''

// ---------------------------------------------------------------------------------------- secrets
// Better set with `az keyvault secret set` after the deployment; see docs/deploy.md.

@description('API key of the exchange account. Empty: keep what the vault has.')
@secure()
param binanceApiKey string = ''

@description('Secret of the API key. Empty: keep what the vault has.')
@secure()
param binanceApiSecret string = ''

@description('Base32 seed of the operator\'s authenticator. Empty: keep what the vault has.')
@secure()
param totpSecret string = ''

@description('Token of the Telegram bot. Empty: keep what the vault has.')
@secure()
param telegramBotToken string = ''

// ---------------------------------------------------------------------------------------- trading
// The code holds the ceilings; these can only be stricter. Money and fractions are text, so that
// no digit is lost on the way.

@description('Venue: demo is the exchange\'s own test venue with play money; simulated needs binanceBaseUrl.')
@allowed(['demo', 'production', 'simulated'])
param binanceEnvironment string = 'demo'

@description('Address of a simulated exchange; must be empty for demo and production.')
param binanceBaseUrl string = ''

@description('Milliseconds that a signed request stays valid.')
@minValue(1)
@maxValue(60000)
param binanceRecvWindowMs int = 3000

@description('Name of the trading account; the partition of its state. Never change it while positions are open.')
@minLength(1)
@maxLength(40)
param accountId string = 'main'

@description('paper, testnet, limited or full.')
@allowed(['paper', 'testnet', 'limited', 'full'])
param tradingStage string = 'paper'

@description('Contracts to trade, separated by commas.')
param symbols string = 'BTCUSDT,ETHUSDT,XRPUSDT,ADAUSDT'

@description('Time frames to evaluate, separated by commas.')
param timeframes string = '1h'

@description('Signal configuration as JSON. Empty: the shipped plan.')
param tradingPlan string = ''

@description('Highest leverage.')
@minValue(1)
@maxValue(10)
param maxLeverage int = 5

@description('USDT notional per position, at most 500.')
param maxPositionNotional string = '500'

@description('USDT notional over all positions.')
param maxTotalNotional string = '2000'

@description('USDT that may be lost per UTC day, at most 1000.')
param maxDailyLoss string = '200'

@description('Fraction below the equity peak at which the kill switch latches, at most 0.20.')
param maxDrawdown string = '0.10'

@description('Value at risk over equity, at most 0.20.')
param maxValueAtRisk string = '0.10'

@description('Expected shortfall over equity, at most 0.30.')
param maxExpectedShortfall string = '0.15'

@description('What one position may add to the expected shortfall, over equity, at most 0.15.')
param maxMarginalShortfall string = '0.075'

@description('USDT net in contracts that move together, at most 5000.')
param maxClusterNotional string = '2000'

@description('Correlation from which on contracts are one cluster, 0.3 to 0.9.')
param clusterCorrelation string = '0.7'

@description('Loss if every stop is hit over equity, at most 0.20.')
param maxHeat string = '0.10'

@description('Confidence of value at risk, 0.99 to 0.995.')
param riskConfidence string = '0.99'

@description('Days of value at risk.')
@minValue(1)
@maxValue(10)
param riskHorizonDays int = 1

@description('Minutes of pause on a symbol after a losing trade, times the losses in a row (at most 6); 0: none.')
@minValue(0)
@maxValue(1440)
param lossCooldownMinutes int = 0

@description('Fraction of the equity risked between entry and stop.')
param riskPerTrade string = '0.005'

@description('Annualised volatility that a single position may add.')
param targetVolatility string = '0.20'

@description('Part of the Kelly fraction of the closed trades that a position may risk, at most 0.5; 0: off.')
param kellyFraction string = '0'

@description('Closed trades before the Kelly fraction counts.')
@minValue(30)
@maxValue(300)
param kellyMinTrades int = 100

@description('Bars after which a position is closed whatever it does.')
@minValue(1)
param maxHoldingBars int = 336

@description('Profit in stop distances at which the stop moves to break-even; 0: never.')
param breakEvenAt string = '0'

@description('Distance of the trailing stop in ATRs; 0: as far as the first stop.')
param trailAtr string = '0'

@description('Stop distance in ATRs, before it is clamped into 1-5 %.')
param stopAtr string = '4'

@description('Distance of the target in stop distances, 2-10.')
param rewardRisk string = '3'

@description('Profit in stop distances at which trailing begins.')
param trailActivation string = '2'

@description('always: every position is watched every two seconds; else the part of the stop distance within which one is; 0: never.')
param stopWatch string = 'always'

@description('How positions are entered: at once, or post-only first.')
@allowed(['ioc', 'post_only'])
param entryStyle string = 'ioc'

@description('Seconds that a post-only entry rests and is moved before the rest is taken at once.')
@minValue(1)
@maxValue(10)
param entryChaseSeconds int = 8

@description('Recent over usual volatility per bar that latches the kill switch, above 2.')
param volatilityRatio string = '8'

@description('Seconds without an answer of the exchange that latch the kill switch.')
@minValue(60)
@maxValue(3600)
param disconnectionSeconds int = 300

@description('Automatic triggers that also close every position, separated by commas, or none: abnormal_volatility, exchange_disconnection, suspicious_activity.')
param killSwitchCloses string = 'suspicious_activity'

@description('Where a critical violation of the compliance monitor that nobody has closed declines entries.')
@allowed([
  'symbol'
  'account'
  'off'
])
param violationsBlock string = 'symbol'

@description('Order messages of the app within ten seconds above which entries are declined.')
@minValue(20)
@maxValue(300)
param messageLimit int = 150

@description('Bars out of the ordinary: not looked for, recorded, or recorded and told.')
@allowed([
  'off'
  'record'
  'alert'
])
param anomalies string = 'off'

@description('Folder of candle files for parameter sweeps, for example a mounted share; empty: the venue\'s history.')
param researchData string = ''

// --------------------------------------------------------------------------------------- opinions
// Asked by people; nothing that trades waits for any of it. See docs/intelligence.md.

@description('OpenAI-compatible endpoint of the language model.')
param llmBaseUrl string = 'https://api.groq.com/openai/v1'

@description('Model that is asked there.')
param llmModel string = 'openai/gpt-oss-120b'

@description('Model there that can see, to read charts; empty: none is asked.')
param llmVisionModel string = ''

@description('Name of the secret in the vault with its key, stored by hand; without the secret no language model is asked. none: the endpoint needs no key.')
param llmKeyName string = 'llm-api-key'

@description('Seconds for one answer of the language model.')
@minValue(5)
@maxValue(120)
param llmTimeoutSeconds int = 60

@description('Tokens of one answer.')
@minValue(100)
@maxValue(8000)
param llmMaxOutputTokens int = 4000

@description('Tokens that language models may read and write in a UTC day; 0: none.')
@minValue(0)
@maxValue(100000000)
param llmDailyTokens int = 300000

@description('USD that they may cost in a UTC day, at most 100; 0: none.')
param llmDailyCost string = '1'

@description('USD for a million tokens read.')
param llmPricePrompt string = '0.15'

@description('USD for a million tokens written.')
param llmPriceCompletion string = '0.6'

@description('RSS or Atom feeds of news, separated by commas. Empty: none is read.')
param sentimentFeeds string = ''

@description('Hours after which a text counts half.')
param sentimentHalfLifeHours string = '6'

@description('Make an Azure AI Language account for the sentiment of texts; otherwise the built-in lexicon judges them.')
param languageService bool = false

@description('Make an Azure AI Document Intelligence account for reading documents; otherwise the built-in reader does.')
param documentService bool = false

@description('Price tier of the Language account: F0 is free up to 5,000 records a month, S is paid.')
@allowed(['F0', 'S'])
param languageSku string = 'F0'

@description('Price tier of the Document Intelligence account: F0 is free, reads the first two pages and 500 pages a month; S0 is paid.')
@allowed(['F0', 'S0'])
param documentSku string = 'F0'

// ------------------------------------------------------------------------------------------- size

@description('Python of the worker. 3.13 is what the tests run through Microsoft\'s own worker library and keeps the worker\'s packages apart from the app\'s; 3.12 is the way back.')
@allowed(['3.12', '3.13'])
param pythonVersion string = '3.13'

@description('Memory of one instance in MB.')
@allowed([2048, 4096])
param instanceMemoryMB int = 2048

@description('Most instances of one scale group.')
@minValue(1)
@maxValue(1000)
param maximumInstanceCount int = 40

@description('Warm instances each for HTTP (the emergency stop), Durable and the market consumer.')
@minValue(0)
@maxValue(20)
param alwaysReadyInstances int = 1

@description('Partitions of the market stream; fixed at creation.')
@minValue(1)
@maxValue(32)
param marketPartitions int = 4

@description('Throughput units of Event Hubs at rest.')
@minValue(1)
@maxValue(40)
param eventHubsCapacity int = 1

@description('Throughput units Event Hubs may grow to.')
@minValue(1)
@maxValue(40)
param eventHubsMaximumCapacity int = 4

@description('Serverless, or Autoscale with a service level and an optional replica.')
@allowed(['Serverless', 'Autoscale'])
param cosmosCapacityMode string = 'Serverless'

@description('Ceiling of the shared throughput in RU/s, with Autoscale.')
@minValue(1000)
param cosmosMaxThroughput int = 1000

@description('Region of a Cosmos DB replica, with Autoscale. Empty: none. Strong consistency then waits for both regions.')
param cosmosSecondaryLocation string = ''

@description('Spread Cosmos DB over availability zones.')
param cosmosZoneRedundant bool = false

@description('How old the data of a read may be.')
@allowed(['Strong', 'BoundedStaleness', 'Session'])
param cosmosConsistency string = 'Strong'

@description('How far back a point-in-time restore of the state reaches.')
@allowed(['Continuous7Days', 'Continuous30Days'])
param cosmosBackupTier string = 'Continuous30Days'

@description('Durable Task Scheduler: billed by action, or a reserved unit.')
@allowed(['Consumption', 'Dedicated'])
param schedulerSku string = 'Consumption'

@description('SignalR: free for up to 20 viewers, or with a service level.')
@allowed(['Free_F1', 'Standard_S1'])
param signalRSku string = 'Free_F1'

@description('Days that logs and metrics are kept.')
@minValue(30)
@maxValue(730)
param logRetentionDays int = 90

@description('Daily cap of log ingestion in GB. When it is reached the log alerts go blind, which the missing heartbeat then reports.')
@minValue(1)
param logDailyCapGb int = 5

// ---------------------------------------------------------------------------------------- network

@description('Send everything from one fixed public address (virtual network and NAT gateway, about 35 USD a month), so that the exchange key can be bound to it. Needs the Microsoft.App resource provider.')
param staticEgress bool = false

@description('Address space of that virtual network.')
param addressPrefix string = '10.20.0.0/24'

@description('CIDR ranges that may call the app over HTTP, separated by commas. Empty: all, with keys.')
param allowedCallers string = ''

@description('Origins of dashboards on other hosts, separated by commas.')
param allowedOrigins string = ''

// ------------------------------------------------------------------------------------------ access

@description('keys: function keys alone. entra: people sign in to the dashboard with Entra ID as well; needs entraClientId, see docs/security.md.')
@allowed(['keys', 'entra'])
param access string = 'keys'

@description('Application (client) id of the app registration that people sign in to. No template can make one with the rights of a deployment.')
param entraClientId string = ''

@description('Directory whose people may sign in. Empty: the one of the subscription.')
param entraTenantId string = ''

@description('Address under which browsers know the app, where it is not NAME.azurewebsites.net.')
param publicUrl string = ''

@description('Hours after which a session ends.')
@minValue(1)
@maxValue(24)
param sessionHours int = 8

@description('Minutes without a request that end a session.')
@minValue(5)
@maxValue(240)
param sessionIdleMinutes int = 30

// --------------------------------------------------------------------------------------- streamer

@description('Run the market streamer, a container that is always on. Timer polling goes on beside it.')
param streamer bool = false

@description('What it streams, separated by commas: klines, markPrice, bookTicker, depth, userData. userData needs the API key in the vault before.')
param streamerStreams string = 'klines'

@description('Image of the streamer; azd fills it in once it has pushed one.')
param streamerImage string = ''

// --------------------------------------------------------------------------------------- training

@description('Create the job that trains the models again. It runs when it is started, and on its schedule.')
param training bool = false

@description('When it runs by itself: five fields of cron, UTC, for example 0 3 1 * * for the first of every month. Empty: only when it is started.')
param trainingSchedule string = ''

@description('Models that it trains, separated by commas. Empty: all.')
param trainingModels string = ''

@description('Hours after which it is ended.')
@minValue(1)
@maxValue(24)
param trainingHours int = 8

@description('Image of the training; azd fills it in once it has pushed one.')
param trainingImage string = ''

@description('Plans that name a model vote with its champion in the registry.')
@allowed(['off', 'on'])
param modelRegistry string = 'off'

@description('Score champions and challengers of the models at every closed bar.')
@allowed(['off', 'on'])
param modelScoring string = 'off'

@description('Judge once a day whether the models still know what their cards say.')
@allowed(['off', 'on'])
param modelDrift string = 'off'

@description('Verdict on a champion at which the app starts the training job.')
@allowed(['failing', 'drifting'])
param retrainingOn string = 'failing'

@description('Days between two starts by the app at least.')
@minValue(3)
@maxValue(180)
param retrainingDays int = 14

// ----------------------------------------------------------------------------------------- automl

@description('An Azure Machine Learning workspace with a compute cluster for ./run automl, in a resource group of its own.')
param automl bool = false

@description('Size of a node of that cluster; your quota for Azure Machine Learning must have it.')
param automlVmSize string = 'Standard_DS3_v2'

@description('Most nodes of that cluster; at rest there is none.')
@minValue(1)
@maxValue(20)
param automlMaximumNodes int = 1

// ----------------------------------------------------------------------------------------- alerts

@description('Seconds after which the newest closed candle counts as stale. Longer than the longest time frame: so old may be the candle that a start finds.')
@minValue(60)
param dataStaleSeconds int = 4500

@description('Monthly budget in the billing currency; 0 is none.')
@minValue(0)
param monthlyBudget int = 0

@description('First day of the month from which the budget counts, yyyy-MM-01; needed with a budget.')
param budgetStartDate string = ''

@description('Where Communication Services keeps data at rest.')
param communicationDataLocation string = 'Europe'

var token = toLower(uniqueString(subscription().id, environmentName, location))
var tags = { 'azd-env-name': environmentName }
var databaseName = 'borsa'
var taskHubName = 'borsa'
var packageContainer = 'app-package'
// What Azure Resource Manager's tokens are issued for: the audience a managed identity can ask for
// without an app registration of one's own. The caller is pinned by its object id.
var resourceManager = environment().resourceManager
var alertAudience = endsWith(resourceManager, '/')
  ? take(resourceManager, length(resourceManager) - 1)
  : resourceManager

// Names are decided here and not taken from outputs, so that a what-if sees every resource.
var identityName = 'id-borsa-${token}'
var insightsName = 'appi-borsa-${token}'
var storageName = 'stborsa${token}'
var eventHubsName = 'evhns-borsa-${token}'
var keyVaultName = 'kv-borsa-${token}'
var schedulerName = 'dts-borsa-${token}'
var signalRName = 'sigr-borsa-${token}'
var functionAppName = 'func-borsa-${token}'
var registryName = 'crborsa${token}'
var containersName = 'cae-borsa-${token}'
var cosmosName = 'cosmos-borsa-${token}'
var streamerIdentityName = 'id-borsa-streamer-${token}'
var trainingIdentityName = 'id-borsa-training-${token}'
var trainingJobName = 'caj-borsa-${token}'
var containerised = streamer || training
var streamed = split(streamerStreams, ',')
var quotesStreamed = streamer && !empty(intersection(streamed, ['markPrice', 'bookTicker', 'depth']))
var accountStreamed = contains(streamed, 'userData')
var people = access == 'entra'
// Where people of this cloud sign in, without the slash that the table of clouds has at its end.
var authority = 'https://${split(environment().authentication.loginEndpoint, '/')[2]}'
var dashboards = empty(allowedOrigins) ? [] : split(allowedOrigins, ',')

resource group 'Microsoft.Resources/resourceGroups@2024-11-01' = {
  name: 'rg-${environmentName}'
  location: location
  tags: tags
}

module identity 'modules/identity.bicep' = {
  scope: group
  params: { name: identityName, location: location, tags: tags }
}

module monitoring 'modules/monitoring.bicep' = {
  scope: group
  params: {
    workspaceName: 'log-borsa-${token}'
    insightsName: insightsName
    location: location
    tags: tags
    retentionDays: logRetentionDays
    dailyCapGb: logDailyCapGb
  }
}

module storage 'modules/storage.bicep' = {
  scope: group
  params: {
    name: storageName
    location: location
    tags: tags
    workspaceId: monitoring.outputs.workspaceId
    packageContainerName: packageContainer
  }
}

module eventHubs 'modules/eventhubs.bicep' = {
  scope: group
  params: {
    name: eventHubsName
    location: location
    tags: tags
    workspaceId: monitoring.outputs.workspaceId
    capacity: eventHubsCapacity
    maximumCapacity: eventHubsMaximumCapacity
    marketPartitions: marketPartitions
    quotes: quotesStreamed
  }
}

module cosmos 'modules/cosmos.bicep' = {
  scope: group
  params: {
    name: cosmosName
    location: location
    tags: tags
    workspaceId: monitoring.outputs.workspaceId
    databaseName: databaseName
    capacityMode: cosmosCapacityMode
    autoscaleMaxThroughput: cosmosMaxThroughput
    secondaryLocation: cosmosSecondaryLocation
    zoneRedundant: cosmosZoneRedundant
    consistency: cosmosConsistency
    backupTier: cosmosBackupTier
    identityName: identityName
    principalId: identity.outputs.principalId
  }
}

module keyVault 'modules/keyvault.bicep' = {
  scope: group
  params: {
    name: keyVaultName
    location: location
    tags: tags
    workspaceId: monitoring.outputs.workspaceId
    binanceApiKey: binanceApiKey
    binanceApiSecret: binanceApiSecret
    totpSecret: totpSecret
    telegramBotToken: telegramBotToken
  }
}

module durableTask 'modules/durabletask.bicep' = {
  scope: group
  params: {
    name: schedulerName
    taskHubName: taskHubName
    location: location
    tags: tags
    sku: schedulerSku
    retentionDays: 30
  }
}

module signalR 'modules/signalr.bicep' = {
  scope: group
  params: {
    name: signalRName
    location: location
    tags: tags
    workspaceId: monitoring.outputs.workspaceId
    sku: signalRSku
    // The dashboard that the app serves itself is another origin than the service.
    allowedOrigins: concat(['https://${functionAppName}.azurewebsites.net'], dashboards)
  }
}

module network 'modules/network.bicep' = if (staticEgress) {
  scope: group
  params: {
    name: 'borsa-${token}'
    location: location
    tags: tags
    addressPrefix: addressPrefix
    containers: containerised
  }
}

module notifier 'modules/notifier.bicep' = {
  scope: group
  params: {
    name: 'logic-borsa-alerts-${token}'
    communicationName: 'acs-borsa-${token}'
    emailServiceName: 'acse-borsa-${token}'
    location: location
    tags: tags
    workspaceId: monitoring.outputs.workspaceId
    dataLocation: communicationDataLocation
    callerPrincipalId: identity.outputs.principalId
    audience: alertAudience
    recipient: alertEmail
    telegramChatId: telegramChatId
    keyVaultName: keyVaultName
    telegramTokenGiven: !empty(telegramBotToken)
  }
  dependsOn: [keyVault]
}

module language 'modules/aiservice.bicep' = if (languageService) {
  scope: group
  params: {
    name: 'lang-borsa-${token}'
    kind: 'TextAnalytics'
    sku: languageSku
    location: location
    tags: tags
    workspaceId: monitoring.outputs.workspaceId
    identityName: identityName
  }
  dependsOn: [identity]
}

module documents 'modules/aiservice.bicep' = if (documentService) {
  scope: group
  params: {
    name: 'docs-borsa-${token}'
    kind: 'FormRecognizer'
    sku: documentSku
    location: location
    tags: tags
    workspaceId: monitoring.outputs.workspaceId
    identityName: identityName
  }
  dependsOn: [identity]
}

module roles 'modules/roles.bicep' = {
  scope: group
  params: {
    identityName: identityName
    storageName: storageName
    eventHubsName: eventHubsName
    keyVaultName: keyVaultName
    schedulerName: schedulerName
    taskHubName: taskHubName
    signalRName: signalRName
    insightsName: insightsName
    operatorPrincipalId: principalType == 'User' ? principalId : ''
  }
  dependsOn: [identity, storage, eventHubs, keyVault, durableTask, signalR, monitoring]
}

// What shared/settings.py reads; a test keeps the two lists equal.
var tradingSettings = {
  BINANCE_ENVIRONMENT: binanceEnvironment
  BINANCE_BASE_URL: binanceBaseUrl
  BINANCE_RECV_WINDOW_MS: string(binanceRecvWindowMs)
  KEY_VAULT_URI: keyVault.outputs.uri
  ACCOUNT_ID: accountId
  // One address for all instances: then one budget for all of them.
  RATE_BUDGET: staticEgress ? 'shared' : 'own'
  TRADING_STAGE: tradingStage
  SYMBOLS: symbols
  TIMEFRAMES: timeframes
  TRADING_PLAN: tradingPlan
  MAX_LEVERAGE: string(maxLeverage)
  MAX_POSITION_NOTIONAL: maxPositionNotional
  MAX_TOTAL_NOTIONAL: maxTotalNotional
  MAX_DAILY_LOSS: maxDailyLoss
  MAX_DRAWDOWN: maxDrawdown
  MAX_VALUE_AT_RISK: maxValueAtRisk
  MAX_EXPECTED_SHORTFALL: maxExpectedShortfall
  MAX_MARGINAL_SHORTFALL: maxMarginalShortfall
  MAX_CLUSTER_NOTIONAL: maxClusterNotional
  CLUSTER_CORRELATION: clusterCorrelation
  MAX_HEAT: maxHeat
  RISK_CONFIDENCE: riskConfidence
  RISK_HORIZON_DAYS: string(riskHorizonDays)
  LOSS_COOLDOWN_MINUTES: string(lossCooldownMinutes)
  RISK_PER_TRADE: riskPerTrade
  TARGET_VOLATILITY: targetVolatility
  KELLY_FRACTION: kellyFraction
  KELLY_MIN_TRADES: string(kellyMinTrades)
  MAX_HOLDING_BARS: string(maxHoldingBars)
  STOP_ATR: stopAtr
  REWARD_RISK: rewardRisk
  TRAIL_ACTIVATION: trailActivation
  BREAK_EVEN_AT: breakEvenAt
  TRAIL_ATR: trailAtr
  STOP_WATCH: stopWatch
  ENTRY_STYLE: entryStyle
  ENTRY_CHASE_SECONDS: string(entryChaseSeconds)
  VOLATILITY_RATIO: volatilityRatio
  DISCONNECTION_SECONDS: string(disconnectionSeconds)
  KILL_SWITCH_CLOSES: killSwitchCloses
  VIOLATIONS_BLOCK: violationsBlock
  MESSAGE_LIMIT: string(messageLimit)
  ANOMALIES: anomalies
  RESEARCH_DATA: researchData
  COSMOS_DATABASE: cosmos.outputs.databaseName
  ALERT_LOGIC_APP_URL: notifier.outputs.triggerUrl
  ALERT_LOGIC_APP_AUDIENCE: alertAudience
  ALERT_CHANNELS: alertChannels
  ALERT_ESCALATION: alertEscalation
  ALERT_ESCALATION_MINUTES: string(alertEscalationMinutes)
  AZURE_CLIENT_ID: identity.outputs.clientId
  BORSA_TELEMETRY: 'true'
  MODEL_DRIFT: modelDrift
  MODEL_REGISTRY: modelRegistry
  MODEL_SCORING: modelScoring
  // Without an image there is nothing that could train.
  RETRAINING_JOB: training && !empty(trainingImage)
    ? '${alertAudience}${resourceId(subscription().subscriptionId, group.name, 'Microsoft.App/jobs', trainingJobName)}'
    : ''
  RETRAINING_ON: retrainingOn
  RETRAINING_DAYS: string(retrainingDays)
  LLM_BASE_URL: llmBaseUrl
  LLM_MODEL: llmModel
  LLM_VISION_MODEL: llmVisionModel
  LLM_KEY_NAME: llmKeyName
  LLM_TIMEOUT_SECONDS: string(llmTimeoutSeconds)
  LLM_MAX_OUTPUT_TOKENS: string(llmMaxOutputTokens)
  LLM_DAILY_TOKENS: string(llmDailyTokens)
  LLM_DAILY_COST: llmDailyCost
  LLM_PRICE_PROMPT: llmPricePrompt
  LLM_PRICE_COMPLETION: llmPriceCompletion
  SENTIMENT_FEEDS: sentimentFeeds
  SENTIMENT_HALF_LIFE_HOURS: sentimentHalfLifeHours
  LANGUAGE_ENDPOINT: languageService ? language!.outputs.endpoint : ''
  DOCUMENT_ENDPOINT: documentService ? documents!.outputs.endpoint : ''
  ACCESS: access
  ENTRA_TENANT_ID: people ? (empty(entraTenantId) ? tenant().tenantId : entraTenantId) : ''
  ENTRA_CLIENT_ID: people && empty(entraClientId)
    ? fail('access is entra, which needs entraClientId: azd env set BORSA_ENTRA_CLIENT_ID, see docs/security.md')
    : entraClientId
  ENTRA_AUTHORITY: authority
  PUBLIC_URL: people
    ? (empty(publicUrl) ? 'https://${functionAppName}.azurewebsites.net' : publicUrl)
    : ''
  SESSION_HOURS: string(sessionHours)
  SESSION_IDLE_MINUTES: string(sessionIdleMinutes)
}

// What the Functions host, its extensions and the worker read: addresses and the identity to use,
// never a key.
var connectionSettings = {
  AzureWebJobsStorage__blobServiceUri: storage.outputs.blobEndpoint
  AzureWebJobsStorage__tableServiceUri: storage.outputs.tableEndpoint
  AzureWebJobsStorage__credential: 'managedidentity'
  AzureWebJobsStorage__clientId: identity.outputs.clientId
  EventHubConnection__fullyQualifiedNamespace: eventHubs.outputs.fullyQualifiedNamespace
  EventHubConnection__credential: 'managedidentity'
  EventHubConnection__clientId: identity.outputs.clientId
  CosmosDbConnection__accountEndpoint: cosmos.outputs.endpoint
  CosmosDbConnection__credential: 'managedidentity'
  CosmosDbConnection__clientId: identity.outputs.clientId
  AzureSignalRConnectionString__serviceUri: signalR.outputs.serviceUri
  AzureSignalRConnectionString__credential: 'managedidentity'
  AzureSignalRConnectionString__clientId: identity.outputs.clientId
  TASKHUB_NAME: durableTask.outputs.taskHubName
  DURABLE_TASK_SCHEDULER_CONNECTION_STRING: 'Endpoint=${durableTask.outputs.endpoint};Authentication=ManagedIdentity;ClientID=${identity.outputs.clientId};TaskHub=${durableTask.outputs.taskHubName}'
  APPLICATIONINSIGHTS_CONNECTION_STRING: monitoring.outputs.insightsConnectionString
  APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identity.outputs.clientId};Authorization=AAD'
  PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY: 'true'
  // They would write down whole addresses, and some of those hold a key (a webhook, a feed).
  OTEL_PYTHON_DISABLED_INSTRUMENTATIONS: 'requests,urllib3,urllib'
  // Threads of the worker. Its own default is 5 on one core: entries that wait for their fills would
  // keep closing activities waiting. More than host.json admits at a time.
  PYTHON_THREADPOOL_THREAD_COUNT: '32'
  // Bytes of a request that the host reads before it asks the application, which takes 4 MiB at most
  // (a document). The host's own limit is 100 MiB, held in memory by it and by the worker.
  FUNCTIONS_REQUEST_BODY_SIZE_LIMIT: '8388608'
}

module functionApp 'modules/functionapp.bicep' = {
  scope: group
  params: {
    name: functionAppName
    planName: 'plan-borsa-${token}'
    location: location
    tags: tags
    serviceName: 'api'
    pythonVersion: pythonVersion
    instanceMemoryMB: instanceMemoryMB
    maximumInstanceCount: maximumInstanceCount
    alwaysReadyInstances: alwaysReadyInstances
    identityName: identityName
    packageContainerUrl: '${storage.outputs.blobEndpoint}${packageContainer}'
    settings: union(tradingSettings, connectionSettings)
    subnetId: staticEgress ? network!.outputs.subnetId : ''
    allowedCallers: empty(allowedCallers) ? [] : split(allowedCallers, ',')
    allowedOrigins: dashboards
  }
  // The app starts when it is created; without its roles the first start would fail.
  dependsOn: [roles]
}

module containers 'modules/containers.bicep' = if (containerised) {
  scope: group
  params: {
    environmentName: containersName
    registryName: registryName
    location: location
    tags: tags
    workspaceId: monitoring.outputs.workspaceId
    subnetId: staticEgress ? network!.outputs.containersSubnetId : ''
  }
}

module streamerIdentity 'modules/identity.bicep' = if (streamer) {
  scope: group
  params: { name: streamerIdentityName, location: location, tags: tags }
}

module streamerApp 'modules/containerapp.bicep' = if (streamer) {
  scope: group
  params: {
    name: 'ca-borsa-streamer-${token}'
    environmentName: containersName
    registryName: registryName
    location: location
    tags: tags
    serviceName: 'streamer'
    image: streamerImage
    identityName: streamerIdentityName
    eventHubsName: eventHubsName
    hubs: concat(
      contains(streamed, 'klines') ? ['market'] : [],
      quotesStreamed ? ['quotes'] : [],
      accountStreamed ? ['executions'] : []
    )
    keyVaultName: keyVaultName
    opensAccount: accountStreamed
    // What streamer/settings.py reads; the rest keeps its default.
    settings: union(
      {
        BINANCE_ENVIRONMENT: binanceEnvironment
        SYMBOLS: symbols
        TIMEFRAMES: timeframes
        AZURE_CLIENT_ID: streamerIdentity!.outputs.clientId
        EventHubConnection__fullyQualifiedNamespace: eventHubs.outputs.fullyQualifiedNamespace
        STREAMER_STREAMS: streamerStreams
      },
      empty(binanceBaseUrl) ? {} : { BINANCE_BASE_URL: binanceBaseUrl },
      accountStreamed ? { KEY_VAULT_URI: keyVault.outputs.uri } : {}
    )
  }
  dependsOn: [containers]
}

module trainingIdentity 'modules/identity.bicep' = if (training) {
  scope: group
  params: { name: trainingIdentityName, location: location, tags: tags }
}

module trainingJob 'modules/training.bicep' = if (training) {
  scope: group
  params: {
    name: trainingJobName
    environmentName: containersName
    registryName: registryName
    location: location
    tags: tags
    serviceName: 'training'
    image: trainingImage
    schedule: trainingSchedule
    mostHours: trainingHours
    identityName: trainingIdentityName
    appIdentityName: identityName
    cosmosName: cosmosName
    databaseName: databaseName
    // What training/settings.py reads; the rest keeps its default.
    settings: {
      CosmosDbConnection__accountEndpoint: cosmos.outputs.endpoint
      COSMOS_DATABASE: cosmos.outputs.databaseName
      AZURE_CLIENT_ID: trainingIdentity!.outputs.clientId
      TRAINING_MODELS: trainingModels
    }
  }
  dependsOn: [containers]
}

resource automlGroup 'Microsoft.Resources/resourceGroups@2024-11-01' = if (automl) {
  name: 'rg-${environmentName}-automl'
  location: location
  tags: tags
}

module machineLearning 'modules/machinelearning.bicep' = if (automl) {
  scope: automlGroup
  params: {
    name: 'mlw-borsa-${token}'
    storageName: 'stml${token}'
    keyVaultName: 'kv-ml-${token}'
    identityName: 'id-borsa-automl-${token}'
    computeName: 'automl'
    location: location
    tags: tags
    workspaceId: monitoring.outputs.workspaceId
    vmSize: automlVmSize
    maximumNodes: automlMaximumNodes
    operatorPrincipalId: principalType == 'User' ? principalId : ''
  }
}

module alerts 'modules/alerts.bicep' = {
  scope: group
  params: {
    actionGroupName: 'ag-borsa-${token}'
    name: 'alert-borsa-${token}'
    location: location
    tags: tags
    workspaceId: monitoring.outputs.workspaceId
    email: alertEmail
    phone: alertPhone
    dataStaleSeconds: dataStaleSeconds
    cosmosId: cosmos.outputs.id
    eventHubsId: eventHubs.outputs.id
    keyVaultId: keyVault.outputs.id
    notifierId: notifier.outputs.id
  }
}

module workbook 'modules/workbook.bicep' = {
  scope: group
  params: {
    displayName: 'Borsa Quantum Bot (${environmentName})'
    location: location
    tags: tags
    workspaceId: monitoring.outputs.workspaceId
  }
}

module budget 'modules/budget.bicep' = if (monthlyBudget > 0) {
  scope: group
  params: {
    name: 'budget-borsa-${token}'
    amount: monthlyBudget
    startDate: budgetStartDate
    email: alertEmail
  }
}

module deployer 'modules/deployer.bicep' = if (!empty(deployerSubject)) {
  scope: group
  params: {
    name: 'id-deployer-${token}'
    location: location
    tags: tags
    subject: deployerSubject
  }
}

@description('Resource group that holds everything.')
output AZURE_RESOURCE_GROUP string = group.name

@description('Name of the function app.')
output FUNCTION_APP_NAME string = functionApp.outputs.name

@description('Address of the HTTP functions.')
output API_BASE_URL string = functionApp.outputs.baseUrl

@description('Object id of the app\'s identity: the subject that the app registration trusts, for people\'s sign-in.')
output IDENTITY_PRINCIPAL_ID string = identity.outputs.principalId

@description('Vault to store the exchange keys in.')
output KEY_VAULT_NAME string = keyVault.outputs.name

@description('Logic App that sends the alerts.')
output ALERT_LOGIC_APP_NAME string = notifier.outputs.name

@description('Account that holds the state.')
output COSMOS_ENDPOINT string = cosmos.outputs.endpoint

@description('Namespace of the event streams.')
output EVENT_HUBS_NAMESPACE string = eventHubs.outputs.fullyQualifiedNamespace

@description('Registry that azd pushes images to; empty without streamer and training.')
output AZURE_CONTAINER_REGISTRY_ENDPOINT string = containerised
  ? containers!.outputs.registryEndpoint
  : ''

@description('Job that trains the models again; empty without training.')
output TRAINING_JOB_NAME string = training ? trainingJob!.outputs.name : ''

@description('Container app of the streamer; empty without streamer.')
output STREAMER_APP_NAME string = streamer ? streamerApp!.outputs.name : ''

@description('Address the exchange sees, to bind the API key to; empty without staticEgress.')
output EGRESS_ADDRESS string = staticEgress ? network!.outputs.egressAddress : ''

@description('Client id that a pipeline deploys with; empty without deployerSubject.')
output DEPLOYER_CLIENT_ID string = empty(deployerSubject) ? '' : deployer!.outputs.clientId

@description('Resource id of the Azure Machine Learning workspace; empty without automl.')
output AUTOML_WORKSPACE_ID string = automl ? machineLearning!.outputs.id : ''

@description('Its compute cluster; empty without automl.')
output AUTOML_COMPUTE string = automl ? machineLearning!.outputs.computeName : ''
