"""How fast the application is, beside its peers: ``benchmarks/run`` prints one table."""
