"""JSON as TensorFlow Serving reads and writes it: requests to arrays, arrays to replies. Pure."""
