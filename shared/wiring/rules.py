"""What is allowed, and who may allow more: limits, switch, second factor, the way in."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Self

from shared import settings as settings_module
from shared.wiring.ports import Ports

if TYPE_CHECKING:
    from shared.access.door import Door
    from shared.compliance.stages import StageRules
    from shared.risk.kill_switch import KillSwitch
    from shared.risk.ledger import RiskLedger
    from shared.risk.limits import Limits
    from shared.risk.sizing import SizingConfig
    from shared.risk.stops import StopRules
    from shared.risk.triggers import Thresholds
    from shared.security.throttle import Throttle
    from shared.security.totp import SecondFactor


class Rules(Ports):
    """Risk, safety and access."""

    def for_exits(self) -> Self:
        """These services, or, where settings are wrong, others that only close and protect.

        A typing error in a limit must not keep positions from being looked after, nor an emergency
        stop from stopping. In place of what is wrong stand the defaults, and nothing is opened.

        Raises
        ------
        ConfigurationError
            When a wrong setting says which account this is, or how to get there.
        """
        if self._exits is None:
            self._exits = self._with_defaults()
        return self._exits

    def _with_defaults(self) -> Self:
        from shared.errors import ConfigurationError

        found = self
        wrong: tuple[str, ...] = ()
        while True:
            try:
                _ = found.settings, found.stage
            except ConfigurationError as error:
                wrong = (*wrong, *error.problems)
                # With every turn a setting less: this ends.
                found = type(self)(
                    settings_module.without(found.environment, error.problems),
                    clock=self.clock,
                    store=self._store,
                    secrets=self._secrets,
                    exchange_session=self._exchange_session,
                )
                found.wrong_settings = wrong
                continue
            return found

    @cached_property
    def ledger(self) -> RiskLedger:
        from shared.risk.ledger import RiskLedger

        return RiskLedger(self.store, self.clock, self.settings.account_id)

    @cached_property
    def kill_switch(self) -> KillSwitch:
        from shared.risk.kill_switch import KillSwitch

        account, factor = self.settings.account_id, self.second_factor
        return KillSwitch(self.store, self.clock, account, factor)

    @cached_property
    def throttle(self) -> Throttle:
        from shared.security.throttle import Throttle

        return Throttle(self.clock)

    @cached_property
    def prediction_throttle(self) -> Throttle:
        """Of its own: whoever asks for predictions must not keep anybody from clearing."""
        from shared.security.throttle import Throttle

        return Throttle(self.clock, 60, "for predictions")

    @cached_property
    def checklist_throttle(self) -> Throttle:
        """Of its own: whoever reads the checklist must not keep anybody from promoting."""
        from shared.security.throttle import Throttle

        return Throttle(self.clock, what="for the checklist")

    @cached_property
    def second_factor(self) -> SecondFactor:
        from shared.security.totp import SecondFactor

        return SecondFactor(
            self.store,
            self.clock,
            self.settings.account_id,
            lambda: self.secrets.get("totp-secret"),
        )

    @cached_property
    def door(self) -> Door:
        """The way in for people; of the services for exits, so that it is there while a limit is
        wrong.

        Raises
        ------
        NotFound
            While ``ACCESS`` is ``keys``.
        """
        from shared.access.wired import door

        return door(self.settings, self.store, self.clock, self.secrets)

    @cached_property
    def limits(self) -> Limits:
        from shared.risk.limits import Limits
        from shared.risk.portfolio_limits import PortfolioLimits

        s = self.settings
        return Limits(
            max_leverage=s.max_leverage,
            max_position_notional=s.max_position_notional,
            max_total_notional=s.max_total_notional,
            max_daily_loss=s.max_daily_loss,
            max_drawdown=s.max_drawdown,
            portfolio=PortfolioLimits(
                max_value_at_risk=s.max_value_at_risk,
                max_expected_shortfall=s.max_expected_shortfall,
                max_marginal_shortfall=s.max_marginal_shortfall,
                max_cluster_notional=s.max_cluster_notional,
                cluster_correlation=s.cluster_correlation,
                max_heat=s.max_heat,
                confidence=s.risk_confidence,
                horizon_days=s.risk_horizon_days,
            ),
            loss_cooldown_ms=s.loss_cooldown_minutes * 60_000,
        )

    @cached_property
    def thresholds(self) -> Thresholds:
        from shared.risk.triggers import Thresholds

        return Thresholds(
            volatility_ratio=self.settings.volatility_ratio,
            disconnection_seconds=self.settings.disconnection_seconds,
        )

    @cached_property
    def closing_triggers(self) -> frozenset[str]:
        from shared.risk.triggers import ALWAYS_CLOSING

        return ALWAYS_CLOSING | (frozenset(self.settings.kill_switch_closes) - {"none"})

    @cached_property
    def sizing(self) -> SizingConfig:
        from shared.risk.sizing import SizingConfig

        own = SizingConfig()
        fraction = self.settings.kelly_fraction
        return SizingConfig(
            methods=(*own.methods, "kelly") if fraction else own.methods,
            kelly_fraction=fraction or own.kelly_fraction,
            kelly_min_trades=self.settings.kelly_min_trades,
            risk_per_trade=self.settings.risk_per_trade,
            target_volatility=self.settings.target_volatility,
            atr_multiple=self.settings.stop_atr,
            reward_risk=self.settings.reward_risk,
            max_holding_bars=self.settings.max_holding_bars,
            trail_activation=self.settings.trail_activation,
        )

    @cached_property
    def stops(self) -> StopRules:
        from shared.risk.stops import StopRules

        return StopRules(
            break_even_at=self.settings.break_even_at, trail_atr=self.settings.trail_atr
        )

    @cached_property
    def stage(self) -> StageRules:
        from shared.compliance.stages import stage_rules

        return stage_rules(
            self.settings.trading_stage, self.settings.binance_environment, self.limits
        )
