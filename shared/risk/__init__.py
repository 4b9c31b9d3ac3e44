"""Limits, gate, sizing, ledger and kill switch: what may be risked, and when nothing may."""
