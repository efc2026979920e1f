"""Configuration files and structured flag values, read into frozen dataclasses.

Each module reads one kind of configuration and refuses what is wrong in the words of the original. Nothing
here opens a model, a port or a connection, and no room above needs the messages that it reads.
"""
