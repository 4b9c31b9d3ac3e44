"""Numbered acceptance cards, executed through the real adapter on Binance Demo or a simulation.

What each card asks stands in ``docs/acceptance.md``.
"""
