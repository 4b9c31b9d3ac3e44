"""Backtests and what is concluded from them: the code that trades, on years of candles."""
