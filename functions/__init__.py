"""Triggers and orchestrators: decode, call one use case, encode. No business rule in here."""
