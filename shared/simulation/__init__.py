"""The venue core: matching, margin, funding and liquidation on a candle path.

One implementation serves the simulated exchange (``local.exchange``), paper trading and the
backtester. It reads no clock and does no I/O: every call carries the time it happens at.
"""
