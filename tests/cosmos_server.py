"""The Cosmos DB server from npm that tests run the Cosmos adapter against."""

from local.cosmos import DATABASE, KEY, cosmos_server, missing_because, provision

__all__ = ["DATABASE", "KEY", "cosmos_server", "missing_because", "provision"]
