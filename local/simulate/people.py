"""People on the other side: somebody who trades by hand on the account, and who approves trades."""

from __future__ import annotations

import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from local.simulate.judge import Judge
from shared.errors import BorsaError
from shared.simulation.orders import NewAlgoOrder, NewOrder
from shared.simulation.venue import MAIN, Venue
from shared.storage.store import Store

#: Listed at the venue, traded by hand only.
BY_HAND = "ALGOUSDT"


class Stranger:
    """Trades by hand: resting orders anywhere, positions in a symbol of their own.

    Parameters
    ----------
    seed : str
    venue : Venue
    judge : Judge
        Told every order, so that it can see who touches what.
    symbols : tuple of str
        Where the application trades.
    """

    def __init__(self, seed: str, venue: Venue, judge: Judge, symbols: tuple[str, ...]) -> None:
        self._seed = seed
        self._venue = venue
        self._account = venue.account(MAIN)
        self._judge = judge
        self._symbols = (*symbols, BY_HAND)
        self._count = 0
        self.acts = 0

    def act(self, step: int) -> None:
        """Do one thing, whatever the seed says."""
        draw = random.Random(f"stranger|{self._seed}|{step}")
        what = draw.choice(("rest", "stop", "open", "open", "open", "close", "cancel"))
        try:
            getattr(self, f"_{what}")(draw)
            self.acts += 1
        except BorsaError:
            # The venue refuses people as well.
            pass

    def leave(self) -> None:
        """Cancel and close everything of one's own."""
        with self._judge.by_hand():
            for book in list(self._account.open_orders.values()):
                for order in list(book.values()):
                    if order.client_order_id in self._judge.foreign:
                        self._venue.cancel_order(self._account, order)
            for algos in list(self._account.open_algos.values()):
                for algo in list(algos.values()):
                    if algo.client_algo_id in self._judge.foreign:
                        self._venue.cancel_algo_order(self._account, algo)
            self._close(random.Random(0))

    def _name(self) -> str:
        self._count += 1
        name = f"hand-{self._count}"
        self._judge.foreign.add(name)
        return name

    def _price(self, symbol: str, factor: str) -> Decimal:
        contract = self._venue.core.contract(symbol)
        tick = contract.instrument.tick_size
        raw = Decimal(str(self._venue.core.mark_price(symbol))) * Decimal(factor)
        return (raw / tick).to_integral_value() * tick

    def _quantity(self, symbol: str, usdt: int) -> Decimal:
        instrument = self._venue.core.contract(symbol).instrument
        return instrument.round_quantity(usdt / self._price(symbol, "1"))

    def _rest(self, draw: random.Random) -> None:
        symbol = draw.choice(self._symbols)
        buy = draw.random() < 0.5
        self._venue.place_order(
            self._account,
            NewOrder(
                symbol=symbol,
                side="BUY" if buy else "SELL",
                type="LIMIT",
                quantity=self._quantity(symbol, 200),
                price=self._price(symbol, "0.75" if buy else "1.3"),
                client_order_id=self._name(),
            ),
        )

    def _stop(self, draw: random.Random) -> None:
        symbol = draw.choice(self._symbols)
        buy = draw.random() < 0.5
        self._venue.place_algo_order(
            self._account,
            NewAlgoOrder(
                symbol=symbol,
                side="BUY" if buy else "SELL",
                type="STOP_MARKET",
                quantity=self._quantity(symbol, 200),
                trigger_price=self._price(symbol, "1.35" if buy else "0.7"),
                client_algo_id=self._name(),
            ),
        )

    def _open(self, draw: random.Random) -> None:
        side = draw.choice(("BUY", "SELL"))
        self._trade(side, self._quantity(BY_HAND, draw.choice((60, 150, 300))))

    def _close(self, draw: random.Random) -> None:
        held = self._judge.held(BY_HAND)
        if held:
            self._trade("SELL" if held > 0 else "BUY", abs(held), reduce_only=True)

    def _trade(self, side: str, quantity: Decimal, *, reduce_only: bool = False) -> None:
        with self._judge.by_hand():
            self._venue.place_order(
                self._account,
                NewOrder(
                    symbol=BY_HAND,
                    side=side,
                    type="MARKET",
                    quantity=quantity,
                    reduce_only=reduce_only,
                    client_order_id=self._name(),
                ),
            )

    def _cancel(self, draw: random.Random) -> None:
        mine = [
            order
            for book in self._account.open_orders.values()
            for order in book.values()
            if order.client_order_id in self._judge.foreign
        ]
        if mine:
            with self._judge.by_hand():
                self._venue.cancel_order(self._account, draw.choice(mine))


class Approver:
    """Answers requests for approval: yes, no, late, twice, wrongly, or not at all.

    Parameters
    ----------
    post : callable
        One HTTP request to the application: target and body to the status, ``None`` when the
        process died meanwhile.
    """

    def __init__(
        self,
        seed: str,
        store: Store,
        judge: Judge,
        post: Callable[[str, dict[str, Any]], int | None],
    ) -> None:
        self._seed = seed
        self._store = store
        self._judge = judge
        self._post = post
        self._seen: set[str] = set()

    def look(self, now: int) -> None:
        """Answer what has come in."""
        page = self._store.query("approvals", "main", limit=1000)
        for body in [d.body for d in page.documents]:
            if body["state"] == "pending" and body["id"] not in self._seen:
                self._answer(body, now)

    def _answer(self, body: dict[str, Any], now: int) -> None:
        draw = random.Random(f"approver|{self._seed}|{body['id']}")
        if now < body["requestedAt"] + draw.choice((0, 0, 5_000, 15_000)):
            return
        self._seen.add(body["id"])
        what = draw.choices(("approve", "reject", "silence", "wrong"), (60, 15, 15, 10))[0]
        if what == "silence":
            return
        answer = {"decision": "reject" if what == "reject" else "approve", "operator": "ada"}
        nonce = "0" * 24 if what == "wrong" else body["nonce"]
        verdicts = self._judge.verdicts
        if what == "approve":
            verdicts[body["id"]] = "sent"
        for _ in range(draw.choice((1, 1, 2))):
            status = self._post(f"/api/approvals/{body['id']}", {**answer, "nonce": nonce})
            if status == 200 and what == "wrong":
                self._judge.broken(11, f"{body['id']} approved with a wrong nonce", now)
            if status == 200 and what == "reject":
                verdicts[body["id"]] = "rejected"
