"""The store port and its adapters (Cosmos DB, SQLite)."""
