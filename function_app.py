"""The function app: registers the blueprints, nothing else."""

import os

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
    session,
    stage,
    trading,
    watch,
    web,
)
from functions.durable import df

app = df.DFApp(http_auth_level=func.AuthLevel.FUNCTION)

BLUEPRINTS = (
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
    session,
)

for module in BLUEPRINTS:
    app.register_functions(module.bp)

if os.environ.get("ACCESS", "").strip() == "entra":
    from functions.people import people

    app.register_functions(people(BLUEPRINTS))
