"""TensorFlow Lite models: a flatbuffer on disk to something that runs."""
