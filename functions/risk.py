"""The risk of the whole portfolio, and stress tests of it."""

from decimal import Decimal, InvalidOperation
from typing import Any

import azure.functions as func
import msgspec

from functions.durable import df
from functions.http import answers, read
from shared.bootstrap import services
from shared.errors import InvalidInput

bp = df.Blueprint()


class StressRequest(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """Built-in scenarios by id, a scenario of one's own, or both; nothing: all built-in ones."""

    scenarios: list[str] = []
    shocks: dict[str, Decimal] = {}
    market: Decimal | None = None
    stop_gap: Decimal | None = None


@bp.route(route="risk", methods=["GET"])
@answers
def risk(req: func.HttpRequest) -> Any:
    """Value at risk, expected shortfall, clusters, heat and heat map of the portfolio now."""
    from shared.portfolio.risk_report import SEED, report

    return report(
        services().viewing_desk(),
        confidence=_decimal(req, "confidence"),
        horizon_days=_whole(req, "horizon", None),
        seed=_whole(req, "seed", SEED) or 0,
    )


@bp.route(route="risk/stress", methods=["POST"])
@answers
def stress(req: func.HttpRequest) -> Any:
    """What crashes of the past, or shocks of one's own, would do to the portfolio now."""
    from shared.portfolio.stress_report import report
    from shared.risk.scenarios import asked, chosen

    body = read(req, StressRequest)
    own = [asked(body.shocks, body.market)] if body.shocks or body.market is not None else []
    built_in = chosen(tuple(body.scenarios)) if body.scenarios or not own else ()
    return report(services().viewing_desk(), [*own, *built_in], body.stop_gap)


def _decimal(req: func.HttpRequest, name: str) -> Decimal | None:
    text = req.params.get(name)
    if text is None:
        return None
    try:
        return Decimal(text)
    except InvalidOperation:
        raise InvalidInput(f"{name} is {text!r}; use a number") from None


def _whole(req: func.HttpRequest, name: str, default: int | None) -> int | None:
    text = req.params.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise InvalidInput(f"{name} is {text!r}; use a whole number")
    return int(text)
