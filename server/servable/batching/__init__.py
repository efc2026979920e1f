"""When and where requests run: merged into batches, on a lane or on a thread of the scheduler.

Merging, padding and splitting are pure functions. This package does not know gRPC, TensorFlow or what a request means.
"""
