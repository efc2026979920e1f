"""TensorProto to NumPy arrays and back; the dtype table; patterns of messages.

Pure: messages and bytes in, arrays and bytes out. It must not know models, signatures, gRPC or TensorFlow.
"""
