"""What runs when: requests merged into batches, and batches given to threads.

Merging, padding and splitting are pure. It must not know gRPC, TensorFlow or what a request means.
"""
