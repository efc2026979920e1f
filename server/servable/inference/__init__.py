"""One module an API: Predict, Classify, Regress, MultiInference, GetModelMetadata.

Each takes the bytes of a request and the time that is left, and gives the bytes of the reply or raises a
ServingError. It must not know gRPC or TensorFlow.
"""
