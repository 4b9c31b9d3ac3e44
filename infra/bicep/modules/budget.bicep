metadata name = 'Budget'
metadata description = 'Optional: mails when the month\'s bill of this resource group nears its budget.'

@description('Name of the budget.')
param name string

@description('Amount per month in the billing currency.')
param amount int

@description('First day of a month from which the budget counts, yyyy-MM-01; Azure refuses months that are over.')
param startDate string

@description('Address that is told.')
param email string

resource budget 'Microsoft.Consumption/budgets@2024-08-01' = {
  name: name
  properties: {
    category: 'Cost'
    amount: amount
    timeGrain: 'Monthly'
    timePeriod: { startDate: startDate }
    notifications: {
      forecastExceeded: {
        enabled: true
        operator: 'GreaterThan'
        threshold: 100
        thresholdType: 'Forecasted'
        contactEmails: [email]
      }
      nearlySpent: {
        enabled: true
        operator: 'GreaterThan'
        threshold: 80
        thresholdType: 'Actual'
        contactEmails: [email]
      }
    }
  }
}
