"""Configuration files and structured flag values, read into frozen dataclasses.

Each module reads one kind of configuration and refuses invalid values in the words of the original. No module opens a
model, a port or a connection, and no other package needs the protobuf messages that they read.
"""
