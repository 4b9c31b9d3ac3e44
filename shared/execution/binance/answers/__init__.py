"""Binance's answers as our records: of the market, of the account, of orders."""
