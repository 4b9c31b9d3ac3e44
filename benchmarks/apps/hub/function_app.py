"""The smallest app that uses everything a hop costs: for benchmarks/task_hub.py."""

from typing import Any

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route(route="hello")
def hello(req: func.HttpRequest) -> func.HttpResponse:
    """A trivial HTTP function."""
    return func.HttpResponse("hello")


@app.orchestration_trigger(context_name="context")
def nothing(context: df.DurableOrchestrationContext) -> Any:
    """Ends at once."""
    return "done"
    yield  # an orchestrator is a generator


@app.orchestration_trigger(context_name="context")
def chain(context: df.DurableOrchestrationContext) -> Any:
    """Three activities, one after the other."""
    number = 0
    for _ in range(3):
        number = yield context.call_activity("increase", number)
    return number


@app.orchestration_trigger(context_name="context")
def fan_out(context: df.DurableOrchestrationContext) -> Any:
    """Five activities at once."""
    numbers = yield context.task_all([context.call_activity("increase", n) for n in range(5)])
    return sum(numbers)


@app.activity_trigger(input_name="number")
def increase(number: int) -> int:
    """One more."""
    return number + 1
