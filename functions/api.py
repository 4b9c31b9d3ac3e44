"""Reading the state of the application."""

from datetime import UTC, datetime
from typing import Any

import azure.functions as func

from functions.durable import df
from functions.http import answers, reply
from shared.bootstrap import services
from shared.errors import InvalidInput

bp = df.Blueprint()

#: Rows per page.
PAGE = 100


@bp.route(route="health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@answers
def health(req: func.HttpRequest) -> Any:
    """Whether the application can trade; 503 when it cannot. Names no figure of the account."""
    from shared.health import check

    report = check(services())
    return reply(report, 200 if report["status"] == "ok" else 503)


@bp.route(route="status", methods=["GET"])
@answers
def status(req: func.HttpRequest) -> Any:
    """Equity, day, drawdown, kill switch, stage, limits."""
    from shared.portfolio.overview import overview

    return overview(services().viewing_desk())


@bp.route(route="dashboard", methods=["GET"])
@answers
def dashboard(req: func.HttpRequest) -> Any:
    """Everything the dashboard shows, in one answer."""
    return services().dashboard.snapshot()


@bp.route(route="equity", methods=["GET"])
@answers
def equity(req: func.HttpRequest) -> Any:
    """Realised equity after each of the last closed trades."""
    from shared.portfolio.equity import curve

    return curve(services().viewing_desk())


@bp.route(route="positions", methods=["GET"])
@answers
def positions(req: func.HttpRequest) -> Any:
    """Open positions as the exchange has them, with what we know about each."""
    from shared.portfolio.overview import open_positions

    return {"positions": open_positions(services().viewing_desk())}


@bp.route(route="orders", methods=["GET"])
@answers
def orders(req: func.HttpRequest) -> Any:
    """Orders of ours, newest first; ``?decision=ID`` for those of one decision."""
    where = [("decisionId", "=", req.params["decision"])] if "decision" in req.params else []
    return _page(req, "orders", services().settings.account_id, "createdAt", where)


@bp.route(route="trades", methods=["GET"])
@answers
def trades(req: func.HttpRequest) -> Any:
    """Closed round trips, newest first."""
    return _page(req, "trades", services().settings.account_id, "closedAt", [])


@bp.route(route="performance", methods=["GET"])
@answers
def performance(req: func.HttpRequest) -> Any:
    """Sharpe ratio, drawdown, win rate and the like of the closed trades, all or of a period."""
    from shared.research.performance import of_account

    return of_account(services().viewing_desk(), moment(req, "from"), moment(req, "to"))


@bp.route(route="signals", methods=["GET"])
@answers
def signals(req: func.HttpRequest) -> Any:
    """Signals or decisions (``?kind=decision``), newest first; of one symbol or of all."""
    known = services().settings.symbols
    symbol = req.params.get("symbol")
    kind = req.params.get("kind", "signal")
    if symbol is not None and symbol not in known:
        raise InvalidInput(f"unknown symbol {symbol!r}; use one of {', '.join(known)}")
    if kind not in ("signal", "decision"):
        raise InvalidInput(f"unknown kind {kind!r}; use signal or decision")
    where = [("kind", "=", kind)]
    if symbol is not None:
        return _page(req, "signals", symbol, "time", where)
    found = [row for s in known for row in _page(req, "signals", s, "time", where)["signals"]]
    found.sort(key=lambda row: (row["time"], row["id"]), reverse=True)
    return {"signals": found[: limit_of(req)], "continuation": None}


def moment(req: func.HttpRequest, name: str) -> int | None:
    """A date or time of the query in UTC milliseconds."""
    text = req.params.get(name)
    if text is None:
        return None
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(f"{name} is {text!r}; write 2026-01-31 or 2026-01-31T12:00") from None
    if not 1970 <= value.year <= 2999:
        raise InvalidInput(f"{name} is {text!r}; write a year from 1970 to 2999")
    return round((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp() * 1000)


def _page(
    req: func.HttpRequest,
    container: str,
    partition: str,
    order_by: str,
    where: list[tuple[str, Any, Any]],
) -> dict[str, Any]:
    from shared.storage.store import Where

    page = services().store.query(
        container,
        partition,
        where=[Where(*w) for w in where],
        order_by=order_by,
        descending=True,
        limit=limit_of(req),
        continuation=req.params.get("continuation") or None,
    )
    return {container: [d.body for d in page.documents], "continuation": page.continuation}


def limit_of(req: func.HttpRequest) -> int:
    """Rows of a page, as the query asks."""
    text = req.params.get("limit", str(PAGE))
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 1000:
        raise InvalidInput(f"limit is {text!r}; use a whole number from 1 to 1000")
    return int(text)
