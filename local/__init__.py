"""The embedded platform: Azure's shape on one machine. Never deployed."""
