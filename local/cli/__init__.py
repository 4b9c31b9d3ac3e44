"""The command line: ``./run``."""
