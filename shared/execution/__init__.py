"""Orders: the exchange port, the executor, protection, guardian, reconciliation, flatten."""
