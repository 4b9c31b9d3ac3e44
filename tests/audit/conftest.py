"""The Cosmos DB store of the storage tests, for the audit chain on it."""

from tests.storage.conftest import cosmos, cosmos_endpoint

__all__ = ["cosmos", "cosmos_endpoint"]
