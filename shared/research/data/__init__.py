"""Market history: downloaded, imported, audited and kept as the files that everything reads."""
