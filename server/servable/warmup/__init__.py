"""Warm-up: a version answers recorded requests before it serves, and `servable warmup` writes such requests.

What a request means is `inference`'s matter, how a version is loaded a loader's, and how a record lies in a file
`execution`'s: this room gets the last two from outside. It must not know TensorFlow, gRPC or how a server is made.
"""
