"""Parameters of the deployments that the tests predict."""

SECRETS = {
    "binanceApiKey": "a-key-that-must-not-be-seen",
    "binanceApiSecret": "a-secret-that-must-not-be-seen",
    "totpSecret": "a-seed-that-must-not-be-seen",
    "telegramBotToken": "a-token-that-must-not-be-seen",
}
MINIMAL = {
    "environmentName": "test",
    "location": "westeurope",
    "alertEmail": "operator@example.com",
}
#: The streamer with all that it can be given.
STREAMING = {
    **MINIMAL,
    "streamer": True,
    "streamerStreams": "klines,bookTicker,userData",
    "streamerImage": "registry.example/streamer:1",
    "staticEgress": True,
}
#: The training job alone, with its image.
TRAINING = {
    **MINIMAL,
    "training": True,
    "trainingImage": "registry.example/training:1",
    "trainingSchedule": "0 3 1 * *",
    "trainingModels": "gru,xgboost",
    "modelDrift": "on",
}
#: The workspace for AutoML, made by a person.
SEARCHING = {
    **MINIMAL,
    "automl": True,
    "principalId": "11111111-1111-1111-1111-111111111111",
}
FULL = {
    **MINIMAL,
    **SECRETS,
    "alertPhone": "49-1701234567",
    "telegramChatId": "4711",
    "principalId": "11111111-1111-1111-1111-111111111111",
    "staticEgress": True,
    "monthlyBudget": 100,
    "budgetStartDate": "2026-12-01",
    "cosmosCapacityMode": "Autoscale",
    "cosmosSecondaryLocation": "northeurope",
    "cosmosConsistency": "BoundedStaleness",
    "allowedCallers": "203.0.113.0/24,198.51.100.7/32",
    "signalRSku": "Standard_S1",
    "schedulerSku": "Dedicated",
    "alwaysReadyInstances": 0,
}
