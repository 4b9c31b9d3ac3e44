"""Instruments, candles, time frames and market events."""
