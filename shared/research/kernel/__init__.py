"""The rules of trading as machine code: numba functions over plain arrays.

Nothing here is imported before a compiled backtest runs. Each module states which function of the
application it mirrors; ``tests/research`` holds the two against each other.
"""
