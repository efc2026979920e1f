"""A client for TensorFlow Serving's gRPC API that needs no TensorFlow."""

__version__ = "0.1.0"
