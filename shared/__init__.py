"""Borsa Quantum Bot: everything that decides, guards and executes; no trigger, no platform."""
