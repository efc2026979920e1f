"""Serve TensorFlow SavedModels over gRPC, compatible with tensorflow_model_server."""

__version__ = "0.1.0"
