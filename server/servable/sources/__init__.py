"""From a base path to the versions that should be served: what is there (I/O) and which of it is wanted (pure).

It must not know how versions are loaded or who asks for them.
"""
