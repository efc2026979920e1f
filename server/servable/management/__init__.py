"""ModelService: what is loaded, and how to change it.

Like inference, it answers bytes with bytes. It must not know gRPC or TensorFlow.
"""
