"""The function app: registers the blueprints, nothing else."""

import azure.functions as func

from functions import (
    api,
    approvals,
    assistant,
    charts,
    compliance,
    documents,
    drift,
    events,
    guardian,
    incidents,
    market,
    models,
    operations,
    records,
    reports,
    research,
    risk,
    safety,
    sentiment,
    stage,
    trading,
    watch,
    web,
)
from functions.durable import df

app = df.DFApp(http_auth_level=func.AuthLevel.FUNCTION)

for module in (
    market,
    trading,
    approvals,
    guardian,
    watch,
    safety,
    events,
    api,
    reports,
    research,
    models,
    charts,
    assistant,
    sentiment,
    documents,
    drift,
    risk,
    stage,
    compliance,
    records,
    operations,
    incidents,
    web,
):
    app.register_functions(module.bp)
