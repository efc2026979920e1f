"""A TensorFlow Lite model as it lies on disk: what is in the file, and which signatures that makes.

Knows neither an interpreter nor TensorFlow, so that `servable inspect` takes milliseconds.
"""
