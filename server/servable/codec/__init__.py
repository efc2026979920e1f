"""TensorProto and tf.Example lists to NumPy arrays and back.

Pure: messages in, arrays out. It must not know models, signatures, gRPC or TensorFlow.
"""
