metadata name = 'Alerts'
metadata description = 'Alert rules of the platform and the people they reach. They go out by mail from Azure Monitor itself, not through the app or its Logic App: they must arrive when those are what failed.'

@description('A rule over logs and metrics in the workspace. It fires when the number the query yields compares so with the threshold.')
type logRule = {
  @description('Name of the rule.')
  name: string

  @description('What it means and what to do.')
  description: string

  @description('0 is the gravest.')
  severity: 0 | 1 | 2 | 3

  @description('KQL. Rows are counted, or the column `value` is taken where `measured` is true.')
  query: string

  @description('Take the largest `value` of the rows and not their count.')
  measured: bool

  @description('How the figure compares with the threshold.')
  operator: 'GreaterThan' | 'LessThan'

  @description('The threshold.')
  threshold: int

  @description('How often the rule runs, ISO 8601.')
  every: string

  @description('Span of time that each run looks at, ISO 8601.')
  window: string
}

@description('Name of the action group.')
param actionGroupName string

@description('Stem of the rule names.')
param name string

@description('Azure region of the log rules.')
param location string

@description('Tags of every resource.')
param tags object

@description('Resource id of the workspace that the log rules query.')
param workspaceId string

@description('Address that is told.')
param email string

@description('Phone for text messages: country code and number separated by a dash, for example 49-1701234567. Empty: none.')
param phone string

@description('Seconds after which the newest closed candle is stale.')
@minValue(60)
param dataStaleSeconds int

@description('Resource id of the Cosmos DB account.')
param cosmosId string

@description('Resource id of the Event Hubs namespace.')
param eventHubsId string

@description('Resource id of the vault.')
param keyVaultId string

@description('Resource id of the alert Logic App.')
param notifierId string

resource group 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: actionGroupName
  location: 'global'
  tags: tags
  properties: {
    enabled: true
    groupShortName: 'borsa'
    emailReceivers: [{ name: 'operator', emailAddress: email, useCommonAlertSchema: true }]
    smsReceivers: empty(phone)
      ? []
      : [
          {
            name: 'operator-phone'
            countryCode: split(phone, '-')[0]
            phoneNumber: last(split(phone, '-'))
          }
        ]
  }
}

var logRules logRule[] = [
  {
    name: 'heartbeat-missing'
    description: 'The guardian has not completed a round. Stops rest on the exchange, but nobody trails, reconciles or watches. See docs/operations.md.'
    severity: 0
    query: 'AppMetrics | where Name == \'borsa.guardian.heartbeat\''
    measured: false
    operator: 'LessThan'
    threshold: 1
    every: 'PT5M'
    window: 'PT10M'
  }
  {
    name: 'position-unprotected'
    description: 'A position stands without a full live stop. The guardian protects or flattens it; look at the exchange yourself.'
    severity: 0
    query: 'AppMetrics | where Name == \'borsa.positions.unprotected\' | project TimeGenerated, value = Max'
    measured: true
    operator: 'GreaterThan'
    threshold: 0
    every: 'PT1M'
    window: 'PT5M'
  }
  {
    name: 'kill-switch-latched'
    description: 'The kill switch is latched; nothing opens until a person clears it with the second factor and a reason.'
    severity: 1
    query: 'AppMetrics | where Name == \'borsa.kill_switch.latched\' | project TimeGenerated, value = Max'
    measured: true
    operator: 'GreaterThan'
    threshold: 0
    every: 'PT5M'
    window: 'PT5M'
  }
  {
    name: 'data-stale'
    description: 'The newest closed candle of a symbol is too old; no new exposure is opened on stale data.'
    severity: 1
    // Per minute and symbol the youngest time frame counts: an hourly candle is old by nature.
    query: 'AppMetrics | where Name == \'borsa.data.age\' | extend symbol = tostring(Properties.symbol) | summarize value = min(Min) by symbol, bin(TimeGenerated, 5m)'
    measured: true
    operator: 'GreaterThan'
    threshold: dataStaleSeconds
    every: 'PT5M'
    window: 'PT15M'
  }
  {
    name: 'order-outcome-unknown'
    description: 'Orders of unknown outcome: the exchange answered neither yes nor no. The app queries them; check that it came to a result.'
    severity: 1
    query: 'AppMetrics | where Name == \'borsa.orders\' and tostring(Properties.outcome) == \'unknown\''
    measured: false
    operator: 'GreaterThan'
    threshold: 0
    every: 'PT5M'
    window: 'PT15M'
  }
  {
    name: 'function-failures'
    description: 'Functions fail repeatedly. See the failures view of Application Insights.'
    severity: 2
    query: 'AppRequests | where Success == false | where toint(ResultCode) !between (400 .. 499)'
    measured: false
    operator: 'GreaterThan'
    threshold: 5
    every: 'PT5M'
    window: 'PT15M'
  }
  {
    name: 'exceptions'
    description: 'Exceptions were recorded. See the failures view of Application Insights.'
    severity: 2
    query: 'AppExceptions'
    measured: false
    operator: 'GreaterThan'
    threshold: 10
    every: 'PT5M'
    window: 'PT15M'
  }
]

resource logAlerts 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [
  for rule in logRules: {
    name: '${name}-${rule.name}'
    location: location
    tags: tags
    kind: 'LogAlert'
    properties: {
      displayName: 'Borsa: ${replace(rule.name, '-', ' ')}'
      description: rule.description
      severity: rule.severity
      enabled: true
      scopes: [workspaceId]
      evaluationFrequency: rule.every
      windowSize: rule.window
      // The first deployment creates the rules before the first row has arrived.
      skipQueryValidation: true
      autoMitigate: true
      criteria: {
        allOf: [
          union(
            {
              query: rule.query
              operator: rule.operator
              threshold: rule.threshold
              timeAggregation: rule.measured ? 'Maximum' : 'Count'
              failingPeriods: { numberOfEvaluationPeriods: 1, minFailingPeriodsToAlert: 1 }
            },
            rule.measured ? { metricMeasureColumn: 'value' } : {}
          )
        ]
      }
      actions: { actionGroups: [group.id] }
    }
  }
]

@description('A condition over a platform metric.')
type condition = {
  @description('Name of the metric.')
  metric: string

  @description('How the metric is aggregated.')
  aggregation: 'Total' | 'Count' | 'Average' | 'Maximum'

  @description('How it compares with the threshold.')
  operator: 'GreaterThan' | 'LessThanOrEqual'

  @description('The threshold.')
  threshold: int

  @description('Dimension to look at.')
  dimension: string?

  @description('Values of that dimension.')
  values: string[]?
}

@description('A rule over platform metrics; all conditions must hold.')
type metricRule = {
  @description('Name of the rule.')
  name: string

  @description('What it means and what to do.')
  description: string

  @description('0 is the gravest.')
  severity: 0 | 1 | 2 | 3

  @description('Resource whose metrics are looked at.')
  scope: string

  @description('Namespace of the metrics.')
  namespace: string

  @description('Span of time, ISO 8601.')
  window: string

  @description('What must hold.')
  conditions: condition[]
}

var metricRules metricRule[] = [
  {
    name: 'cosmos-throttled'
    description: 'Cosmos DB answers 429. State writes are retried, but decisions slow down: raise the throughput.'
    severity: 2
    scope: cosmosId
    namespace: 'Microsoft.DocumentDB/databaseAccounts'
    window: 'PT5M'
    conditions: [
      {
        metric: 'TotalRequests'
        aggregation: 'Count'
        operator: 'GreaterThan'
        threshold: 10
        dimension: 'StatusCode'
        values: ['429']
      }
    ]
  }
  {
    name: 'market-not-consumed'
    description: 'Market events arrive and nobody reads them: the trader consumer is down or cannot scale.'
    severity: 1
    scope: eventHubsId
    namespace: 'Microsoft.EventHub/namespaces'
    window: 'PT15M'
    conditions: [
      {
        metric: 'IncomingMessages'
        aggregation: 'Total'
        operator: 'GreaterThan'
        threshold: 0
        dimension: 'EntityName'
        values: ['market']
      }
      {
        metric: 'OutgoingMessages'
        aggregation: 'Total'
        operator: 'LessThanOrEqual'
        threshold: 0
        dimension: 'EntityName'
        values: ['market']
      }
    ]
  }
  {
    name: 'event-hubs-throttled'
    description: 'Event Hubs throttles; events are late. Raise the throughput units.'
    severity: 2
    scope: eventHubsId
    namespace: 'Microsoft.EventHub/namespaces'
    window: 'PT5M'
    conditions: [
      { metric: 'ThrottledRequests', aggregation: 'Total', operator: 'GreaterThan', threshold: 0 }
    ]
  }
  {
    name: 'key-vault-denied'
    description: 'Somebody without the right asked the vault for a secret, or the app lost its role.'
    severity: 1
    scope: keyVaultId
    namespace: 'Microsoft.KeyVault/vaults'
    window: 'PT5M'
    conditions: [
      {
        metric: 'ServiceApiResult'
        aggregation: 'Count'
        operator: 'GreaterThan'
        threshold: 0
        dimension: 'StatusCode'
        // 401 is the first half of every ordinary token exchange.
        values: ['403']
      }
    ]
  }
  {
    name: 'notifier-failed'
    description: 'The Logic App could not deliver an alert by mail or Telegram.'
    severity: 1
    scope: notifierId
    namespace: 'Microsoft.Logic/workflows'
    window: 'PT5M'
    conditions: [
      { metric: 'RunsFailed', aggregation: 'Total', operator: 'GreaterThan', threshold: 0 }
    ]
  }
]

resource metricAlerts 'Microsoft.Insights/metricAlerts@2026-01-01' = [
  for rule in metricRules: {
    name: '${name}-${rule.name}'
    location: 'global'
    tags: tags
    properties: {
      description: rule.description
      severity: rule.severity
      enabled: true
      scopes: [rule.scope]
      evaluationFrequency: 'PT1M'
      windowSize: rule.window
      autoMitigate: true
      criteria: {
        'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
        allOf: [
          for c in rule.conditions: {
            criterionType: 'StaticThresholdCriterion'
            name: toLower(c.metric)
            metricNamespace: rule.namespace
            metricName: c.metric
            timeAggregation: c.aggregation
            operator: c.operator
            threshold: c.threshold
            dimensions: c.?dimension == null
              ? []
              : [{ name: c.dimension!, operator: 'Include', values: c.values! }]
          }
        ]
      }
      actions: [{ actionGroupId: group.id }]
    }
  }
]

@description('Resource id of the action group.')
output actionGroupId string = group.id
