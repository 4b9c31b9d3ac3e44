"""The simulated Binance USD-M exchange: REST and websocket face of ``shared.simulation``."""
