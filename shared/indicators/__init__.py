"""TA-Lib as one catalogue: whole columns, incremental handles, and the history each needs."""
