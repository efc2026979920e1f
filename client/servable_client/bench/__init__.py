"""Load for a server, and what it took: `servable-client bench`. Workers are processes; results lie in shared memory."""
