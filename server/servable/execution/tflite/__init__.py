"""Runs TensorFlow Lite models: a pool of interpreters for each version, behind the same protocols as a SavedModel's."""
