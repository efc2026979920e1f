"""Bytes in, bytes out over gRPC: listeners, handlers, health, reflection, drain.

This package does not know models or TensorFlow: it serves a table of methods.
"""
