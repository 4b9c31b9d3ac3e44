"""What everything else is built on: settings, secrets, store, exchange, audit."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from shared import settings as settings_module
from shared import telemetry
from shared.clock import Clock, SystemClock
from shared.settings import Settings

if TYPE_CHECKING:
    from shared.audit.log import AuditLog
    from shared.errors import ExchangeError
    from shared.execution.binance.adapter import BinanceExchange
    from shared.execution.binance.budget import RateBudget
    from shared.security.secrets import Secrets
    from shared.storage.store import Store


class Ports:
    """Settings, and the ports to everything outside.

    Parameters
    ----------
    environment : mapping
        Where settings (and, locally, secrets) are read from.
    clock, store, secrets : optional
        Instead of the ones the settings call for.
    exchange_session : optional
        What python-binance sends its requests with, instead of a ``requests.Session``.
    """

    def __init__(
        self,
        environment: Mapping[str, str] | None = None,
        *,
        clock: Clock | None = None,
        store: Store | None = None,
        secrets: Secrets | None = None,
        exchange_session: Any = None,
    ) -> None:
        self.environment = os.environ if environment is None else environment
        self.clock: Clock = clock or SystemClock()
        self._store = store
        self._secrets = secrets
        self._exchange_session = exchange_session
        #: For :mod:`shared.health`: the minute, how often it has asked the exchange in it, and
        #: what it heard last.
        self.heard: tuple[int, int, ExchangeError | None] = (0, 0, None)
        #: Settings that are wrong and have their defaults here, see :meth:`for_exits`.
        self.wrong_settings: tuple[str, ...] = ()
        self._exits: Self | None = None

    @cached_property
    def settings(self) -> Settings:
        loaded = settings_module.load(self.environment)
        telemetry.enable(loaded.telemetry)
        return loaded

    @cached_property
    def secrets(self) -> Secrets:
        from shared.security.secrets import EnvironmentSecrets, KeyVaultSecrets

        if self._secrets is not None:
            return self._secrets
        if self.settings.key_vault_uri:
            return KeyVaultSecrets(
                self.settings.key_vault_uri, self.clock, self.settings.azure_client_id
            )
        return EnvironmentSecrets(self.environment)

    @cached_property
    def store(self) -> Store:
        if self._store is not None:
            return self._store
        if self.settings.cosmos_endpoint:
            return self._cosmos()
        from shared.storage.sqlite import SqliteStore

        return SqliteStore(self.settings.sqlite_path, clock=self.clock)

    def _cosmos(self) -> Store:
        from shared.storage.cosmos import CosmosStore

        s = self.settings
        # Keys are for emulators: accounts that we deploy have them disabled.
        key = self.environment.get("CosmosDbConnection__accountKey")
        credential: Any = None
        if not key:
            from azure.identity import DefaultAzureCredential, ManagedIdentityCredential

            credential = (
                ManagedIdentityCredential(client_id=s.azure_client_id)
                if s.azure_client_id
                else DefaultAzureCredential()
            )
        return CosmosStore(
            s.cosmos_endpoint,
            s.cosmos_database,
            credential=credential,
            key=key or None,
            clock=self.clock,
        )

    @cached_property
    def exchange(self) -> BinanceExchange:
        from shared.execution.binance.adapter import BinanceExchange
        from shared.execution.binance.environment import (
            Credentials,
            environment,
            stored_credentials,
        )

        s = self.settings

        def credentials() -> Credentials:
            return stored_credentials(
                s.binance_environment,
                self.secrets.get("binance-api-key"),
                self.secrets.get("binance-api-secret"),
            )

        return BinanceExchange(
            environment(s.binance_environment, s.binance_base_url or None),
            credentials,
            clock=self.clock,
            session=self._exchange_session,
            budget=self._rate_budget,
            recv_window_ms=s.binance_recv_window_ms,
            # Short: an answer that is lost must be missed while a stop can still be in time.
            timeout=(2.0, 2.0),
        )

    @cached_property
    def view(self) -> BinanceExchange:
        """The exchange for whoever only looks: last in the rate budget, and it changes nothing."""
        return self.exchange.view()

    @cached_property
    def deciding(self) -> BinanceExchange:
        """The exchange as decisions read it: however often they are taken again, it costs exits
        nothing."""
        from shared.execution.binance.endpoints import Priority

        return self.exchange.view(Priority.ENTRY)

    def _rate_budget(self, exchange_ms: Callable[[], int]) -> RateBudget:
        from shared.execution.binance.budget import LocalRateBudget

        own = LocalRateBudget(exchange_ms)
        if self.settings.rate_budget == "own":
            return own
        from shared.execution.binance.shared_budget import SharedRateBudget

        return SharedRateBudget(
            own,
            self.store,
            exchange_ms,
            scope=self.settings.account_id,
            egress=self.settings.binance_environment,
        )

    @cached_property
    def audit(self) -> AuditLog:
        from shared.audit.log import AuditLog

        return AuditLog(self.store, self.clock, self.settings.account_id)
