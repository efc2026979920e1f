"""Threads that do the same at the same time."""

import threading

TIMEOUT_S = 30.0


def run_together(work, arguments):
    """Call `work` with each tuple of arguments, each in a thread of its own; all of them end in time."""
    threads = [threading.Thread(target=work, args=given) for given in arguments]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT_S)
        assert not thread.is_alive()
