"""Warm-up: a version answers recorded requests before it serves, and `servable warmup` writes such requests.

`inference` knows what a request means, a loader how a version is loaded, and `execution.tf_records` how records lie in
a file; the last two are passed in. It must not know TensorFlow, gRPC or how a server is made.
"""
