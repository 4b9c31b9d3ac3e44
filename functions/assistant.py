"""Questions to a language model about account and market. It reads and cannot act."""

from typing import Annotated, Any

import azure.functions as func
import msgspec
from msgspec import Meta

from functions.durable import df
from functions.http import answers, read
from shared.bootstrap import services
from shared.errors import ConfigurationError, InvalidInput
from shared.intelligence.conversation import Turn

bp = df.Blueprint()


class ChatRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The conversation so far; the last turn is the question."""

    messages: Annotated[list[Turn], Meta(min_length=1, max_length=20)]


class AnalysisRequest(msgspec.Struct, forbid_unknown_fields=True):
    """On which bars; by default the first of those that are traded."""

    timeframe: str = ""


@bp.route(route="assistant", methods=["GET"])
@answers
def assistant(req: func.HttpRequest) -> Any:
    """Whether a language model is configured, which, and what it has used up today."""
    opinions = services().opinions
    problem = ""
    try:
        opinions.llm.ready()
    except ConfigurationError as error:
        problem = str(error)
    return {
        "ready": not problem,
        "problem": problem,
        "provider": opinions.llm.provider,
        "model": opinions.llm.config.model,
        "spent": opinions.llm_budget.spent(),
    }


@bp.route(route="assistant/chat", methods=["POST"])
@answers
def chat(req: func.HttpRequest) -> Any:
    """A model's answer, with its name and the figures it was given."""
    asked = read(req, ChatRequest).messages
    if asked[-1].role != "user":
        raise InvalidInput("the last message must be one of role user: the question")
    opinions = services().opinions
    opinions.llm.ready()
    with opinions.llm_turn():
        return opinions.assistant.chat(asked)


@bp.route(route="analysis/{symbol}", methods=["POST"])
@answers
def analyse(req: func.HttpRequest) -> Any:
    """A model's opinion of a market, with the figures it was given."""
    now = services()
    symbol = req.route_params["symbol"]
    timeframe = read(req, AnalysisRequest).timeframe or now.settings.timeframes[0]
    if symbol not in now.settings.symbols:
        raise InvalidInput(
            f"unknown symbol {symbol!r}; use one of {', '.join(now.settings.symbols)}"
        )
    if timeframe not in now.settings.timeframes:
        raise InvalidInput(
            f"{timeframe!r} is not traded; use one of {', '.join(now.settings.timeframes)}"
        )
    now.opinions.llm.ready()
    with now.opinions.llm_turn():
        return now.opinions.assistant.analyse(symbol, timeframe)
