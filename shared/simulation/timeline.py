"""Moving time: everything due happens at the moment the path makes it due, in order.

Nothing is simulated that cannot happen. Without positions and working orders time just passes;
otherwise a bar is entered only when its extremes reach some level that is watched (a trigger, a
resting price, a liquidation). Inside a bar all prices are straight between the same anchors, so
the next event is found directly, to the millisecond.

At one instant liquidations come first, then triggers, then resting orders: the worst case for us.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import NamedTuple

from shared.simulation import conditional, liquidation, margin, matching
from shared.simulation.account import AccountState
from shared.simulation.balances import liquidation_price
from shared.simulation.core import VenueCore
from shared.simulation.funding import settle_funding
from shared.simulation.link import set_status
from shared.simulation.orders import AlgoOrder, Order, Position

_NEVER = 1 << 62
_LIQUIDATION, _TRIGGER, _REST = 0, 1, 2


class _Watch(NamedTuple):
    """A price level at which something happens."""

    rank: int
    mark: bool
    falls: bool
    level: float
    account: AccountState
    record: Order | AlgoOrder | Position


class _Bounds:
    """Prices of one symbol between which nothing happens."""

    __slots__ = ("last_high", "last_low", "mark_high", "mark_low")

    def __init__(self) -> None:
        self.last_low = self.mark_low = -math.inf
        self.last_high = self.mark_high = math.inf

    def narrow(self, watch: _Watch) -> None:
        if watch.mark:
            if watch.falls:
                self.mark_low = max(self.mark_low, watch.level)
            else:
                self.mark_high = min(self.mark_high, watch.level)
        elif watch.falls:
            self.last_low = max(self.last_low, watch.level)
        else:
            self.last_high = min(self.last_high, watch.level)


class _Event(NamedTuple):
    time: int
    rank: int
    account: AccountState
    record: Order | AlgoOrder | Position | None


class Timeline:
    """Advances one venue."""

    def __init__(self, core: VenueCore) -> None:
        self._core = core
        self._version = -1
        self._watches: dict[str, list[_Watch]] = {}
        self._bounds: dict[str, _Bounds] = {}
        self._trailing: list[tuple[AccountState, AlgoOrder]] = []
        self._cross: list[AccountState] = []
        self._timer = _NEVER

    def advance(self, to_ms: int) -> None:
        """Let time pass until ``to_ms``; a time not in the future changes nothing."""
        core = self._core
        length = core.bar_ms
        while core.now < to_ms:
            self._refresh()
            stop = min(to_ms, max(self._timer, core.now))
            if not self._watches:
                core.now = stop
            else:
                last = core.now - core.now % length + length - 1
                if core.now == last and stop > core.now:
                    core.now += 1
                    last += length
                until = min(stop, last)
                if self._is_quiet():
                    core.now = until
                else:
                    self._run(until)
            if self._timer <= core.now:
                self._fire()

    # what is watched

    def _refresh(self) -> None:
        core = self._core
        if self._version == core.version:
            return
        self._version = core.version
        self._watches, self._bounds, self._trailing, self._cross = {}, {}, [], []
        self._timer = _NEVER
        for account in core.accounts.values():
            if account.is_idle():
                continue
            # In an order that does not change with the hash of a name: what is due at one moment
            # comes in the same order in every process.
            for symbol in sorted(account.symbols()):
                self._watch_symbol(account, symbol)
            if any(not account.setting(s).isolated for s, _ in account.positions):
                self._cross.append(account)
            for deadline in account.countdowns.values():
                self._timer = min(self._timer, deadline)
        for symbol, watches in self._watches.items():
            bounds = self._bounds[symbol] = _Bounds()
            for watch in watches:
                bounds.narrow(watch)

    def _watch_symbol(self, account: AccountState, symbol: str) -> None:
        core = self._core
        watches = self._watches.setdefault(symbol, [])
        positions = account.positions_of(symbol)
        if positions:
            due = core.source.next_settlement(symbol, core.now).time
            self._timer = min(self._timer, due)
            if account.setting(symbol).isolated:
                for position in positions:
                    price = liquidation_price(core, account, position)
                    if price > 0:
                        long = position.quantity > 0
                        level = float(price)
                        watches.append(_Watch(_LIQUIDATION, True, long, level, account, position))
        tick = core.contract(symbol).tick
        for order in account.working_orders(symbol):
            buy = order.side == "BUY"
            # Last in the queue: the price has to go through ours. Half a tick is room for floats.
            through = float(order.price) + (-0.5 if buy else 0.5) * tick
            watches.append(_Watch(_REST, False, buy, through, account, order))
            if order.good_till:
                self._timer = min(self._timer, order.good_till)
        for algo in account.working_algos(symbol):
            if algo.good_till:
                self._timer = min(self._timer, algo.good_till)
            if algo.type == conditional.TRAILING:
                self._trailing.append((account, algo))
                continue
            on_mark = algo.working_type == "MARK_PRICE"
            level = float(algo.trigger_price)
            watches.append(_Watch(_TRIGGER, on_mark, conditional.falls(algo), level, account, algo))

    def _is_quiet(self) -> bool:
        """Whether nothing can happen in the bar that contains now."""
        core = self._core
        if self._trailing:
            return False
        start = core.now - core.now % core.bar_ms
        bar_of = core.source.bar
        for symbol, bounds in self._bounds.items():
            bar = bar_of(symbol, start)
            if (
                bar.low <= bounds.last_low
                or bar.high >= bounds.last_high
                or bar.mark_low <= bounds.mark_low
                or bar.mark_high >= bounds.mark_high
            ):
                return False
        return all(self._survives(account, start) for account in self._cross)

    def _survives(self, account: AccountState, start: int) -> bool:
        """Whether a cross account is margined even if every position meets its extreme at once."""
        balance = float(account.cross_wallet)
        for position in account.positions.values():
            if account.setting(position.symbol).isolated:
                continue
            bar = self._core.source.bar(position.symbol, start)
            quantity = float(position.quantity)
            adverse = bar.mark_low if quantity > 0 else bar.mark_high
            balance += quantity * (adverse - float(position.entry_price))
            balance -= self._maintenance(position, bar.mark_high)
        return balance > 0

    def _maintenance(self, position: Position, mark: float) -> float:
        notional = Decimal(abs(float(position.quantity)) * mark)
        return float(margin.maintenance(self._core.contract(position.symbol), notional))

    # inside a bar

    def _run(self, until: int) -> None:
        core = self._core
        third = core.bar_ms // 3
        while True:
            self._refresh()
            if not self._watches:
                core.now = until
                return
            until = min(until, max(self._timer, core.now))
            start = core.now - core.now % core.bar_ms
            anchors = (start + third, start + 2 * third, start + core.bar_ms - 1)
            end = min(until, next((t for t in anchors if t > core.now), until))
            event = self._next_event(end)
            moment = event.time if event else end
            self._follow(core.now, moment)
            core.now = moment
            if event is not None:
                self._happen(event)
            elif end >= until:
                return

    def _next_event(self, end: int) -> _Event | None:
        core = self._core
        now = core.now
        best: _Event | None = None
        for symbol, watches in self._watches.items():
            path = core.path(symbol)
            a, b = path.at(now), path.at(end)
            for watch in watches:
                record = watch.record
                if isinstance(record, Order) and record.resume_at > now:
                    continue
                at = _crossing(watch.level, watch.falls, a[watch.mark], b[watch.mark], now, end)
                if at is not None and (best is None or (at, watch.rank) < best[:2]):
                    best = _Event(at, watch.rank, watch.account, record)
        for account, algo in self._trailing:
            path = core.path(algo.symbol)
            on_mark = algo.working_type == "MARK_PRICE"
            at = _trail_crossing(algo, path.at(now)[on_mark], path.at(end)[on_mark], now, end)
            if at is not None and (best is None or (at, _TRIGGER) < best[:2]):
                best = _Event(at, _TRIGGER, account, algo)
        for account in self._cross:
            at = self._cross_crossing(account, now, end)
            if at is not None and (best is None or (at, _LIQUIDATION) < best[:2]):
                best = _Event(at, _LIQUIDATION, account, None)
        return best

    def _cross_crossing(self, account: AccountState, now: int, end: int) -> int | None:
        """When a cross account falls to its maintenance margin; it is concave between anchors."""
        if self._surplus(account, now) <= 0:
            return now
        if self._surplus(account, end) > 0:
            return None
        good, bad = now, end
        while bad - good > 1:
            middle = (good + bad) // 2
            if self._surplus(account, middle) <= 0:
                bad = middle
            else:
                good = middle
        return bad

    def _surplus(self, account: AccountState, at: int) -> float:
        surplus = float(account.cross_wallet)
        for position in account.positions.values():
            if account.setting(position.symbol).isolated:
                continue
            mark = self._core.path(position.symbol).at(at)[1]
            surplus += float(position.quantity) * (mark - float(position.entry_price))
            surplus -= self._maintenance(position, mark)
        return surplus

    def _follow(self, start: int, end: int) -> None:
        """Let trailing orders see the prices between two moments (monotone in between)."""
        core = self._core
        for account, algo in self._trailing:
            path = core.path(algo.symbol)
            on_mark = algo.working_type == "MARK_PRICE"
            before = (algo.activated, algo.extreme)
            activated = False
            for moment in (start, end):
                activated |= conditional.follow(algo, path.at(moment)[on_mark])
            if (algo.activated, algo.extreme) != before:
                account.touch_algo(algo)
            if activated:
                core.emit_algo(account, algo)

    def _happen(self, event: _Event) -> None:
        core, account, record = self._core, event.account, event.record
        if record is None:
            liquidation.liquidate_cross(core, account)
        elif isinstance(record, Position):
            liquidation.liquidate_isolated(core, account, record)
        elif isinstance(record, AlgoOrder):
            conditional.trigger(core, account, record)
        else:
            matching.meet(core, account, record)

    # what is due at a time

    def _fire(self) -> None:
        """Funding first, then expiries and countdowns, for all that is due now."""
        core = self._core
        due = {
            symbol
            for account in core.accounts.values()
            for symbol, _ in account.positions
            if core.source.next_settlement(symbol, core.now - 1).time == core.now
        }
        for symbol in sorted(due):
            settle_funding(core, symbol, core.source.next_settlement(symbol, core.now - 1).rate)
        for account in core.accounts.values():
            for symbol in list(account.open_orders):
                for order in account.working_orders(symbol):
                    if order.good_till and order.good_till <= core.now:
                        matching.expire(core, account, order, 0)
            for symbol in list(account.open_algos):
                for algo in account.working_algos(symbol):
                    if algo.good_till and algo.good_till <= core.now:
                        set_status(core, account, algo, "EXPIRED")
            for symbol, deadline in list(account.countdowns.items()):
                if deadline <= core.now:
                    del account.countdowns[symbol]
                    account.dirty["countdown", symbol] = None
                    for order in account.working_orders(symbol):
                        matching.cancel(core, account, order)
        core.changed()


def _crossing(level: float, falls: bool, a: float, b: float, start: int, end: int) -> int | None:
    """First millisecond in ``[start, end]`` at which a straight price satisfies a level."""
    if a <= level if falls else a >= level:
        return start
    if not (b <= level if falls else b >= level):
        return None
    return min(end, start + math.ceil((level - a) / (b - a) * (end - start)))


def _trail_crossing(algo: AlgoOrder, a: float, b: float, start: int, end: int) -> int | None:
    """When a trailing order triggers on a straight price."""
    probe = _Probe(algo)
    probe.see(a)
    level = probe.level()
    if level is None:
        return None
    return _crossing(level, algo.side == "SELL", a, b, start, end)


class _Probe:
    """A trailing order's state after a further price, without changing the order."""

    __slots__ = ("_algo", "_extreme")

    def __init__(self, algo: AlgoOrder) -> None:
        self._algo = algo
        self._extreme = algo.extreme if algo.activated else None

    def see(self, price: float) -> None:
        sell = self._algo.side == "SELL"
        if self._extreme is None:
            wanted = float(self._algo.activate_price or 0)
            if not (price >= wanted if sell else price <= wanted):
                return
            self._extreme = price
        self._extreme = max(self._extreme, price) if sell else min(self._extreme, price)

    def level(self) -> float | None:
        if self._extreme is None:
            return None
        share = float(self._algo.callback_rate or 0) / 100
        return self._extreme * (1 - share if self._algo.side == "SELL" else 1 + share)
