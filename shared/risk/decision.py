"""What a decision is taken from, and the decision.

Both are plain data: they round-trip through JSON exactly, so that a stored record replays to the
same bytes.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Literal

import msgspec

from shared.compliance.pretrade import PreTrade
from shared.errors import InvalidInput
from shared.market.instrument import Instrument
from shared.risk.history import MarketHistory
from shared.risk.kelly import TradeRecord
from shared.risk.limits import Limits
from shared.risk.plan import Check as Check
from shared.risk.plan import Exposure as Exposure
from shared.risk.plan import OrderPlan as OrderPlan
from shared.risk.plan import StageRules as StageRules
from shared.risk.sizing import SizingConfig
from shared.strategies.signal import Signal


class Cooldown(msgspec.Struct, frozen=True, kw_only=True):
    """The recent past of a symbol: its last losing exit and how many losses came in a row."""

    last_loss_at: int | None = None
    losses_in_a_row: int = 0


class DecisionInputs(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a decision may depend on. ``None`` means unknown, and declines.

    Money in USDT, times and ages in milliseconds. ``equity`` is wallet balance plus unrealised
    P&L. ``day`` is the UTC day of the ledger's daily figures; ``day_realized_pnl`` includes fees
    and funding. ``trades_today`` counts entries filled or reserved on that day. ``compliance`` is
    ``None`` where nobody asks it: in research, and in decisions of before it was asked. So is
    ``history``, the past of every symbol with exposure and of the signal's: without it the
    portfolio's risk is not judged. ``record`` is what the closed trades say, where a sizing method
    asks for it.
    """

    signal: Signal
    account_id: str
    stage: StageRules
    limits: Limits
    sizing: SizingConfig
    instrument: Instrument
    mark_price: Decimal | None
    bid_price: Decimal | None
    ask_price: Decimal | None
    equity: Decimal | None
    wallet_balance: Decimal | None
    available_balance: Decimal | None
    exposures: tuple[Exposure, ...]
    kill_switch: str
    day: str
    day_realized_pnl: Decimal | None
    equity_peak: Decimal | None
    day_start_equity: Decimal | None
    trades_today: int | None
    market_data_age_ms: int | None
    account_data_age_ms: int | None
    now_ms: int
    cooldown: Cooldown = Cooldown()
    compliance: PreTrade | None = None
    history: MarketHistory | None = None
    record: TradeRecord | None = None


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """The gate's answer. ``id`` is the signal's: an account takes one decision on a signal.

    ``reasons`` names the checks that declined, the first cause first; ``sizes`` holds every
    candidate size in USDT, and under ``bound_by`` the name of the one that decided.
    """

    id: str
    account_id: str
    signal_id: str
    symbol: str
    stage: str
    outcome: Literal["approved", "declined"]
    reasons: tuple[str, ...]
    checks: tuple[Check, ...]
    sizes: dict[str, str]
    plan: OrderPlan | None
    needs_approval: bool
    decided_at: int


def canonical_json(record: Decision | DecisionInputs) -> bytes:
    """The one JSON text of a record: sorted keys, decimals as strings, no white space.

    Raises
    ------
    InvalidInput
        For inputs whose signal carries a number JSON cannot hold (NaN, infinity): they would
        not read back.
    """
    if isinstance(record, DecisionInputs):
        signal = record.signal
        numbers = [signal.strength, signal.threshold, signal.close, signal.atr, signal.volatility]
        for vote in signal.votes:
            numbers += [vote.weight, vote.vote, *vote.figures.values()]
        if not all(math.isfinite(n) for n in numbers):
            raise InvalidInput(f"signal {signal.id} carries a number that is not finite")
    return msgspec.json.encode(record, order="deterministic")
