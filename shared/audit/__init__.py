"""The tamper-evident audit log: hash-chained records, their verification and export."""
