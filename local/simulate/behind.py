"""Every view of a symbol stays as it was before its entry, for up to two minutes.

The order, the open orders, the positions, the balances' list of them and the fills: all agree, and
none of them shows what the matching engine has done meanwhile.
"""

from __future__ import annotations

import json
from random import Random

from local.exchange.faults import ApiRequest, ApiResponse, error_answer

#: For how long, milliseconds, from and to; each span is as likely. After the first one a look-up
#: that finds nothing comes too early to be believed by anybody.
SPANS = ((500, 4_000), (4_000, 15_000), (15_000, 60_000), (60_000, 120_000))

_LISTS = ("positionRisk", "userTrades", "openOrders", "openAlgoOrders", "allOrders")
_SINGLE = ("order", "algoOrder", "openOrder")


def span_ms(draw: Random) -> int:
    """How long the views stay behind."""
    return draw.randint(*draw.choice(SPANS))


class Behind:
    """What is hidden at present."""

    def __init__(self) -> None:
        self._until: dict[str, int] = {}

    def hold(self, symbol: str, until: int) -> None:
        """From now on nothing of a symbol is shown; it was free before."""
        self._until[symbol] = until

    def serve(self, request: ApiRequest, response: ApiResponse) -> ApiResponse:
        """The answer to a query as a view that is behind gives it."""
        if not self._until:
            return response
        hidden = {s for s, until in self._until.items() if request.time < until}
        name = request.path.rsplit("/", 1)[-1]
        if not hidden or request.method != "GET" or response.status != 200:
            return response
        if name in _LISTS:
            rows = [r for r in json.loads(response.body) if r.get("symbol") not in hidden]
            return ApiResponse(200, response.headers, json.dumps(rows).encode())
        if name in _SINGLE and json.loads(response.body).get("symbol") in hidden:
            return error_answer(400, -2013, "Order does not exist.")
        if name == "account":
            body = json.loads(response.body)
            body["positions"] = [p for p in body["positions"] if p["symbol"] not in hidden]
            return ApiResponse(200, response.headers, json.dumps(body).encode())
        return response
