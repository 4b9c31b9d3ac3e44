"""The report of a backtest: one HTML file without anything outside it, and JSON beside it."""
