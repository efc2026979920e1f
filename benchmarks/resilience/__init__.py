"""How hard a server is to kill. `python -m benchmarks.resilience` prints the table."""
