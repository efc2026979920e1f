"""Bytes in, bytes out over gRPC: listeners, handlers, health, reflection, drain.

It must not know models or TensorFlow: a table of methods is all that it serves.
"""
